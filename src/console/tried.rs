//! What would another budget come to? The stored history, played again with each: traces a month, coverage, the worst step.
//!
//! A step of the history keeps what it offered at most, and otherwise misses another budget by the part by which it missed
//! its own: errors come from traffic that nobody knew beforehand, whatever the budget is. Coverage is that of a
//! preview, with the traffic of the current plan.

use actix_web::HttpResponse;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::budget::Budget;
use super::call::{Asker, Call};
use super::effect::Pair;
use super::form::Fields;
use super::history::Range;
use super::page::format::{a_month, change, number, percent};
use super::page::plots::bar;
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, card, link};

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/try",
    name: "Try a budget",
};

/// The name of the field, as the API calls what it holds.
const AMOUNT: &str = "traces_per_second";

/// What the slider goes over, as parts of the budget, and its steps.
const SLIDER: (f64, f64, f64) = (0.1, 4.0, 0.05);

#[derive(Debug, Deserialize)]
struct History {
    step_seconds: f64,
    points: Vec<Step>,
}

/// A step of the history.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Step {
    seconds: f64,
    offered_per_second: Option<f64>,
    observed_sampled_traces_per_second: Option<f64>,
    budget_traces_per_second: Option<f64>,
}

/// What a budget comes to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Tried {
    /// The mean, in traces per second.
    kept: f64,
    /// The step furthest above the budget, in traces per second.
    worst: f64,
    /// Seconds of the history in which less was offered than the budget.
    short_seconds: f64,
    /// Seconds of the history.
    seconds: f64,
}

impl Tried {
    /// Plays the steps again with this budget; none if nothing was counted in them.
    fn of(steps: &[Step], budget: f64) -> Option<Self> {
        let mut tried = Self::default();
        for step in steps {
            let Some((offered, missed)) = step.missed() else {
                continue;
            };
            let kept = (missed * budget.min(offered)).min(offered);
            tried.kept += kept * step.seconds;
            tried.worst = tried.worst.max(kept);
            tried.seconds += step.seconds;
            if offered < budget {
                tried.short_seconds += step.seconds;
            }
        }
        (tried.seconds > 0.0).then(|| Self {
            kept: tried.kept / tried.seconds,
            ..tried
        })
    }
}

impl Step {
    /// What was offered, and what was kept as a part of what could be kept under the budget of then.
    fn missed(&self) -> Option<(f64, f64)> {
        let offered = self.offered_per_second?;
        let kept = self.observed_sampled_traces_per_second?;
        let target = self.budget_traces_per_second?.min(offered);
        (target > 0.0).then(|| (offered, kept / target))
    }
}

/// Shows what budgets come to.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let held: Budget = asker.ask(Call::get("/v1/budget")).await?;
    let range = Range::asked(&fields, &asker.console);
    let asked = asked(&fields);
    let of_range = range.of(Call::get("/v1/history"), &asker.console);
    let history: Result<History, Trouble> = asker.ask(of_range).await;
    let amount = match asked {
        Ok(Some(amount)) => amount,
        _ => held.traces_per_second,
    };
    let coverage = covered(&asker, amount).await;
    let body = match (&asked, &history) {
        (Err(trouble), _) | (_, Err(trouble)) => trouble.sentence(),
        (Ok(_), Ok(history)) => table(history, held.traces_per_second, amount),
    };
    let main = html! {
        h1 { "Try a budget: what would it come to?" }
        (range.links(SCREEN.path))
        section.card aria-label="A budget" { (form(&fields, held.traces_per_second, amount)) }
        div id="tried" aria-live="polite" {
            (card("budgets", "With the history of this time", &body))
            section.card aria-label="Coverage" {
                @match &coverage {
                    Ok(of) => p { "With the traffic of now, " strong { (percent(of.after)) }
                        " of operations show a trace within 5 minutes at " (number(amount)) " traces/s; at the present budget "
                        (percent(of.before)) "." },
                    Err(trouble) => (trouble.sentence()),
                }
                p.buttons {
                    a.button href=(link("/console/budget", &[("amount", &amount.to_string()), ("unit", AMOUNT)])) {
                        "Use " (number(amount)) " traces/s…"
                    }
                }
            }
        }
    };
    Ok(Frame::of(&asker, SCREEN, "Try a budget").ok(main))
}

