//! Why does an operation have its probability? The sentence, and the ladder from what it offers to what is served.

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Reason, Source, crumbs, sources};
use crate::console::call::{Asker, Call};
use crate::console::effect::figure;
use crate::console::form::Fields;
use crate::console::page::chart::{Chart, Point};
use crate::console::page::format::{a_month, known, length, number, percent};
use crate::console::page::trouble::Trouble;
use crate::console::page::{Frame, card, link, service_path};
use crate::console::services::SCREEN;

#[derive(Debug, Deserialize)]
struct Explanation {
    service: String,
    operation: String,
    demand: Demand,
    counts: Counts,
    settings: Option<Settings>,
    rules: Option<Vec<Rule>>,
    reason: Reason,
    behind: Option<Reason>,
    served: Served,
    share_traces_per_second: f64,
    part_of_budget: f64,
    coverage: f64,
    expected_relative_error: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Demand {
    offered_per_second: f64,
    peak_per_second: f64,
    silent_windows: u32,
    presence: f64,
    history: Option<Vec<Step>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    window_start: DateTime<Utc>,
    window_seconds: f64,
    offered: u64,
    sampled: Option<u64>,
    probability: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    sources: Vec<Source>,
    completeness: f64,
    window_covered: f64,
}

#[derive(Debug, Deserialize)]
struct Settings {
    weight: f64,
    priority: u8,
    floor_traces_per_second: f64,
    cap_traces_per_second: Option<f64>,
    probability_min: f64,
    probability_max: f64,
    probability: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    id: String,
    state: String,
    decides: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Served {
    probability: f64,
    listed: bool,
}

/// Shows an operation.
pub async fn show(
    asker: &Asker,
    service: &str,
    operation: &str,
    _: &Fields,
) -> Result<HttpResponse, Trouble> {
    let call = Call::get("/v1/services/{service}/explanation").at("service", service);
    let held: Explanation = asker.ask(call.query("operation", operation)).await?;
    let boost = format!("{}/boost", service_path(service));
    let main = html! {
        (crumbs(service, Some(operation)))
        h1 { (held.operation) span.quiet { " of " (held.service) } }
        div id="live" {
            section.card.head aria-label="Why" {
                p.large { strong { (percent(held.served.probability)) } " of " (number(held.demand.offered_per_second)) "/s is kept" }
                p.buttons { a.button href=(link(&boost, &[("operation", operation)])) { "Boost for 20 minutes…" } }
                p.why id="why" { "It " (held.reason.explanation) "." }
                @if let Some(behind) = &held.behind { p.quiet { "If nothing kept it there: it " (behind.explanation) "." } }
            }
            div.columns {
                (card("ladder", "From what it offers to what is served", &held.ladder()))
                (card("counts", "Who counts it", &held.counted()))
                (card("history", "Its last windows", &held.history()))
                (card("set", "What is set for it", &held.set()))
            }
        }
    };
    Ok(Frame::of(asker, SCREEN, operation).ok(main))
}

impl Explanation {
    fn ladder(&self) -> Markup {
        let offered = self.demand.offered_per_second;
        let fair = self.reason.target_probability * offered;
        let served = self.served.probability * offered;
        let level = match self.reason.level_traces_per_second {
            Some(level) => format!(
                "at the level of {} traces/s, with weight {}",
                number(level),
                number(self.reason.weight)
            ),
            None => "nothing binds it: all of it".into(),
        };
        let rungs = [
            (
                "Offered",
                offered,
                format!(
                    "root requests before sampling; lately {} at most",
                    number(self.demand.peak_per_second)
                ),
            ),
            (
                "Share",
                fair,
                format!("{level}: {}", percent(self.reason.target_probability)),
            ),
            (
                "Within its bounds",
                self.share_traces_per_second,
                self.bounds(),
            ),
            ("Served", served, self.told()),
        ];
        html! {
            ol.ladder {
                @for (name, value, beside) in rungs {
                    li {
                        span { (name) }
                        strong.figure { (number(value)) "/s" }
                        (rung(value, offered))
                        span.quiet { (beside) }
                    }
                }
            }
            dl.figures {
                (figure("Of the budget", &percent(self.part_of_budget), &format!("≈ {} traces a month", a_month(self.share_traces_per_second))))
                (figure("A trace in 5 minutes", &percent(self.coverage), "how probable it is"))
                (figure("Counted from its traces", &self.error(), "expected error of a count over 5 minutes"))
            }
        }
    }

