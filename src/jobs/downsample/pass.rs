//! Goes through the history of a range of windows: sums it by ten minutes, and finds the windows whose sums changed.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::fold::Fold;
use super::in_force::InForce;
use super::steps::{StepSums, rows};
use super::{Downsample, Standing};
use crate::allocation::{Timestamp, Window};
use crate::store::{Covered, HistoryRow, SeriesAsked, SeriesOf, SeriesRow, SeriesStep, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::worker::blocking;

/// Windows of history that may wait to be summed, and whose sums may wait to be written.
const AHEAD: usize = 2;

/// Rows that are written at once.
const TOGETHER: usize = 200;

/// The windows before the first one whose history is read, too: what they were served after it was in force in
/// the first.
const BEFORE: i64 = 2;

impl Downsample {
    /// Sums windows that start in a range of at most an hour. Returns the rows of those that changed, as far as they are
    /// not written yet: an hour of many services is too large to wait as a whole. None if what was written says that
    /// this has to begin again.
    pub(super) async fn pass(
        &self,
        range: Window,
        standing: &Standing,
    ) -> Result<Option<(Vec<StepSums>, Vec<SeriesRow>)>, StoreError> {
        let shared = &self.shared;
        let in_force = InForce::read(shared, range.start..range.end).await?;
        let mut fold = Fold::new(Arc::clone(&standing.names), in_force);
        let (history, mut read) = mpsc::channel::<HistoryRow>(AHEAD);
        let (summed, written) = mpsc::channel::<Vec<SeriesRow>>(AHEAD);
        let folding = blocking(move || {
            let mut steps = vec![StepSums::default(); SeriesStep::TenMinutes.in_row()];
            while let Some(row) = read.blocking_recv() {
                let Some(window) = summed_window(&mut fold, &row, range) else {
                    continue;
                };
                let place = (row.window.start.0 - super::floor(range.start, super::HOUR).0)
                    / SeriesStep::TenMinutes.milliseconds();
                if let Some(step) = usize::try_from(place).ok().and_then(|at| steps.get_mut(at)) {
                    step.add(&window);
                }
                let rows = rows(SeriesStep::Window, row.window, &[window]);
                if summed.blocking_send(rows).is_err() {
                    // Nobody needs the rest: the run has ended.
                    break;
                }
            }
            steps
        });
        let interval = shared.interval.as_millis() as i64;
        let before = Timestamp(range.start.0.saturating_sub(BEFORE * interval));
        let reading = shared
            .store
            .stream_history(before..range.end, u32::MAX, None, history);
        let writing = self.write_windows(written, standing);
        let (read, steps, written) = tokio::join!(reading, folding, writing);
        read?;
        Ok(written?.map(|waiting| (steps, waiting)))
    }

    /// Writes the rows of windows that differ from what is stored, and returns the last of them.
    async fn write_windows(
        &self,
        mut summed: mpsc::Receiver<Vec<SeriesRow>>,
        standing: &Standing,
    ) -> Result<Option<Vec<SeriesRow>>, StoreError> {
        let mut standing = standing.clone();
        let mut waiting: Vec<SeriesRow> = Vec::new();
        while let Some(rows) = summed.recv().await {
            if !self.differs(&rows).await? {
                continue;
            }
            waiting.extend(rows);
            if waiting.len() >= TOGETHER {
                let until = standing.until;
                if !self.write(&mut standing, &waiting, until).await? {
                    return Ok(None);
                }
                waiting.clear();
            }
        }
        Ok(Some(waiting))
    }

    async fn differs(&self, rows: &[SeriesRow]) -> Result<bool, StoreError> {
        let Some(first) = rows.first() else {
            return Ok(false);
        };
        let start = first.window.start;
        let asked = SeriesAsked {
            step: SeriesStep::Window,
            from: start,
            until: Timestamp(start.0.saturating_add(1)),
            of: SeriesOf::All,
            class: None,
        };
        Ok(self.stored(asked).await? != rows)
    }
}

/// The sums of a window in the range; none of one before it. Of a window that cannot be read, it is known
/// that it is missing.
fn summed_window(fold: &mut Fold, row: &HistoryRow, range: Window) -> Option<StepSums> {
    let is_before = row.window.start < range.start;
    let summed = match is_before {
        true => fold.pass(row).map(|()| None),
        false => fold.window(row).map(Some),
    };
    summed.unwrap_or_else(|error| {
        log_seldom!(
            warn,
            error = chain(&error),
            window_start_ms = row.window.start.0,
            "a window's history cannot be read: it is missing in the sums"
        );
        let covered = Covered {
            unreadable: 1,
            ..Covered::default()
        };
        (!is_before).then(|| StepSums {
            covered,
            ..StepSums::default()
        })
    })
}