/// The budget that the address says.
fn asked(fields: &Fields) -> Result<Option<f64>, Trouble> {
    match fields.number(AMOUNT)? {
        Some(amount) if !(amount > 0.0 && amount <= 1e9) => {
            let detail = "must be above 0, and at most 1000000000";
            Err(Trouble::wrong(AMOUNT, detail))
        }
        given => Ok(given),
    }
}

#[derive(Debug, Deserialize)]
struct Previewed {
    coverage: Pair,
}

/// The coverage now, and with this budget.
async fn covered(asker: &Asker, amount: f64) -> Result<Pair, Trouble> {
    let mut document: Value = asker.ask(Call::get("/v1/configuration")).await?;
    let whole = document.as_object_mut().ok_or_else(Trouble::internal)?;
    whole.insert("budget".into(), json!({ AMOUNT: amount }));
    let preview = Call::new("POST", "/v1/configuration/preview").query("limit", 1);
    let previewed: Previewed = asker.ask(preview.body(document)).await?;
    Ok(previewed.coverage)
}

fn form(fields: &Fields, held: f64, amount: f64) -> Markup {
    let (least, most, step) = SLIDER;
    let unit = if held > 0.0 { held } else { 10.0 };
    html! {
        form.filters method="get" action=(SCREEN.path) hx-get=(SCREEN.path) hx-trigger="input delay:200ms"
            hx-target="#tried" hx-select="#tried" hx-swap="outerHTML" hx-sync="this:replace" {
            @if let Some(range) = fields.get("range") { input type="hidden" name="range" value=(range); }
            div {
                label for="amount" { "Budget, traces/s" }
                input id="amount" type="range" name=(AMOUNT) value=(amount) min=(least * unit) max=(most * unit)
                    step=(step * unit) list="marks";
                datalist id="marks" { option value=(held) {} }
            }
            button type="submit" { "Try" }
        }
    }
}

fn table(history: &History, held: f64, amount: f64) -> Markup {
    let mut budgets = vec![0.5 * held, held, 2.0 * held, amount];
    budgets.retain(|budget| *budget > 0.0);
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    let tried: Vec<(f64, Tried)> = budgets
        .into_iter()
        .filter_map(|budget| Some((budget, Tried::of(&history.points, budget)?)))
        .collect();
    let most = tried.iter().map(|(_, of)| of.worst).fold(0.0, f64::max);
    html! {
        @if tried.is_empty() { p.quiet { "Nothing was counted in this time." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Budgets" { table {
                caption { "Each step of " (super::page::format::length(history.step_seconds)) " misses another budget by the part by which it missed its own" }
                thead { tr {
                    th scope="col" { "Budget" }
                    th.figure scope="col" { "Kept/s" }
                    th.figure scope="col" { "Traces a month" }
                    th.figure scope="col" { "Worst step" }
                    th scope="col" { span.unseen { "Drawing" } }
                    th.figure scope="col" { "Offered less" }
                } }
                tbody { @for (budget, of) in &tried { tr {
                    th scope="row" { (number(*budget)) @if *budget == held { " (now)" } @else if *budget == amount { " (tried)" } }
                    td.figure { (number(of.kept)) }
                    td.figure { (a_month(of.kept)) }
                    td.figure { (number(of.worst)) " (" (change(*budget, of.worst)) ")" }
                    td { (bar(if most > 0.0 { of.worst / most } else { 0.0 })) }
                    td.figure { (percent(of.short_seconds / of.seconds)) " of the time" }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(offered: f64, kept: f64) -> Step {
        Step {
            seconds: 60.0,
            offered_per_second: Some(offered),
            observed_sampled_traces_per_second: Some(kept),
            budget_traces_per_second: Some(50.0),
        }
    }

    #[test]
    fn a_step_misses_another_budget_by_the_same_part_and_keeps_no_more_than_is_offered() {
        let steps = [step(1000.0, 50.0), step(1000.0, 100.0), step(80.0, 50.0)];
        let same = Tried::of(&steps, 50.0).unwrap();
        assert_eq!((same.kept, same.worst), (200.0 / 3.0, 100.0));
        let double = Tried::of(&steps, 100.0).unwrap();
        assert_eq!((double.kept, double.worst), (380.0 / 3.0, 200.0));
        assert_eq!((double.short_seconds, double.seconds), (60.0, 180.0));
        let unknown = Step {
            offered_per_second: None,
            ..step(1.0, 1.0)
        };
        assert_eq!(Tried::of(&[unknown, step(0.0, 0.0)], 50.0), None);
    }
}
