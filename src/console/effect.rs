//! The effect of a change, as a preview foresees it or as it was foreseen when it was made.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::page::format::{a_month, change, number, percent};
use super::page::plots::pair;
use super::page::{encoded, service_link};

/// How many services and operations are shown.
const SHOWN: usize = 8;

/// A figure before and after.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Pair {
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
}

/// What moves.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Effect {
    budget_traces_per_second: Pair,
    expected_sampled_traces_per_second: Pair,
    missing_traces_per_second: Pair,
    coverage: Pair,
    services: Vec<OfService>,
    operations: Vec<OfOperation>,
    operations_changed: u64,
    #[serde(default)]
    warnings: Value,
    #[serde(default)]
    overwrites: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct OfService {
    service: String,
    share_traces_per_second: Pair,
}

#[derive(Debug, Clone, Deserialize)]
struct OfOperation {
    service: String,
    operation: String,
    probability: Pair,
    share_traces_per_second: Pair,
}

impl Effect {
    /// What is kept of the whole fleet.
    #[must_use]
    pub fn kept(&self) -> Pair {
        self.expected_sampled_traces_per_second
    }

    /// The effect, with the tables of what moves most.
    #[must_use]
    pub fn shown(&self) -> Markup {
        let kept = self.expected_sampled_traces_per_second;
        html! {
            dl.figures {
                (figure("Kept", &format!("{} → {} traces/s", number(kept.before), number(kept.after)),
                    &change(kept.before, kept.after)))
                (figure("Budget", &format!("{} → {} traces/s", number(self.budget_traces_per_second.before),
                    number(self.budget_traces_per_second.after)), "with the traffic of this plan"))
                (figure("A month", &format!("≈ {} traces", a_month(kept.after)),
                    &format!("≈ {} before", a_month(kept.before))))
                (figure("Coverage", &format!("{} → {}", percent(self.coverage.before), percent(self.coverage.after)),
                    "of operations show a trace within 5 minutes"))
            }
            @if self.missing_traces_per_second.after > 0.0 {
                p.warn { "Floors are not met by " (number(self.missing_traces_per_second.after))
                    " traces/s: the budget or a cap is too small for them." }
            }
            @if let Some(warnings) = self.warnings.as_object() {
                @for (field, said) in warnings {
                    p.warn { code { (field) } ": " (said.as_str().map_or_else(|| said.to_string(), str::to_owned)) }
                }
            }
            @for overwritten in self.overwrites.iter().take(SHOWN) {
                p.warn { "Overwrites what somebody else owns: " code { (overwritten) } }
            }
            (self.services())
            (self.operations())
        }
    }

    fn services(&self) -> Markup {
        let shown = || self.services.iter().take(SHOWN);
        let pairs = shown().map(|of| of.share_traces_per_second);
        let most = pairs.fold(0.0, |most, of| f64::max(most, of.before.max(of.after)));
        html! {
            @if !self.services.is_empty() {
                div.scroll tabindex="0" role="group" aria-label="Services that move most" { table {
                    caption { "Services that move most" }
                    thead { tr {
                        th scope="col" { "Service" }
                        th.figure scope="col" { "Kept/s before" }
                        th.figure scope="col" { "After" }
                        th scope="col" { span.unseen { "Drawing" } }
                        th.figure scope="col" { "Change" }
                    } }
                    tbody { @for of in shown() {
                        @let share = of.share_traces_per_second;
                        tr {
                            th scope="row" { (service_link(&of.service)) }
                            td.figure { (number(share.before)) }
                            td.figure { (number(share.after)) }
                            td { (pair(share.before, share.after, most)) }
                            td.figure { (change(share.before, share.after)) }
                        }
                    } }
                } }
            }
        }
    }

    fn operations(&self) -> Markup {
        html! {
            @if !self.operations.is_empty() {
                div.scroll tabindex="0" role="group" aria-label="Operations that move most" { table {
                    caption { "Operations that move most; " (self.operations_changed) " probabilities change by more than 1 %" }
                    thead { tr {
                        th scope="col" { "Operation" }
                        th scope="col" { "Service" }
                        th.figure scope="col" { "Probability before" }
                        th.figure scope="col" { "After" }
                        th.figure scope="col" { "Kept/s after" }
                    } }
                    tbody { @for of in self.operations.iter().take(SHOWN) {
                        tr {
                            th scope="row" { (operation_link(&of.service, &of.operation)) }
                            td { (service_link(&of.service)) }
                            td.figure { (percent(of.probability.before)) }
                            td.figure { (percent(of.probability.after)) }
                            td.figure { (number(of.share_traces_per_second.after)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// A link to an operation.
pub fn operation_link(service: &str, operation: &str) -> Markup {
    let href = format!(
        "{}?operation={}",
        super::page::service_path(service),
        encoded(operation)
    );
    html! { a.name href=(href) { (operation) } }
}

/// A figure with what it is and what belongs to it.
pub fn figure(name: &str, value: &str, beside: &str) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } span.quiet { (beside) } } } }
}
