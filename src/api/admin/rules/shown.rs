//! A rule as the API shows it.

use serde::Serialize;

use super::effect::{Effect, effect};
use crate::api::admin::Admin;
use crate::api::admin::tagged::{Appliers, TaggedMatch};
use crate::api::admin::unknown_names::{SUGGESTED, meant};
use crate::configuration::{Configuration, Matches, Rule, RuleState};
use crate::names::Names;

/// A rule, what it matches now, and what it does.
#[derive(Serialize)]
pub(super) struct RuleDocument {
    id: String,
    #[serde(flatten)]
    rule: Rule,
    state: RuleState,
    matches: MatchesDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
}

/// What a rule matches.
#[derive(Serialize)]
struct MatchesDocument {
    operations: usize,
    services: usize,
    examples: Vec<Example>,
    did_you_mean: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tagged: Option<TaggedMatch>,
}

#[derive(Serialize)]
struct Example {
    service: String,
    operation: String,
}

/// Some rules of a document. Their effects are left out: each takes a preview.
pub(super) fn documents(
    admin: &Admin,
    configuration: &Configuration,
    ids: &[&String],
    appliers: &Appliers,
) -> Vec<RuleDocument> {
    let names = admin.dictionary.names();
    let known = Known {
        matches: &admin.matches.of(configuration, &names),
        names: &names,
        appliers,
    };
    let mut suggestions = SUGGESTED;
    let of = |id: &&String| {
        let shown = document(admin, configuration, &known, id, suggestions > 0)?;
        suggestions -= usize::from(shown.matches.operations == 0 && suggestions > 0);
        Some(shown)
    };
    ids.iter().filter_map(of).collect()
}

/// One rule with its effect.
pub(super) fn with_effect(
    admin: &Admin,
    configuration: &Configuration,
    id: &str,
    appliers: &Appliers,
) -> Option<RuleDocument> {
    let names = admin.dictionary.names();
    let known = Known {
        matches: &admin.matches.of(configuration, &names),
        names: &names,
        appliers,
    };
    let document = document(admin, configuration, &known, id, true)?;
    Some(RuleDocument {
        effect: Some(effect(admin, configuration, &[id])),
        ..document
    })
}

/// What rules are compared with.
struct Known<'k> {
    matches: &'k Matches,
    names: &'k Names,
    appliers: &'k Appliers,
}

fn document(
    admin: &Admin,
    configuration: &Configuration,
    known: &Known<'_>,
    id: &str,
    suggest: bool,
) -> Option<RuleDocument> {
    let names = known.names;
    let rule = configuration.rules.get(id)?;
    let matched = known.matches.matched(id)?;
    let examples = matched.examples.iter().filter_map(|id| names.name(*id));
    let nothing = !matched.is_something();
    Some(RuleDocument {
        id: id.to_owned(),
        state: rule.state(admin.clock.timestamp()),
        rule: rule.clone(),
        matches: MatchesDocument {
            operations: matched.operations,
            services: matched.services,
            examples: examples
                .map(|name| Example {
                    service: name.service.to_string(),
                    operation: name.operation.to_string(),
                })
                .collect(),
            did_you_mean: (nothing && suggest).then(|| meant(rule, names).1).flatten(),
            tagged: TaggedMatch::of(rule, names, known.appliers),
        },
        effect: None,
    })
}
