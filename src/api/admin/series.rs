//! What the fleet, a group or a service did, step by step, for months back.
//!
//! `asked` chooses the steps, `read` reads them, `changes` says what was changed meanwhile.

mod asked;
mod changes;
mod read;

use std::collections::HashMap;
use std::time::Duration;

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;

pub(super) use self::asked::{POINTS_MAX, Steps, Wanted};
use self::changes::{Change, Changes};
use self::read::{By, Found, Whose};
pub(super) use self::read::{block, every_service};
use super::Admin;
use crate::allocation::{Class, GroupName};
use crate::clock::date;
use crate::configuration::Configuration;
use crate::http::problem::Problem;
use crate::store::{Covered, Sums, TRACE_PARTS};

/// The steps of a sparkline.
const SPARKLINE: usize = 24;

/// The most services that sparklines are drawn of.
pub(super) const SPARKLINES_MAX: usize = 500;

/// Steps of the fleet, a group or a service.
#[derive(Serialize)]
pub(super) struct SeriesDocument {
    service: Option<String>,
    group: Option<String>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    step_seconds: f64,
    settled_until: Option<DateTime<Utc>>,
    unreadable_windows: u64,
    points: Vec<StepDocument>,
    changes: Vec<Change>,
    older_changes: bool,
}

/// A step. Everything is null where nothing was counted.
#[derive(Serialize)]
struct StepDocument {
    start: DateTime<Utc>,
    seconds: f64,
    settled: bool,
    offered: Option<u64>,
    sampled: Option<u64>,
    offered_per_second: Option<f64>,
    observed_sampled_traces_per_second: Option<f64>,
    due_sampled_traces_per_second: Option<f64>,
    chance_traces_per_second: Option<f64>,
    budget_traces_per_second: Option<f64>,
    probability: Option<f64>,
    /// The classes of which anything was counted in the time of the answer; left out if nobody asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<ClassStep>>,
}

/// A step of a class. Everything is null where nothing was counted.
#[derive(Serialize)]
struct ClassStep {
    class: &'static str,
    offered: Option<u64>,
    sampled: Option<u64>,
    offered_per_second: Option<f64>,
    observed_sampled_traces_per_second: Option<f64>,
    due_sampled_traces_per_second: Option<f64>,
    chance_traces_per_second: Option<f64>,
    probability: Option<f64>,
}

/// The last steps of a service in a list.
#[derive(Serialize)]
pub(super) struct Sparkline {
    offered_per_second: Vec<Option<f64>>,
    observed_sampled_traces_per_second: Vec<Option<f64>>,
}

/// When the steps of sparklines are.
#[derive(Serialize)]
pub(super) struct SparklineSteps {
    start: DateTime<Utc>,
    step_seconds: f64,
}

/// Sparklines of services, by name.
#[derive(Default)]
pub(super) struct Sparklines {
    pub steps: Option<SparklineSteps>,
    pub of: HashMap<String, Sparkline>,
}

