//! Tries budgets on the history: windows, or the steps that are stored for months, under each of them.
//!
//! `windows` plays the stored windows again, `steps` what services had in coarser steps.

mod said;
mod steps;
mod windows;

use std::ops::Range;
use std::time::Duration;

use actix_web::Responder;
use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use super::Admin;
use super::history::instant;
use super::series;
use crate::allocation::Timestamp;
use crate::clock::date;
use crate::configuration::{Configuration, MONTH_SECONDS};
use crate::http::problem::Problem;
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::trial::Tried;

/// The most budgets that are tried at once.
const BUDGETS_MAX: usize = 4;

/// The largest budget, in traces per second.
const BUDGET_MAX: f64 = 1e9;

/// The most windows that are played: a week of the usual interval.
const WINDOWS_MAX: usize = 10_080;

/// The most decisions on windows: operations, times windows, times budgets. They take about a second.
const DECISIONS_MAX: usize = 2_000_000;

/// How long reading and playing may take. What was played until then is returned.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// How far back is played by default.
const DEFAULT_BACK: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// The length of steps that means windows.
const WINDOW: &str = "window";

/// Which budgets, and on which time.
#[derive(Deserialize)]
pub(super) struct Wanted {
    traces_per_second: Option<String>,
    start: Option<String>,
    end: Option<String>,
    step: Option<String>,
}

#[derive(Serialize)]
struct Document {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    played: &'static str,
    step_seconds: Option<f64>,
    windows: usize,
    seconds: f64,
    offered_per_second: Option<f64>,
    unreadable_windows: u64,
    operations_alone: usize,
    operations_together: usize,
    together_ratio: f64,
    other_ratio: f64,
    approximations: Vec<String>,
    budgets: Vec<BudgetDocument>,
}

/// What a budget would have come to.
#[derive(Serialize)]
struct BudgetDocument {
    budget_traces_per_second: f64,
    expected_sampled_traces_per_second: f64,
    traces_per_month: f64,
    worst_window_traces_per_second: f64,
    worst_window_start: DateTime<Utc>,
    unbound_ratio: f64,
    coverage: f64,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    /// Windows, and how many of the first of them do not count.
    Windows(usize),
    /// Steps of this length, in milliseconds.
    Steps(i64),
}

/// What all budgets came to.
struct Came {
    played: Played,
    /// The first instant that counts, and the one after the last.
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    unreadable: u64,
    /// Whether all was played before the time was over.
    in_time: bool,
    /// Operations that were played by themselves, and together with others.
    alone: usize,
    together: usize,
    together_ratio: f64,
    other_ratio: f64,
    budgets: Vec<(f64, Tried)>,
}

impl Wanted {
    fn budgets(&self) -> Result<Vec<f64>, Problem> {
        let wrong = || Problem::Malformed {
            field: "traces_per_second".into(),
            detail: format!(
                "must be one to {BUDGETS_MAX} numbers above 0 and up to {BUDGET_MAX}, with commas between them"
            ),
        };
        let given = self.traces_per_second.as_deref().ok_or_else(wrong)?;
        let parsed = given.split(',').take(BUDGETS_MAX + 1).map(str::parse);
        let budgets: Vec<f64> = parsed.collect::<Result<_, _>>().map_err(|_| wrong())?;
        let sound = |budget: &f64| *budget > 0.0 && *budget <= BUDGET_MAX;
        match budgets.len() <= BUDGETS_MAX && budgets.iter().all(sound) {
            true => Ok(budgets),
            false => Err(wrong()),
        }
    }

    fn starts(&self, now: DateTime<Utc>) -> Result<Range<Timestamp>, Problem> {
        let end = instant("end", self.end.as_deref())?.unwrap_or(now);
        let before = end.checked_sub_signed(DEFAULT_BACK).unwrap_or(end);
        let start = instant("start", self.start.as_deref())?.unwrap_or(before);
        if start > end {
            return Err(Problem::Malformed {
                field: "start".into(),
                detail: "must not be after end".into(),
            });
        }
        Ok(Timestamp(start.timestamp_millis())..Timestamp(end.timestamp_millis()))
    }

    /// The steps to play; none for windows, which are taken where all of them are stored and there is room for them.
    fn steps(
        &self,
        admin: &Admin,
        starts: &Range<Timestamp>,
        room: &Room,
    ) -> Result<Option<series::Steps>, Problem> {
        let step = self.step.as_deref();
        if step == Some(WINDOW) || (step.is_none() && room.has_all(admin, starts)) {
            return Ok(None);
        }
        let services = admin.dictionary.names().services().count();
        let points = steps::points(room.operations, services, room.budgets);
        let wanted = series::Wanted {
            start: Some(machine(starts.start)),
            end: Some(machine(starts.end)),
            step: self.step.clone(),
            points: Some(points.to_string()),
            by: None,
        };
        series::Steps::asked(&wanted, admin).map(Some)
    }
}

