//! Are we on budget? What is kept against the budget, who spends it, what needs a look, and what was changed last.

mod look;
mod verdict;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use self::look::{Look, Rules};
use self::verdict::Verdict;
use super::budget::Budget;
use super::call::{Asker, Call};
use super::changes::Audit;
use super::form::Fields;
use super::history::{History, Kept, Range};
use super::page::format::{a_month, number, percent};
use super::page::plots::{bar, sparkline};
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, card, service_link};
use super::sign_in;

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/",
    name: "Overview",
};

/// How many services and changes are shown.
const SERVICES: usize = 8;
const CHANGES: usize = 5;

/// Over how many seconds the figure in large letters is taken, if a window is not longer.
const LATELY_SECONDS: f64 = 60.0;

/// What is read of the current plan.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    window: Window,
    serving: String,
    stale: bool,
    age_seconds: f64,
    budget_traces_per_second: f64,
    offered_per_second: f64,
    observed_sampled_traces_per_second: f64,
    due_sampled_traces_per_second: f64,
    level_traces_per_second: Option<f64>,
    missing_traces_per_second: f64,
    completeness: f64,
    agents_missing: usize,
    services_unheard: usize,
    coverage: f64,
    services: usize,
    operations: usize,
}

#[derive(Debug, Clone, Deserialize)]
struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Plan {
    /// What was kept in its window, before history has it.
    fn kept(&self) -> Kept {
        let seconds = (self.window.end - self.window.start).num_milliseconds() as f64 / 1000.0;
        let seconds = seconds.max(0.001);
        Kept {
            kept: self.observed_sampled_traces_per_second,
            // At most: of n requests with the probability p, n·p·(1-p) is the variance.
            chance: 2.0 * (self.due_sampled_traces_per_second / seconds).sqrt(),
            budget: Some(self.budget_traces_per_second),
            seconds,
        }
    }
}

/// A service of the list.
#[derive(Debug, Clone, Deserialize)]
struct Service {
    service: String,
    group: Option<String>,
    offered_per_second: f64,
    share_traces_per_second: f64,
    part_of_budget: f64,
    applies_strategy: Option<bool>,
    sparkline: Option<Sparkline>,
}

#[derive(Debug, Clone, Deserialize)]
struct Sparkline {
    observed_sampled_traces_per_second: Vec<Option<f64>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Services {
    services: Vec<Service>,
}

/// Everything that the screen shows; each part may fail by itself.
struct Overview {
    range: Range,
    sparkline: &'static str,
    now: DateTime<Utc>,
    is_operator: bool,
    saved: bool,
    plan: Result<Plan, Trouble>,
    budget: Result<Budget, Trouble>,
    lately: Result<History, Trouble>,
    history: Result<History, Trouble>,
    spend: Result<Services, Trouble>,
    hardest: Result<Services, Trouble>,
    rules: Result<Rules, Trouble>,
    changes: Result<Audit, Trouble>,
}

/// Shows it to a browser; other clients hear that there is nothing.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    if !sign_in::wants_page(asker.request.headers()) {
        return Ok(sign_in::no_page());
    }
    let shown = Overview::read(&asker).await;
    let markup = shown.markup();
    Ok(Frame::of(&asker, SCREEN, "Overview").ok(markup))
}

impl Overview {
    async fn read(asker: &Asker) -> Self {
        let fields = Fields::of_query(&asker.request);
        let range = Range::asked(&fields, &asker.console);
        let history = || range.of(Call::get("/v1/history"), &asker.console);
        let spend = Call::get("/v1/services").query("sort", "kept");
        let spend = spend
            .query("limit", SERVICES)
            .query("sparkline", asker.console.sparkline());
        let hardest = Call::get("/v1/services").query("sort", "probability");
        Self {
            range,
            sparkline: asker.console.sparkline(),
            now: asker.console.clock.now(),
            is_operator: asker.is_operator(),
            saved: fields.get("saved").is_some(),
            plan: asker.ask(Call::get("/v1/plans/current")).await,
            budget: asker.ask(Call::get("/v1/budget")).await,
            lately: asker
                .ask(Range::lately(&asker.console, LATELY_SECONDS))
                .await,
            history: asker.ask(history()).await,
            spend: asker.ask(spend).await,
            hardest: asker.ask(hardest.query("limit", 1)).await,
            rules: asker.ask(Call::get("/v1/rules").query("limit", 200)).await,
            changes: asker
                .ask(Call::get("/v1/audit").query("limit", CHANGES))
                .await,
        }
    }

    fn markup(&self) -> Markup {
        html! {
            h1.unseen { "Overview: are we on budget?" }
            @if self.saved {
                p.saved role="status" { "Saved. The next plan applies it, and SDKs with their next poll." }
            }
            div id="live" {
                (self.figures())
                div.columns {
                    (self.kept())
                    (card("look", "Needs a look", &self.look()))
                    (card("spend", "Who spends it", &self.spend()))
                    (card("changes", "Last changes", &self.changes()))
                }
            }
        }
    }