/// Shows the fleet's history.
pub(super) async fn fleet(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<Json<SeriesDocument>, Problem> {
    document(&admin, &wanted, Whose::Fleet).await.map(Json)
}

/// Shows a group's history.
pub(super) async fn group(
    group: Path<String>,
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<Json<SeriesDocument>, Problem> {
    let group = group.into_inner();
    let unknown = || Problem::NotFound(format!("no group {group:?} is configured or was counted"));
    GroupName::parse(&group).map_err(|_| unknown())?;
    let stored = admin.store.configuration().await?;
    let is_known = Configuration::read(&stored).is_ok_and(|of| of.groups.contains_key(&group));
    let document = document(&admin, &wanted, Whose::Group(group.clone())).await?;
    if !is_known && document.is_empty() {
        return Err(unknown());
    }
    Ok(Json(document))
}

/// A service's history.
pub(super) async fn service(
    admin: &Admin,
    service: String,
    wanted: &Wanted,
) -> Result<SeriesDocument, Problem> {
    let is_known = admin.dictionary.names().find_service(&service).is_some();
    let document = document(admin, wanted, Whose::Services(vec![service.clone()])).await?;
    if !is_known && document.is_empty() {
        return Err(Problem::NotFound(format!(
            "no service {service:?} is known or was counted in this time"
        )));
    }
    Ok(document)
}

async fn document(admin: &Admin, wanted: &Wanted, whose: Whose) -> Result<SeriesDocument, Problem> {
    let steps = Steps::asked(wanted, admin)?;
    let by = wanted.by()?;
    let (start, end) = (date(steps.origin), date(steps.end()));
    let found = read::read(admin, whose.clone(), (steps, by)).await?;
    let changes = Changes::read(admin, start, end).await?;
    let (service, group) = match whose {
        Whose::Fleet | Whose::Everyone => (None, None),
        Whose::Group(group) => (None, Some(group)),
        Whose::Services(mut names) => (names.pop(), None),
    };
    Ok(SeriesDocument {
        service,
        group,
        start,
        end,
        step_seconds: seconds(steps.length),
        settled_until: found.settled_until.map(date),
        unreadable_windows: found.unreadable,
        points: (0..steps.count)
            .map(|place| StepDocument {
                classes: (by == By::Class).then(|| classes(&found, place)),
                ..point(&found, place)
            })
            .collect(),
        changes: changes.listed,
        older_changes: changes.more,
    })
}

impl SeriesDocument {
    /// Whether nothing was counted.
    fn is_empty(&self) -> bool {
        let mut points = self.points.iter();
        points.all(|point| point.offered.unwrap_or(0) == 0)
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn traces(parts: u64) -> f64 {
    parts as f64 / TRACE_PARTS
}

fn point(found: &Found, place: usize) -> StepDocument {
    let start = found.steps.start(place);
    let end = start.0.saturating_add(found.steps.length);
    let covered = found.covered[place];
    let sums = found.sums.first().and_then(Option::as_ref);
    let sums = sums.map_or_else(Sums::default, |all| all[place]);
    let figures = Rates::of(&covered, &sums);
    StepDocument {
        start: date(start),
        seconds: covered.milliseconds as f64 / 1000.0,
        settled: found.settled_until.is_some_and(|until| end <= until.0),
        offered: figures.as_ref().map(|_| sums.offered),
        sampled: figures
            .as_ref()
            .and_then(|of| of.said.then_some(sums.sampled)),
        offered_per_second: figures.as_ref().map(|of| of.offered),
        observed_sampled_traces_per_second: figures.as_ref().map(|of| of.observed),
        due_sampled_traces_per_second: figures.as_ref().map(|of| of.due),
        chance_traces_per_second: figures.as_ref().map(|of| of.chance),
        budget_traces_per_second: figures.as_ref().and_then(|of| of.budget),
        probability: figures.as_ref().and_then(|of| of.probability),
        classes: None,
    }
}

/// What each class had in a step.
fn classes(found: &Found, place: usize) -> Vec<ClassStep> {
    let all = found.classes.iter();
    all.map(|(class, sums)| class_step(*class, &found.covered[place], &sums[place]))
        .collect()
}

fn class_step(class: Class, covered: &Covered, sums: &Sums) -> ClassStep {
    let rates = Rates::of(covered, sums);
    let figure = |of: fn(&Rates) -> f64| rates.as_ref().map(of);
    ClassStep {
        class: class.name(),
        offered: rates.as_ref().map(|_| sums.offered),
        sampled: rates
            .as_ref()
            .and_then(|of| of.said.then_some(sums.sampled)),
        offered_per_second: figure(|of| of.offered),
        observed_sampled_traces_per_second: figure(|of| of.observed),
        due_sampled_traces_per_second: figure(|of| of.due),
        chance_traces_per_second: figure(|of| of.chance),
        probability: rates.as_ref().and_then(|of| of.probability),
    }
}

/// The figures of a step of which something was counted, per second.
struct Rates {
    offered: f64,
    /// What was sampled; where nobody says it, what was due.
    observed: f64,
    due: f64,
    /// A standard deviation of what is sampled, as chance explains it.
    chance: f64,
    budget: Option<f64>,
    probability: Option<f64>,
    /// Whether somebody says what was sampled.
    said: bool,
}

impl Rates {
    fn of(covered: &Covered, sums: &Sums) -> Option<Self> {
        let seconds = covered.milliseconds as f64 / 1000.0;
        if seconds <= 0.0 {
            return None;
        }
        let budget = sums.budget_milliseconds as f64 / 1000.0;
        let (offered, due) = (sums.offered as f64, traces(sums.due));
        Some(Self {
            offered: offered / seconds,
            observed: (sums.sampled as f64 + traces(sums.unsaid)) / seconds,
            due: due / seconds,
            chance: traces(sums.variance).sqrt() / seconds,
            budget: (budget > 0.0).then(|| traces(sums.budget) / budget),
            probability: (offered > 0.0).then(|| (due / offered).min(1.0)),
            said: sums.sampled > 0 || sums.unsaid == 0,
        })
    }
}

/// Sparklines of services over a time back from now.
pub(super) async fn sparklines(
    admin: &Admin,
    length: &str,
    services: Vec<String>,
) -> Result<Sparklines, Problem> {
    let wrong = || Problem::Malformed {
        field: "sparkline".into(),
        detail: "must be a number and a unit, like 24h".into(),
    };
    let length = humantime::parse_duration(length).map_err(|_| wrong())?;
    if length > Duration::from_secs(400 * 24 * 3600) || length.is_zero() {
        return Err(wrong());
    }
    let steps = Steps::back(admin, length, SPARKLINE)?;
    let whose = Whose::Services(services.clone());
    let found = read::read(admin, whose, (steps, By::Nothing)).await?;
    let line = |sums: &Option<Vec<Sums>>| {
        let rates = (0..steps.count).map(|place| {
            let sums = sums.as_ref().map_or_else(Sums::default, |all| all[place]);
            Rates::of(&found.covered[place], &sums)
        });
        let rates: Vec<Option<Rates>> = rates.collect();
        let each = |figure: fn(&Rates) -> f64| {
            let rates = rates.iter();
            rates.map(|rates| rates.as_ref().map(figure)).collect()
        };
        Sparkline {
            offered_per_second: each(|rates| rates.offered),
            observed_sampled_traces_per_second: each(|rates| rates.observed),
        }
    };
    let lines = services.into_iter().zip(&found.sums);
    Ok(Sparklines {
        steps: Some(SparklineSteps {
            start: date(steps.origin),
            step_seconds: seconds(steps.length),
        }),
        of: lines.map(|(name, sums)| (name, line(sums))).collect(),
    })
}
