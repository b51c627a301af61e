//! What needs a look: what is wrong first, then what is worth knowing.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Plan, Service};
use crate::console::page::format::{ago, length, number, percent};
use crate::console::page::{service_link, service_path};
use crate::view::applied::Kept as Applied;

/// A rule that runs out within this time is worth knowing.
const SOON: TimeDelta = TimeDelta::hours(24);

/// A service is cut hard if less than this part of its requests is kept.
const HARD: f64 = 0.05;

/// Something that needs a look.
pub struct Look {
    class: &'static str,
    sign: &'static str,
    what: Markup,
    more: Markup,
}

impl Look {
    fn new(class: &'static str, sign: &'static str, what: Markup, more: Markup) -> Self {
        Self {
            class,
            sign,
            what,
            more,
        }
    }

    /// As an entry of the list.
    pub fn shown(&self) -> Markup {
        html! {
            p { span class=(self.class) aria-hidden="true" { (self.sign) " " } (self.what) }
            p.quiet { (self.more) }
        }
    }

    /// What the plan says of the whole fleet.
    pub fn at_plan(plan: &Plan) -> Vec<Self> {
        let mut looks = Vec::new();
        if plan.stale {
            looks.push(Self::new(
                "bad",
                "▲",
                html! { "There was no new plan for " strong { (length(plan.age_seconds)) } },
                html! { "SDKs are served the last one. See the log, and " a href="/readyz" { "/readyz" } },
            ));
        }
        if plan.agents_missing > 0 {
            looks.push(Self::new(
                "warn",
                "▲",
                html! { strong { (plan.agents_missing) " agents" } " are later than usual" },
                html! { (plan.services_unheard) " services are not heard whole; their traffic is assumed to go on" },
            ));
        }
        if plan.missing_traces_per_second > 0.0 {
            looks.push(Self::new(
                "warn",
                "▲",
                html! { "Floors are not met by " strong { (number(plan.missing_traces_per_second)) " traces/s" } },
                html! { "The budget or a cap is too small for them" },
            ));
        }
        looks
    }

    /// Whether the fleet's SDKs apply what they are served, if enough windows say it.
    pub fn at_applied(plan: &Plan, applied: Applied) -> Option<Self> {
        let verdict = applied.verdict().filter(|_| plan.serving == "plan")?;
        let of = |what: &str| {
            let windows = applied.windows;
            html! { (number(applied.part())) " of what was due was kept in the last " (windows) " windows" (what) }
        };
        Some(match verdict {
            true => Self::new(
                "good",
                "✓",
                html! { "SDKs apply what they are served" },
                of(""),
            ),
            false => Self::new(
                "warn",
                "▲",
                html! { "SDKs keep " strong { (number(applied.part())) " times" } " what was due" },
                of(", which chance does not explain: some SDKs do not apply what they are served"),
            ),
        })
    }

    /// The service of which the least part is kept.
    pub fn at_hardest(service: &Service) -> Option<Self> {
        let offered = service.offered_per_second;
        let part = service.share_traces_per_second / offered;
        if !(offered > 0.0 && part < HARD) {
            return None;
        }
        Some(Self::new(
            "warn",
            "▲",
            html! {
                (service_link(&service.service)) " is cut hardest: " strong { (percent(part)) }
                " kept of " (number(offered)) "/s"
            },
            html! { a href=(service_path(&service.service)) aria-label=(format!("why is {} cut", service.service)) { "why" } },
        ))
    }

    /// A service whose SDKs do not apply what they are served.
    pub fn at_service(service: &Service) -> Option<Self> {
        (service.applies_strategy == Some(false)).then(|| {
            Self::new(
                "bad",
                "▲",
                html! { (service_link(&service.service)) " does not apply what it is served" },
                html! { "Its SDKs may have a sampler of their own" },
            )
        })
    }
}

/// The rules, as the list has them.
#[derive(Debug, Clone, Deserialize)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
struct Rule {
    id: String,
    service: String,
    owner: String,
    reason: String,
    state: String,
    expires: Option<String>,
}

impl Rules {
    /// Those that run out soon.
    pub fn looks(&self, now: DateTime<Utc>) -> Vec<Look> {
        let mut ending: Vec<(DateTime<Utc>, &Rule)> = self
            .rules
            .iter()
            .filter(|rule| rule.state == "active")
            .filter_map(|rule| Some((rule.expires.as_deref()?.parse().ok()?, rule)))
            .filter(|(at, _): &(DateTime<Utc>, _)| *at > now && *at - now < SOON)
            .collect();
        ending.sort_by_key(|(at, rule)| (*at, rule.id.clone()));
        ending.truncate(3);
        let look = |(at, rule): (DateTime<Utc>, &Rule)| {
            Look::new(
                "note",
                "◷",
                html! { strong { (rule.id) } " for " code { (rule.service) } " ends " (ago(at, now)) },
                html! { (rule.owner) ": “" (rule.reason) "”" },
            )
        };
        ending.into_iter().map(look).collect()
    }
}
