//! Explains in a sentence, with the numbers, why an operation has its probability.

use chrono::SecondsFormat;
use serde::Serialize;

use super::plan_summary::{binding_label, finite};
use crate::allocation::{Binding, Hold, LISTED_MAX, OperationPlan, Plan, Serving, Source};
use crate::clock::date;
use crate::telemetry::metrics::Label;

/// The reason for an operation's probability, for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReasonDocument {
    /// What decided the probability.
    binding: &'static str,
    /// The owner of the setting or level.
    source: &'static str,
    /// The level or the floor, if one of them decided.
    bound_traces_per_second: Option<f32>,
    /// The probability that decided, if one did.
    bound_probability: Option<f32>,
    /// The weight of the operation when the budget is shared.
    weight: f32,
    /// The level in its service; none if nothing binds it.
    level_traces_per_second: Option<f64>,
    /// The probability that level, floor and cap alone would give.
    target_probability: f32,
    /// All of this in a sentence.
    explanation: String,
}

impl ReasonDocument {
    /// The reason for the probability of a plan's operation.
    #[must_use]
    pub fn of(plan: &Plan, operation: &OperationPlan) -> Self {
        let reason = &operation.reason;
        let is_rate = matches!(operation.binding, Binding::Level | Binding::Floor);
        let bound = Some(reason.bound).filter(|bound| bound.is_finite());
        Self {
            binding: binding_label(operation.binding).value(),
            source: source_label(reason.source),
            bound_traces_per_second: bound.filter(|_| is_rate),
            bound_probability: bound.filter(|_| !is_rate),
            weight: reason.weight,
            level_traces_per_second: finite(plan.level(operation.service)),
            target_probability: reason.target,
            explanation: explain(plan, operation),
        }
    }

    /// Adds sentences to the explanation.
    #[must_use]
    pub fn and(mut self, sentences: &[String]) -> Self {
        for sentence in sentences {
            self.explanation += ". ";
            self.explanation += sentence;
        }
        self
    }
}

/// The part of a service's traffic whose agents must be missing to be worth a sentence.
const NOTABLE_MISSING: f64 = 0.005;

/// The part of a window's counts that must be late to be worth a sentence.
const NOTABLE_LATE: f64 = 0.05;

/// Explains why a plan's operation has its probability: what decided it, then what is missing or late
/// of its service's counts.
#[must_use]
pub fn explain(plan: &Plan, operation: &OperationPlan) -> String {
    let mut text = decided(plan, operation);
    let Some(service) = plan.service(operation.service) else {
        return text;
    };
    let missing = 1.0 - f64::from(service.heard);
    if missing >= NOTABLE_MISSING {
        text += &format!(
            ". Agents that report {} % of its service's traffic are missing; their traffic is \
             assumed to go on",
            figure(100.0 * missing)
        );
    }
    let late = 1.0 - f64::from(service.covered);
    if late - missing >= NOTABLE_LATE {
        text += &format!(
            ". {} % of its service's counts of the newest window come later, by the habit of their \
             agents",
            figure(100.0 * (late - missing))
        );
    }
    text
}

/// What is served in place of what the plan decides, in sentences. The factor is that of an emergency.
#[must_use]
pub fn instead(plan: &Plan, served: f64, factor: f64) -> Vec<String> {
    let mut said = Vec::new();
    let since = plan.steered.as_ref().map(|steered| date(steered.since));
    let since = since.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let since = since.unwrap_or_default();
    let told = figure(served);
    match plan.serving() {
        Serving::Plan => {}
        Serving::Freeze => said.push(format!(
            "SDKs are told {told}, not this: what is served has been frozen since {since}"
        )),
        Serving::Observe => said.push(format!(
            "SDKs are told {told}, not this: Weir only observes, since {since}"
        )),
    }
    if factor < 1.0 {
        said.push(format!(
            "An emergency multiplies everything that is served by {}: SDKs are told {told}",
            figure(factor)
        ));
    }
    said
}

/// Says that the classes of an operation share its floor or cap (`bound`), in traces per second.
#[must_use]
pub fn shared(operation: &str, bound: &str, traces_per_second: f64) -> String {
    let amount = figure(traces_per_second);
    format!("All classes of {operation:?} together share its {bound} of {amount} traces/s")
}

/// The sentence about what decided.
fn decided(plan: &Plan, operation: &OperationPlan) -> String {
    let reason = &operation.reason;
    let bound = figure(f64::from(reason.bound));
    let target = figure(f64::from(reason.target));
    let offered = figure(operation.offered);
    let set = set_for(reason.source);
    match operation.binding {
        Binding::Level => shares(operation),
        Binding::Floor => floor(plan, operation),
        Binding::Cap if operation.is_unlisted() => format!(
            "is served its service's default, {bound}: a strategy lists {LISTED_MAX} operations, \
             and its service has that many busier ones"
        ),
        Binding::Cap if reason.source == Source::Fleet => format!(
            "counts operations without an entry of their own; they are served {bound} at most, \
             so that they cannot break the budget"
        ),
        Binding::Cap => format!("its cap ({set}) allows {bound} of {offered} requests/s"),
        Binding::Pin if operation.probability < 0.999 * f64::from(reason.bound) => format!(
            "is fixed at {bound} ({set}), but gets {}: the pins exceed the budget",
            figure(operation.probability)
        ),
        Binding::Pin => format!("is fixed at {bound} ({set})"),
        Binding::ProbabilityOne => keeps_all(plan, operation),
        Binding::RaiseLimit => format!(
            "is at {bound} on its way to {target}: what agents that are missing may still count \
             limits the raise"
        ),
        Binding::Peak => format!(
            "is at {bound} on its way to {target}: traffic was much higher lately, and may come back \
             at once"
        ),
        Binding::Deadband => {
            format!("stays at {bound}, because that is close to {target}")
        }
        Binding::Hold => held(plan, operation),
    }
}