    fn error(&self) -> String {
        self.expected_relative_error
            .map_or_else(|| "–".into(), |error| format!("± {}", percent(error)))
    }

    fn told(&self) -> String {
        let told = percent(self.served.probability);
        match self.served.listed {
            true => format!("SDKs are told {told}"),
            false => {
                format!("its strategy does not list it: SDKs take the service's default, {told}")
            }
        }
    }

    fn bounds(&self) -> String {
        let Some(set) = &self.settings else {
            return "what is set for it is not known now".into();
        };
        let mut said = Vec::new();
        if set.floor_traces_per_second > 0.0 {
            said.push(format!("floor {}/s", number(set.floor_traces_per_second)));
        }
        if let Some(cap) = set.cap_traces_per_second {
            said.push(format!("cap {}/s", number(cap)));
        }
        if let Some(fixed) = set.probability {
            said.push(format!("fixed at {}", percent(fixed)));
        }
        if set.probability_min > 0.0 {
            said.push(format!("at least {}", percent(set.probability_min)));
        }
        if set.probability_max < 1.0 {
            said.push(format!("at most {}", percent(set.probability_max)));
        }
        let decided = self.reason.binding.replace('_', " ");
        match said.is_empty() {
            true => format!("no bound is set; decided by: {decided}"),
            false => format!("{}; decided by: {decided}", said.join(", ")),
        }
    }

    fn counted(&self) -> Markup {
        let counts = &self.counts;
        html! {
            (sources(&counts.sources))
            p.quiet {
                (percent(counts.completeness)) " of its service's usual traffic is heard; "
                (percent(counts.window_covered)) " of the last window was in."
            }
            @if self.demand.silent_windows > 0 {
                p.quiet {
                    "No report has named it for " (self.demand.silent_windows) " windows; it has traffic in "
                    (percent(self.demand.presence)) " of them."
                }
            }
        }
    }

    fn history(&self) -> Markup {
        let Some(steps) = &self.demand.history else {
            return html! { p.quiet { "Its history cannot be read now." } };
        };
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return html! { p.quiet { "Nothing was counted of it lately." } };
        };
        let end = last.window_start
            + chrono::TimeDelta::milliseconds((last.window_seconds * 1000.0) as i64);
        let due = |step: &Step| {
            Some(step.probability? * step.offered as f64 / step.window_seconds.max(0.001))
        };
        let chart = Chart {
            id: "operation-chart",
            title: format!("Kept of {}", self.operation),
            wanted: "due",
            span: (first.window_start, end),
            points: steps
                .iter()
                .map(|step| Point {
                    at: step.window_start,
                    kept: step
                        .sampled
                        .map(|sampled| sampled as f64 / step.window_seconds.max(0.001)),
                    wanted: due(step),
                    chance: None,
                })
                .collect(),
            markers: Vec::new(),
        };
        html! {
            @if steps.iter().any(|step| step.sampled.is_some()) { (chart.shown()) }
            @else { p.quiet { "Nobody says what was sampled of it." } }
            p.quiet {
                "Windows of " (length(last.window_seconds)) "; " (last.offered) " requests in the last one, which decided "
                (known(last.probability.map(|part| part * 100.0))) " %."
            }
        }
    }

    fn set(&self) -> Markup {
        html! {
            @if let Some(set) = &self.settings {
                p { "Weight " (number(set.weight)) ", priority " (set.priority) "." }
            }
            @match &self.rules {
                Some(rules) if rules.is_empty() => p.quiet { "No rule is for it." },
                Some(rules) => ul.list { @for rule in rules {
                    li { p { code { (rule.id) } " is " (rule.state)
                        @if !rule.decides.is_empty() { ", and decides its " (rule.decides.join(", ").replace('_', " ")) } } }
                } },
                None => p.quiet { "The rules of this plan cannot be read now." },
            }
            p { a href=(format!("{}/settings", service_path(&self.service))) { "Floor, cap and group of " (self.service) } }
        }
    }
}

/// A bar of the ladder: a part of what is offered.
fn rung(value: f64, offered: f64) -> Markup {
    let part = if offered > 0.0 {
        (value / offered).clamp(0.0, 1.0)
    } else {
        0.0
    };
    html! {
        svg viewBox="0 0 400 12" preserveAspectRatio="none" aria-hidden="true" {
            rect.whole width="400" height="12" {}
            rect.filled width=(format!("{:.1}", (part * 400.0).max(1.0))) height="12" {}
        }
    }
}
