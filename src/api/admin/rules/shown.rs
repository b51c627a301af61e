//! A rule as the API shows it.

use serde::Serialize;

use super::effect::{Effect, effect};
use crate::api::admin::Admin;
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
) -> Vec<RuleDocument> {
    let names = admin.dictionary.names();
    let matches = admin.matches.of(configuration, &names);
    let mut suggestions = SUGGESTED;
    let of = |id: &&String| {
        let shown = document(admin, configuration, &matches, &names, id, suggestions > 0)?;
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
) -> Option<RuleDocument> {
    let names = admin.dictionary.names();
    let matches = admin.matches.of(configuration, &names);
    let document = document(admin, configuration, &matches, &names, id, true)?;
    Some(RuleDocument {
        effect: Some(effect(admin, configuration, &[id])),
        ..document
    })
}

fn document(
    admin: &Admin,
    configuration: &Configuration,
    matches: &Matches,
    names: &Names,
    id: &str,
    suggest: bool,
) -> Option<RuleDocument> {
    let rule = configuration.rules.get(id)?;
    let matched = matches.matched(id)?;
    let examples = matched.examples.iter().filter_map(|id| names.name(*id));
    let nothing = matched.operations == 0;
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
        },
        effect: None,
    })
}
