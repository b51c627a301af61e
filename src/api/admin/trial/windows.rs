//! Plays the stored windows, one after the other, as the allocation would have.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Came, Played, TIME_LIMIT};
use crate::allocation::{OperationCount, OperationId, Policy, Timestamp};
use crate::api::admin::Admin;
use crate::api::admin::history::late;
use crate::http::problem::Problem;
use crate::names::{Names, OperationRow};
use crate::store::{HistoryRow, history_codec};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::trial::{Trial, WARM_UP};

/// Rows that may wait to be played.
const ROWS_AHEAD: usize = 2;

/// Reads the windows and plays them.
pub(super) async fn play(
    admin: Admin,
    starts: Range<Timestamp>,
    windows: usize,
    policy: Policy,
    budgets: Vec<f64>,
    names: Arc<Names>,
) -> Result<Came, Problem> {
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
        let mut played = Windows::new(&policy, &budgets, windows);
        played.all(read, &names, deadline);
        played
    });
    let limit = u32::try_from(windows).unwrap_or(u32::MAX);
    let reading = admin.store.stream_history(starts, limit, None, rows);
    let read = tokio::time::timeout_at(deadline, reading).await;
    let mut played = playing.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "budgets could not be tried");
        Problem::Internal
    })?;
    match read {
        Ok(read) => read?,
        Err(_) if played.windows == 0 => return Err(late("history could not be read in time")),
        Err(_) => played.in_time = false,
    }
    Ok(played.came())
}

/// Budgets, and what they came to on the windows so far.
struct Windows {
    trials: Vec<(f64, Trial)>,
    warm_up: usize,
    windows: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    unreadable: u64,
    in_time: bool,
}

impl Windows {
    fn new(policy: &Policy, budgets: &[f64], windows: usize) -> Self {
        let trial = |budget: &f64| (*budget, Trial::new(policy.clone(), *budget));
        Self {
            trials: budgets.iter().map(trial).collect(),
            warm_up: WARM_UP.min(windows / 2),
            windows: 0,
            first: None,
            last: None,
            unreadable: 0,
            in_time: true,
        }
    }

    fn all(&mut self, mut rows: mpsc::Receiver<HistoryRow>, names: &Names, deadline: Instant) {
        while let Some(row) = rows.blocking_recv() {
            if Instant::now() > deadline {
                self.in_time = false;
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

    fn came(&self) -> Came {
        let mut operations = 0;
        if let Some((_, trial)) = self.trials.first() {
            operations = trial.operations();
        }
        Came {
            played: Played::Windows(self.warm_up),
            first: self.first,
            last: self.last,
            unreadable: self.unreadable,
            in_time: self.in_time,
            alone: operations,
            together: 0,
            together_ratio: 0.0,
            other_ratio: 0.0,
            budgets: self
                .trials
                .iter()
                .map(|(budget, trial)| (*budget, trial.tried()))
                .collect(),
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
