//! The history of the fleet, a group or a service on a page: the range in the page's address, and its chart.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::Console;
use super::call::Call;
use super::form::Fields;
use super::page::chart::{Chart, Marker, Point};
use super::page::format::{length, machine};
use super::page::link;
use crate::view::applied::{Kept as Applied, WINDOWS};

/// The most steps of a chart.
const POINTS: usize = 240;

/// The finest steps that are drawn.
const FINEST_SECONDS: u64 = 5;

/// How far back a chart goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Ten minutes.
    Minutes,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// Thirty days.
    Month,
}

impl Range {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Minutes, "10m", "10 minutes"),
        (Self::Hour, "hour", "Hour"),
        (Self::Day, "day", "Day"),
        (Self::Week, "week", "Week"),
        (Self::Month, "month", "Month"),
    ];

    /// The one that a page's address names. Otherwise an hour, or less where there is a plan every few seconds.
    #[must_use]
    pub fn asked(fields: &Fields, console: &Console) -> Self {
        let given = fields.get("range");
        let found = Self::ALL.iter().find(|(_, name, _)| Some(*name) == given);
        match found {
            Some((range, ..)) => *range,
            None if console.interval.as_secs() <= FINEST_SECONDS => Self::Minutes,
            None => Self::Hour,
        }
    }

    fn length(self) -> TimeDelta {
        match self {
            Self::Minutes => TimeDelta::minutes(10),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
            Self::Week => TimeDelta::weeks(1),
            Self::Month => TimeDelta::days(30),
        }
    }

    /// Asks for what begins in this range.
    #[must_use]
    pub fn starts(self, call: Call, console: &Console) -> Call {
        let now = console.clock.now();
        call.query("start", machine(now - self.length()))
    }

    /// Asks for this range.
    #[must_use]
    pub fn of(self, call: Call, console: &Console) -> Call {
        let call = self.starts(call, console).query("points", POINTS);
        let finest = console.interval.as_secs().max(FINEST_SECONDS);
        match self {
            // Steps of an interval would be too many, and the next are of a minute.
            Self::Minutes if finest < 60 => call.query("step", format!("{finest}s")),
            _ => call,
        }
    }

    /// Asks for the newest windows: enough to say whether SDKs apply what they are served, over at least this time.
    #[must_use]
    pub fn lately(console: &Console, seconds: f64) -> Call {
        let interval = console.interval.as_secs_f64();
        let seconds = seconds.max(WINDOWS as f64 * interval);
        let back = TimeDelta::seconds((seconds + 4.0 * interval).ceil() as i64);
        let start = console.clock.now() - back;
        Call::get("/v1/history").query("start", machine(start))
    }

    /// Links to the same page with other ranges.
    #[must_use]
    pub fn links(self, path: &str) -> Markup {
        html! {
            ul.ranges aria-label="Range" {
                @for (range, name, shown) in Self::ALL {
                    li { a href=(link(path, &[("range", name)]))
                        aria-current=[(range == self).then_some("true")] { (shown) } }
                }
            }
        }
    }
}

/// What the API says of a range.
#[derive(Debug, Deserialize)]
pub struct History {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    step_seconds: f64,
    points: Vec<Step>,
    changes: Vec<Changed>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Step {
    start: DateTime<Utc>,
    seconds: f64,
    observed_sampled_traces_per_second: Option<f64>,
    due_sampled_traces_per_second: Option<f64>,
    chance_traces_per_second: Option<f64>,
    budget_traces_per_second: Option<f64>,
}

/// Something that was changed.
#[derive(Debug, Clone, Deserialize)]
struct Changed {
    at: DateTime<Utc>,
    what: String,
    subject: Option<String>,
    by: Option<String>,
    entry: Option<u64>,
    words: Vec<String>,
}

/// What was kept over some time, and how far from it chance may be.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Traces per second.
    pub kept: f64,
    /// Two standard deviations of it.
    pub chance: f64,
    /// The mean budget, if there was one.
    pub budget: Option<f64>,
    /// Over how many seconds.
    pub seconds: f64,
}

impl History {
    /// What was kept in the newest steps, over at most this time and at least one step. Steps that begin after `until`
    /// are not counted yet.
    #[must_use]
    pub fn lately(&self, seconds: f64, until: DateTime<Utc>) -> Option<Kept> {
        let counted =
            self.points.iter().rev().filter(|step| {
                step.observed_sampled_traces_per_second.is_some() && step.start < until
            });
        let (mut traces, mut variance, mut length) = (0.0, 0.0, 0.0);
        let (mut wanted, mut planned) = (0.0, 0.0);
        for step in counted {
            if length > 0.0 && length + step.seconds > seconds {
                break;
            }
            traces += step.observed_sampled_traces_per_second.unwrap_or(0.0) * step.seconds;
            variance += (step.chance_traces_per_second.unwrap_or(0.0) * step.seconds).powi(2);
            if let Some(budget) = step.budget_traces_per_second {
                wanted += budget * step.seconds;
                planned += step.seconds;
            }
            length += step.seconds;
        }
        (length > 0.0).then(|| Kept {
            kept: traces / length,
            chance: 2.0 * variance.sqrt() / length,
            budget: (planned > 0.0).then(|| wanted / planned),
            seconds: length,
        })
    }

    /// What was kept of what was due in the newest windows that end by then.
    #[must_use]
    pub fn applied(&self, until: DateTime<Utc>) -> Applied {
        let mut applied = Applied::default();
        for step in self.points.iter().rev() {
            let kept = step.observed_sampled_traces_per_second;
            let both = kept.zip(step.due_sampled_traces_per_second);
            if let Some((kept, due)) = both.filter(|_| step.start < until) {
                applied.add(kept * step.seconds, due * step.seconds);
            }
            if applied.windows == WINDOWS {
                break;
            }
        }
        applied
    }

    /// The chart, and what its steps are.
    #[must_use]
    pub fn chart(&self, id: &'static str, title: &str, wanted: &'static str) -> Markup {
        let chart = Chart {
            id,
            title: format!(
                "{title}, from {} to {} UTC",
                said(self.start),
                said(self.end)
            ),
            wanted,
            span: (self.start, self.end),
            points: self.points.iter().map(Step::point).collect(),
            markers: self.changes.iter().map(Changed::marker).collect(),
        };
        html! {
            (chart.shown())
            p.quiet { "Steps of " (length(self.step_seconds)) "." }
        }
    }
}

fn said(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

impl Step {
    fn point(&self) -> Point {
        let due = self.due_sampled_traces_per_second;
        let chance = due.zip(self.chance_traces_per_second);
        Point {
            at: self.start,
            kept: self.observed_sampled_traces_per_second,
            wanted: self.budget_traces_per_second,
            chance: chance.map(|(due, chance)| ((due - 2.0 * chance).max(0.0), due + 2.0 * chance)),
        }
    }
}

impl Changed {
    fn marker(&self) -> Marker {
        let mut text = match self.words.first() {
            Some(words) => words.clone(),
            None => self.what.replace(['.', '_'], " "),
        };
        if let Some(subject) = &self.subject {
            text = format!("{subject}: {text}");
        }
        if let Some(by) = &self.by {
            text += &format!(" ({by})");
        }
        Marker {
            at: self.at,
            text,
            href: self.entry.map(|entry| format!("/console/changes/{entry}")),
        }
    }
}
