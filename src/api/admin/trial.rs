//! Tries budgets on the stored history: the windows of the past, played again with the allocation's own code.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use actix_web::Responder;
use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Admin;
use super::history::{instant, late};
use crate::allocation::{OperationCount, OperationId, Policy, Timestamp};
use crate::clock::date;
use crate::configuration::{Configuration, MONTH_SECONDS};
use crate::http::problem::Problem;
use crate::names::{Names, OperationRow};
use crate::store::{HistoryRow, history_codec};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::trial::{Trial, Tried, WARM_UP};

/// The most budgets that are tried at once.
const BUDGETS_MAX: usize = 4;

/// The largest budget, in traces per second.
const BUDGET_MAX: f64 = 1e9;

/// The most windows that are played: a week of the usual interval.
const WINDOWS_MAX: usize = 10_080;

/// The most decisions: operations, times windows, times budgets. They take about a second.
const DECISIONS_MAX: usize = 2_000_000;

/// How long playing may take. What was played until then is returned.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// How far back is played by default.
const DEFAULT_BACK: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Rows that may wait to be played.
const ROWS_AHEAD: usize = 2;

/// Which budgets, and on which time.
#[derive(Deserialize)]
pub(super) struct Wanted {
    traces_per_second: Option<String>,
    start: Option<String>,
    end: Option<String>,
}

#[derive(Serialize)]
struct Document {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    windows: usize,
    seconds: f64,
    offered_per_second: Option<f64>,
    unreadable_windows: usize,
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
}

/// Returns what budgets would have come to.
pub(super) async fn show(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let budgets = wanted.budgets()?;
    let mut starts = wanted.starts(admin.clock.now())?;
    let operations = admin.served.load().plan().operations.len().max(1);
    let windows = DECISIONS_MAX / (operations * budgets.len());
    let windows = windows.clamp(2, WINDOWS_MAX);
    let interval = i64::try_from(admin.interval.as_millis()).unwrap_or(i64::MAX);
    let back = interval.saturating_mul(windows as i64);
    starts.start = starts
        .start
        .max(Timestamp(starts.end.0.saturating_sub(back)));
    let revision = admin.store.configuration().await?;
    let configuration = Configuration::read(&revision).unwrap_or_default();
    let names = admin.dictionary.names();
    let matches = admin.matches.of(&configuration, &names);
    let now = admin.clock.timestamp();
    let snapshot = admin.served.snapshot();
    let known = admin.known(snapshot.plan());
    let policy = configuration.policy_with(&matches, revision.revision, &names, now, known);
    let playing = play(
        Admin::clone(&admin),
        starts,
        windows,
        policy,
        budgets,
        names,
    );
    // Dropping this handle aborts the reading: a client that disconnects ends it.
    let playing = AbortOnDropHandle::new(admin.reads.spawn(playing));
    let played = playing.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "budgets could not be tried");
        Problem::Internal
    })??;
    Ok(Json(played.document()))
}

/// Reads the windows and plays them.
async fn play(
    admin: Admin,
    starts: Range<Timestamp>,
    windows: usize,
    policy: Policy,
    budgets: Vec<f64>,
    names: Arc<Names>,
) -> Result<Played, Problem> {
    let deadline = Instant::now() + TIME_LIMIT;
    let turn = tokio::time::timeout_at(deadline, Arc::clone(&admin.histories).acquire_owned());
    // It keeps a core busy for a moment, as a preview does.
    let preview = tokio::time::timeout_at(deadline, Arc::clone(&admin.previews).acquire_owned());
    let (Ok(Ok(turn)), Ok(Ok(preview))) = (turn.await, preview.await) else {
        return Err(late("too many requests read history"));
    };
    let (rows, read) = mpsc::channel(ROWS_AHEAD);
    let playing = tokio::task::spawn_blocking(move || {
        let _turns = (turn, preview);
        let mut played = Played::new(&policy, &budgets, windows);
        played.all(read, &names, deadline);
        played
    });
    let limit = u32::try_from(windows).unwrap_or(u32::MAX);
    let reading = admin.store.stream_history(starts, limit, None, rows);
    let read = tokio::time::timeout_at(deadline, reading).await;
    let played = playing.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "budgets could not be tried");
        Problem::Internal
    })?;
    match read {
        Ok(read) => read?,
        Err(_) if played.windows == 0 => return Err(late("history could not be read in time")),
        Err(_) => {}
    }
    Ok(played)
}

/// Budgets, and what they came to on the windows so far.
struct Played {
    trials: Vec<(f64, Trial)>,
    warm_up: usize,
    windows: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    unreadable: usize,
}

impl Played {
    fn new(policy: &Policy, budgets: &[f64], windows: usize) -> Self {
        let trial = |budget: &f64| (*budget, Trial::new(policy.clone(), *budget));
        Self {
            trials: budgets.iter().map(trial).collect(),
            warm_up: WARM_UP.min(windows / 2),
            windows: 0,
            first: None,
            last: None,
            unreadable: 0,
        }
    }

    fn all(&mut self, mut rows: mpsc::Receiver<HistoryRow>, names: &Names, deadline: Instant) {
        while let Some(row) = rows.blocking_recv() {
            if Instant::now() > deadline {
                break;
            }
            match history_codec::decode(&row.payload) {
                Ok(operations) => {
                    let counts = operations.iter();
                    let counts = counts.filter_map(|of| count(of.operation, of.offered, names));
                    self.window(&row, &counts.collect::<Vec<_>>());
                }
                Err(error) => {
                    self.unreadable += 1;
                    log_seldom!(
                        error,
                        error = chain(&error),
                        window_start_ms = row.window.start.0,
                        "a window's history cannot be read"
                    );
                }
            }
        }
    }

    fn window(&mut self, row: &HistoryRow, counts: &[OperationCount]) {
        for (_, trial) in &mut self.trials {
            trial.play(row.window, counts, self.warm_up);
        }
        self.windows += 1;
        if self.windows > self.warm_up {
            self.first = self.first.or(Some(row.window.start));
            self.last = Some(row.window.end);
        }
    }

    fn document(&self) -> Document {
        let tried = self.trials.first().map(|(_, trial)| trial.tried());
        let tried = tried.unwrap_or_default();
        let known = tried.seconds > 0.0;
        let budgets = self.trials.iter().filter(|_| known);
        Document {
            start: self.first.map(date),
            end: self.last.map(date),
            windows: tried.windows,
            seconds: tried.seconds,
            offered_per_second: known.then(|| tried.offered / tried.seconds),
            unreadable_windows: self.unreadable,
            budgets: budgets
                .map(|(budget, trial)| BudgetDocument::of(*budget, trial.tried()))
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

/// What was offered of an operation; none if nobody knows its name any more.
fn count(operation: OperationId, offered: u64, names: &Names) -> Option<OperationCount> {
    let row = match operation == OperationRow::OVERFLOW.operation {
        true => OperationRow::OVERFLOW,
        false => names.row(operation)?,
    };
    Some(OperationCount {
        operation,
        service: row.service,
        overflow: row.overflow,
        offered,
        sampled: 0,
    })
}