fn machine(at: Timestamp) -> String {
    date(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// How much is to be played.
struct Room {
    operations: usize,
    budgets: usize,
    interval: i64,
}

impl Room {
    /// How many windows there is time for.
    fn windows(&self) -> usize {
        let windows = DECISIONS_MAX / (self.operations.max(1) * self.budgets.max(1));
        windows.clamp(2, WINDOWS_MAX)
    }

    /// Whether all windows of a time are stored, and there is time for them.
    fn has_all(&self, admin: &Admin, starts: &Range<Timestamp>) -> bool {
        let now = admin.clock.timestamp();
        let stored = i64::try_from(admin.history.as_millis()).unwrap_or(i64::MAX);
        let back = now.0.saturating_sub(starts.start.0);
        let windows = starts.end.min(now).0.saturating_sub(starts.start.0) / self.interval.max(1);
        // A page asks a moment after it has said since when.
        back <= stored.saturating_add(2 * self.interval)
            && usize::try_from(windows).is_ok_and(|windows| windows <= self.windows())
    }
}

/// Returns what budgets would have come to.
pub(super) async fn show(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let budgets = wanted.budgets()?;
    let mut starts = wanted.starts(admin.clock.now())?;
    let asked = starts.start;
    let snapshot = admin.served.snapshot();
    let room = Room {
        operations: snapshot.plan().operations.len(),
        budgets: budgets.len(),
        interval: i64::try_from(admin.interval.as_millis()).unwrap_or(i64::MAX),
    };
    let steps = wanted.steps(&admin, &starts, &room)?;
    let revision = admin.store.configuration().await?;
    let configuration = Configuration::read(&revision).unwrap_or_default();
    let names = admin.dictionary.names();
    let matches = admin.matches.of(&configuration, &names);
    let now = admin.clock.timestamp();
    let known = admin.known(snapshot.plan());
    let policy = configuration.policy_with(&matches, revision.revision, &names, now, known);
    let owned = Admin::clone(&admin);
    // Dropping such a handle aborts the reading: a client that disconnects ends it.
    let playing = match steps {
        Some(steps) => admin
            .reads
            .spawn(steps::play(owned, steps, policy, budgets, snapshot)),
        None => {
            let windows = room.windows();
            let back = room.interval.saturating_mul(windows as i64);
            let newest = Timestamp(starts.end.0.saturating_sub(back));
            starts.start = starts.start.max(newest);
            let playing = windows::play(owned, starts, windows, policy, budgets, names);
            admin.reads.spawn(playing)
        }
    };
    let came = AbortOnDropHandle::new(playing).await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "budgets could not be tried");
        Problem::Internal
    })??;
    Ok(Json(came.document(asked)))
}

impl Came {
    fn document(&self, asked: Timestamp) -> Document {
        let tried = self.budgets.first().map(|(_, tried)| *tried);
        let tried = tried.unwrap_or_default();
        let known = tried.seconds > 0.0;
        let budgets = self.budgets.iter().filter(|_| known);
        let step_seconds = match self.played {
            Played::Steps(length) => Some(length as f64 / 1000.0),
            Played::Windows(_) => known.then(|| tried.seconds / tried.windows as f64),
        };
        Document {
            start: self.first.map(date),
            end: self.last.map(date),
            played: match self.played {
                Played::Windows(_) => "windows",
                Played::Steps(_) => "steps",
            },
            step_seconds,
            windows: tried.windows,
            seconds: tried.seconds,
            offered_per_second: known.then(|| tried.offered / tried.seconds),
            unreadable_windows: self.unreadable,
            operations_alone: self.alone,
            operations_together: self.together,
            together_ratio: self.together_ratio,
            other_ratio: self.other_ratio,
            approximations: self.approximations(asked),
            budgets: budgets
                .map(|(budget, tried)| BudgetDocument::of(*budget, *tried))
                .collect(),
        }
    }
}

impl BudgetDocument {
    fn of(budget: f64, tried: Tried) -> Self {
        Self {
            budget_traces_per_second: budget,
            expected_sampled_traces_per_second: tried.kept_per_second(),
            traces_per_month: tried.kept_per_second() * MONTH_SECONDS,
            worst_window_traces_per_second: tried.worst_per_second,
            worst_window_start: date(tried.worst_start),
            unbound_ratio: tried.unbound_seconds / tried.seconds,
            coverage: tried.coverage(),
        }
    }
}