    fn figures(&self) -> Markup {
        let plan = match &self.plan {
            Ok(plan) => plan,
            Err(trouble) if trouble.is_missing() => return self.first(),
            Err(trouble) => return html! { section.card.head { (trouble.sentence()) } },
        };
        let lately = self.lately.as_ref().ok();
        let kept = lately.and_then(|of| of.lately(LATELY_SECONDS, plan.window.end));
        let kept = kept.unwrap_or_else(|| plan.kept());
        let verdict = Verdict::of(plan, kept);
        let budget = plan.budget_traces_per_second;
        let now = kept.kept;
        html! {
            section.card.head aria-labelledby="verdict" {
                p.large { strong { (number(now)) } " of " (number(budget)) " traces/s" }
                dl.figures {
                    (verdict.shown())
                    (fact(&format!("{} requests/s", number(plan.offered_per_second)), &kept_of(now, plan.offered_per_second)))
                    (fact(&format!("≈ {} traces a month", a_month(now)), &self.in_units()))
                    (fact(&heard(plan), &format!("{} of the usual traffic is counted", percent(plan.completeness))))
                    (fact(&format!("{} of operations show a trace in 5 min", percent(plan.coverage)),
                        &format!("{} services, {} operations", plan.services, plan.operations)))
                }
                (self.actions())
            }
        }
    }

    /// Before there is a plan.
    fn first(&self) -> Markup {
        html! {
            section.card.head aria-labelledby="verdict" {
                p.large { "No plan yet" }
                p id="verdict" { "The first plan comes with the first window. Until then, SDKs are served the initial \
                    probability." }
                (self.actions())
            }
        }
    }

    fn in_units(&self) -> String {
        let Ok(budget) = &self.budget else {
            return "at this pace".into();
        };
        match budget.in_other_units() {
            Some(said) => format!("the budget is {said}"),
            None => format!(
                "at this pace; the budget is ≈ {}",
                a_month(budget.traces_per_second)
            ),
        }
    }

    fn actions(&self) -> Markup {
        html! {
            p.buttons {
                a.button href="/console/budget" {
                    @if self.is_operator { "Change the budget…" } @else { "Try another budget…" }
                }
            }
        }
    }

    fn kept(&self) -> Markup {
        let body = match &self.history {
            Ok(history) => history.chart("kept-chart", "Kept against the budget", "budget"),
            Err(trouble) => trouble.sentence(),
        };
        let body = html! { (self.range.links("/")) (body) };
        card("kept", "Kept against the budget", &body)
    }

    fn look(&self) -> Markup {
        let mut looks = Vec::new();
        match &self.plan {
            Ok(plan) => {
                looks.extend(Look::at_plan(plan));
                let lately = self.lately.as_ref().ok();
                let applied = lately.map(|of| of.applied(plan.window.end));
                looks.extend(applied.and_then(|of| Look::at_applied(plan, of)));
            }
            Err(trouble) if trouble.is_missing() => {}
            Err(trouble) => return trouble.sentence(),
        }
        if let Ok(hardest) = &self.hardest {
            looks.extend(hardest.services.iter().filter_map(Look::at_hardest));
        }
        if let Ok(spend) = &self.spend {
            looks.extend(spend.services.iter().filter_map(Look::at_service));
        }
        if let Ok(rules) = &self.rules {
            looks.extend(rules.looks(self.now));
        }
        html! {
            @if looks.is_empty() { p.quiet { "Nothing." } }
            ul.list { @for look in &looks { li { (look.shown()) } } }
        }
    }

    fn spend(&self) -> Markup {
        let services = match &self.spend {
            Ok(spend) => &spend.services,
            Err(trouble) => return trouble.sentence(),
        };
        html! {
            div.scroll tabindex="0" role="group" aria-label="Who spends it" { table {
                caption.unseen { "The services that are given most of the budget" }
                thead { tr {
                    th scope="col" { "Service" }
                    th.figure scope="col" { "Offered/s" }
                    th.figure scope="col" { "Kept/s" }
                    th scope="col" { "Part of the budget" }
                    th.figure scope="col" { "Kept %" }
                    th scope="col" { (self.sparkline) }
                } }
                tbody { @for service in services { (service.row()) } }
            } }
            @if services.is_empty() { p.quiet { "No service was counted yet." } }
        }
    }

    fn changes(&self) -> Markup {
        let entries = match &self.changes {
            Ok(audit) => &audit.entries,
            Err(trouble) => return trouble.sentence(),
        };
        html! {
            @if entries.is_empty() { p.quiet { "Nothing was changed yet." } }
            ol.list { @for entry in entries { li { (entry.short(self.now)) } } }
        }
    }
}

impl Service {
    fn row(&self) -> Markup {
        let line = self.sparkline.as_ref();
        let line = line.map(|of| sparkline(&of.observed_sampled_traces_per_second, "Kept lately"));
        html! {
            tr {
                th scope="row" {
                    (service_link(&self.service))
                    @if let Some(group) = &self.group { " " span.tag { (group) } }
                }
                td.figure { (number(self.offered_per_second)) }
                td.figure { (number(self.share_traces_per_second)) }
                td { (bar(self.part_of_budget)) }
                td.figure { (kept_part(self.share_traces_per_second, self.offered_per_second)) }
                td { @if let Some(line) = line { (line) } @else { "–" } }
            }
        }
    }
}

fn fact(value: &str, beside: &str) -> Markup {
    html! { div { dd { strong { (value) } span.quiet { (beside) } } } }
}

fn kept_part(kept: f64, offered: f64) -> String {
    match offered > 0.0 {
        true => percent((kept / offered).min(1.0)),
        false => "–".into(),
    }
}

fn kept_of(kept: f64, offered: f64) -> String {
    match offered > 0.0 {
        true => format!("{} of them are kept", percent((kept / offered).min(1.0))),
        false => "nothing is counted".into(),
    }
}

fn heard(plan: &Plan) -> String {
    match plan.agents_missing {
        0 => "All agents are heard".into(),
        1 => "1 agent is late".into(),
        missing => format!("{missing} agents are late"),
    }
}