fn shares(operation: &OperationPlan) -> String {
    let reason = &operation.reason;
    let (target, probability) = (f64::from(reason.target), operation.probability);
    let mut text = format!(
        "shares at {} level of {} traces/s with weight {}: {} of {} requests/s is {}",
        whose(reason.source),
        figure(f64::from(reason.bound)),
        figure(f64::from(reason.weight)),
        figure(operation.share),
        figure(operation.offered),
        figure(probability),
    );
    if (probability - target).abs() > 0.001 * target {
        let target = figure(target);
        text += &format!(", not {target}, to make up for others that did not change");
    }
    text
}

fn floor(plan: &Plan, operation: &OperationPlan) -> String {
    let reason = &operation.reason;
    let floor = format!(
        "its floor of {} traces/s ({})",
        figure(f64::from(reason.bound)),
        set_for(reason.source)
    );
    let share = figure(operation.share);
    if operation.share >= 0.999 * operation.floor_asked() {
        let offered = figure(operation.offered);
        let probability = figure(operation.probability);
        return format!(
            "{floor} is above its level: {share} of {offered} requests/s is {probability}"
        );
    }
    let group = plan.service(operation.service).and_then(|of| of.group);
    let group = group.and_then(|place| plan.groups.get(place));
    match group.filter(|group| group.missing > 0.0) {
        Some(group) => format!(
            "{floor} does not fit, it gets {share}: the floors in group {:?} are {} traces/s more \
             than the group's cap",
            group.name.as_str(),
            figure(group.missing)
        ),
        None if plan.fleet.missing > 0.0 => format!(
            "{floor} does not fit, it gets {share}: the budget is {} traces/s short of all floors \
             and pins",
            figure(plan.fleet.missing)
        ),
        None => format!("{floor} does not fit, it gets {share}: its service's cap is less"),
    }
}

fn keeps_all(plan: &Plan, operation: &OperationPlan) -> String {
    let offered = figure(operation.offered);
    let level = plan.level(operation.service);
    let weight = operation.reason.weight;
    if level.is_infinite() {
        return format!(
            "keeps all of its {offered} requests/s: the budget has room for everything"
        );
    }
    if level * f64::from(weight) < 0.999 * operation.belief.rate {
        return format!("keeps all of its {offered} requests/s: its floor asks for no less");
    }
    format!(
        "keeps all of its {offered} requests/s: {} level of {} traces/s with weight {} is no less",
        whose(operation.reason.source),
        figure(level),
        figure(f64::from(weight)),
    )
}

fn held(plan: &Plan, operation: &OperationPlan) -> String {
    let bound = figure(f64::from(operation.reason.bound));
    let target = figure(f64::from(operation.reason.target));
    match plan.fleet.hold {
        Hold::Frozen => format!("stays at {bound}: no agent is heard, so nothing changes"),
        Hold::CutsOnly => format!(
            "stays at {bound} on its way to {target}: some counts cannot be read, so nothing rises"
        ),
        Hold::None if operation.silent_windows == 0 => format!(
            "stays at {bound} on its way to {target}: no agent of its service is heard, and silence \
             raises nothing"
        ),
        Hold::None => format!(
            "stays at {bound} on its way to {target}: it was not reported for {} windows, and \
             silence raises nothing",
            operation.silent_windows
        ),
    }
}

/// The owner of a setting, as the API shows it.
#[must_use]
pub fn source_label(source: Source) -> &'static str {
    match source {
        Source::Fleet => "fleet",
        Source::Group => "group",
        Source::Service => "service",
        Source::Operation => "operation",
    }
}

fn whose(source: Source) -> &'static str {
    match source {
        Source::Fleet => "the fleet's",
        Source::Group => "its group's",
        Source::Service => "its service's",
        Source::Operation => "its own",
    }
}

fn set_for(source: Source) -> &'static str {
    match source {
        Source::Fleet => "set for the fleet",
        Source::Group => "set for its group",
        Source::Service => "set for its service",
        Source::Operation => "set for the operation",
    }
}

/// A number with three significant digits.
pub(super) fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor();
    if !(-6.0..=12.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (2.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        let said = [0.0, 1.0, 0.25, 12.34, 999.9, 12_345.6, 0.000_012_34, 2e-9];
        let said = said.map(figure);
        let expected = [
            "0",
            "1",
            "0.25",
            "12.3",
            "1000",
            "12346",
            "0.0000123",
            "2.00e-9",
        ];
        assert_eq!(said, expected);
    }
}
