//! What rules do: the present plan with them, compared with the present plan without them.

use std::cmp::Reverse;

use serde::Serialize;

use crate::allocation::{Class, OperationId, ServiceId, preview};
use crate::api::admin::Admin;
use crate::api::admin::preview::{Change, OperationPairs, Pair};
use crate::configuration::{Configuration, Rule};
use crate::names::Names;

/// The fair floor of an operation: this part of the share that it would get without the rule.
///
/// Half of the traces still show the same, later: how long a search for an example takes doubles.
const FAIR_FLOOR: f64 = 0.5;

/// How many of the operations that give most are listed.
const LISTED: usize = 10;

/// What rules do while they are active, if traffic stays as it is.
#[derive(Serialize)]
pub(in crate::api::admin) struct Effect {
    /// What the operations get that the rules match.
    share_traces_per_second: Change<f64>,
    /// What all others give.
    taken_traces_per_second: f64,
    /// How many of these are left with less than their fair floor.
    pub(super) under_fair_floor: usize,
    /// Those that give most.
    pub(super) taken_from: Vec<Taken>,
}

/// What an operation gives.
#[derive(Serialize)]
pub(super) struct Taken {
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) share_traces_per_second: Change<f64>,
    pub(super) under_fair_floor: bool,
}

/// What these rules of a configuration do, whether they are active now or not.
pub(super) fn effect(admin: &Admin, configuration: &Configuration, rules: &[&str]) -> Effect {
    let snapshot = admin.served.snapshot();
    let plan = snapshot.plan();
    let names = admin.dictionary.names();
    let now = admin.clock.timestamp();
    // What matches what is found once for all rules. Of these, only the state differs.
    let matches = admin.matches.of(configuration, &names);
    let mut changed = configuration.clone();
    let mut planned = |form: fn(&Rule) -> Rule| {
        let found = rules
            .iter()
            .filter_map(|id| Some((*id, form(configuration.rules.get(*id)?))));
        let forms: Vec<(&str, Rule)> = found.collect();
        let matches = matches.with(&forms);
        let forms = forms.into_iter().map(|(id, rule)| (id.to_owned(), rule));
        changed.rules.extend(forms);
        let revision = plan.configuration_revision;
        let policy = changed.policy_with(&matches, revision, &names, now, admin.known(plan));
        preview(plan, &policy)
    };
    let (after, before) = (planned(Rule::always_active), planned(Rule::turned_off));
    let pairs = OperationPairs::between(&before, &after);
    measured(&pairs, &names, matches.meaning(rules))
}

fn measured(
    pairs: &OperationPairs<'_>,
    names: &Names,
    is_meant: impl Fn(ServiceId, OperationId) -> bool,
) -> Effect {
    let mut effect = Effect {
        share_traces_per_second: Change {
            before: 0.0,
            after: 0.0,
        },
        taken_traces_per_second: 0.0,
        under_fair_floor: 0,
        taken_from: Vec::new(),
    };
    let mut givers: Vec<&Pair<'_>> = Vec::new();
    for pair in &pairs.0 {
        let Pair { before, after } = pair;
        if is_meant(after.service, after.operation) {
            effect.share_traces_per_second.before += before.share;
            effect.share_traces_per_second.after += after.share;
        } else if after.share < before.share {
            effect.taken_traces_per_second += before.share - after.share;
            effect.under_fair_floor += usize::from(is_under(pair));
            givers.push(pair);
        }
    }
    let given = |pair: &&Pair<'_>| (pair.before.share - pair.after.share).to_bits();
    // Those that are left with too little come first: they are why a rule is refused.
    givers.sort_by_key(|pair| (Reverse(is_under(pair)), Reverse(given(pair))));
    let named = givers.iter().filter_map(|pair| {
        let name = names.name(pair.after.operation)?;
        Some(Taken {
            service: name.service.to_string(),
            operation: Class::shown(&name.operation),
            share_traces_per_second: Change {
                before: pair.before.share,
                after: pair.after.share,
            },
            under_fair_floor: is_under(pair),
        })
    });
    effect.taken_from = named.take(LISTED).collect();
    effect
}

fn is_under(pair: &Pair<'_>) -> bool {
    pair.after.share < FAIR_FLOOR * pair.before.share
}

/// What a refusal says of the first operation that is left with too little.
pub(super) fn refusal(effect: &Effect) -> String {
    let first = effect.taken_from.iter().find(|of| of.under_fair_floor);
    let first = first.map_or_else(String::new, |of| {
        let Change { before, after } = of.share_traces_per_second;
        format!(
            ", {} {} with {after:.3} instead of {before:.3} traces/s",
            of.service, of.operation
        )
    });
    format!(
        "takes {:.3} traces/s from others and leaves {} of them with less than half of their share{first}; \
         ask for less, add extra_traces_per_second to the budget, or write it with ?force=true",
        effect.taken_traces_per_second, effect.under_fair_floor
    )
}
