//! What would another budget come to? History, played again with each by the allocation: traces a month, coverage, the
//! worst window. What is approximate about it is said as the API says it.

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::budget::Budget;
use super::call::{Asker, Call};
use super::form::Fields;
use super::history::Range;
use super::page::format::{a_month, change, length, number, percent};
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
struct Trial {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    played: String,
    step_seconds: Option<f64>,
    windows: usize,
    seconds: f64,
    operations_alone: usize,
    operations_together: usize,
    approximations: Vec<String>,
    budgets: Vec<Tried>,
}

/// What a budget comes to.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Tried {
    budget_traces_per_second: f64,
    expected_sampled_traces_per_second: f64,
    worst_window_traces_per_second: f64,
    worst_window_start: DateTime<Utc>,
    unbound_ratio: f64,
    coverage: f64,
}

/// Shows what budgets come to.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let held: Budget = asker.ask(Call::get("/v1/budget")).await?;
    let range = Range::asked(&fields, &asker.console);
    let asked = asked(&fields);
    let amount = match asked {
        Ok(Some(amount)) => amount,
        _ => held.traces_per_second,
    };
    let trial = Call::get("/v1/budget/trial").query(AMOUNT, listed(held.traces_per_second, amount));
    let trial: Result<Trial, Trouble> = asker.ask(range.starts(trial, &asker.console)).await;
    let body = match (&asked, &trial) {
        (Err(trouble), _) | (_, Err(trouble)) => trouble.sentence(),
        (Ok(_), Ok(trial)) => table(trial, held.traces_per_second, amount),
    };
    let main = html! {
        h1 { "Try a budget: what would it come to?" }
        (range.links(SCREEN.path))
        section.card aria-label="A budget" { (form(&fields, held.traces_per_second, amount)) }
        div id="tried" aria-live="polite" {
            (card("budgets", &format!("{} traces/s, with the history of this time", number(amount)), &body))
            p.buttons {
                a.button href=(link("/console/budget", &[("amount", &amount.to_string()), ("unit", AMOUNT)])) {
                    "Use " (number(amount)) " traces/s…"
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

/// The budgets of the table: half of the present one, itself, double, and the one that is tried.
fn listed(held: f64, amount: f64) -> String {
    let mut budgets = vec![0.5 * held, held, 2.0 * held, amount];
    budgets.retain(|budget| *budget > 0.0);
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    let budgets: Vec<String> = budgets.iter().map(f64::to_string).collect();
    budgets.join(",")
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

fn table(trial: &Trial, held: f64, amount: f64) -> Markup {
    let worst = trial
        .budgets
        .iter()
        .map(|of| of.worst_window_traces_per_second);
    let most = worst.fold(0.0, f64::max);
    let (Some(start), Some(end)) = (trial.start, trial.end) else {
        return html! { p.quiet { "Too little is counted in this time: ten windows are played before any counts." } };
    };
    html! {
        div.scroll tabindex="0" role="group" aria-label="Budgets" { table {
            caption { (trial.caption(start, end)) }
            thead { tr {
                th scope="col" { "Budget" }
                th.figure scope="col" { "Kept/s" }
                th.figure scope="col" { "Traces a month" }
                th.figure scope="col" { "Coverage" }
                th.figure scope="col" { "Worst " (trial.one()) }
                th scope="col" { span.unseen { "Drawing" } }
                th.figure scope="col" { "Everything kept" }
            } }
            tbody { @for of in &trial.budgets { (of.row(held, amount, most)) } }
        } }
        p.quiet { "Coverage is the part of operations that show a trace within 5 minutes. Everything is kept while less is offered than the \
            budget." }
        ul.quiet id="approximations" aria-label="What is approximate" {
            @for said in &trial.approximations { li { (said) } }
        }
    }
}

impl Trial {
    /// What is played, one of it.
    fn one(&self) -> &'static str {
        match &*self.played {
            "steps" => "step",
            _ => "window",
        }
    }

    fn caption(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> String {
        let each = self.step_seconds.unwrap_or(0.0);
        let plural = if self.windows == 1 { "" } else { "s" };
        format!(
            "{} {}{plural} of {}, {} in all, from {} to {} UTC, and {} operations, played again by the allocation",
            self.windows,
            self.one(),
            length(each),
            length(self.seconds),
            minute(start),
            minute(end),
            self.operations_alone + self.operations_together,
        )
    }
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

impl Tried {
    fn row(&self, held: f64, amount: f64, most: f64) -> Markup {
        let (budget, kept) = (
            self.budget_traces_per_second,
            self.expected_sampled_traces_per_second,
        );
        let worst = self.worst_window_traces_per_second;
        html! { tr {
            th scope="row" { (number(budget)) @if budget == held { " (now)" } @else if budget == amount { " (tried)" } }
            td.figure { (number(kept)) }
            td.figure { (a_month(kept)) }
            td.figure { (percent(self.coverage)) }
            td.figure title=(minute(self.worst_window_start)) { (number(worst)) " (" (change(budget, worst)) ")" }
            td { (bar(if most > 0.0 { worst / most } else { 0.0 })) }
            td.figure { (percent(self.unbound_ratio)) " of the time" }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_listed_once() {
        assert_eq!(listed(20.0, 30.0), "10,20,30,40");
        assert_eq!(listed(20.0, 40.0), "10,20,40");
        assert_eq!(listed(0.0, 7.5), "7.5");
    }
}
