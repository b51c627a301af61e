//! A rule as the API shows it.

use serde::Serialize;

use super::effect::{Effect, effect};
use crate::api::admin::tagged::{Appliers, TaggedMatch};
use crate::api::admin::unknown_names::{SUGGESTED, meant};
use crate::api::admin::{Admin, origins};
use crate::configuration::{Configuration, Kind, Mark, Matches, Origins, Rule, RuleState};
use crate::names::Names;
use crate::store::StoreError;

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
    /// Null if it is not known.
    origin: Option<Mark>,
}

/// What an answer says of rules that is not in the configuration.
pub(super) struct Beside {
    appliers: Appliers,
    origins: Origins,
}

impl Beside {
    /// What is known beside a revision.
    pub(super) async fn of(admin: &Admin, revision: u64) -> Result<Self, StoreError> {
        Ok(Self {
            appliers: Appliers::of(admin).await,
            origins: origins::of(admin, revision).await?.known,
        })
    }
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
    beside: &Beside,
) -> Vec<RuleDocument> {
    let names = admin.dictionary.names();
    let known = Known {
        matches: &admin.matches.of(configuration, &names),
        names: &names,
        beside,
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
    beside: &Beside,
) -> Option<RuleDocument> {
    let names = admin.dictionary.names();
    let known = Known {
        matches: &admin.matches.of(configuration, &names),
        names: &names,
        beside,
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
    beside: &'k Beside,
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
            tagged: TaggedMatch::of(rule, names, &known.beside.appliers),
        },
        effect: None,
        origin: known.beside.origins.of(Kind::Rules, id).cloned(),
    })
}
