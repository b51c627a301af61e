//! Settles history: once no report can change a window any more, what it counted is summed
//! again from the deltas, so that late reports and windows without a plan are in it too.

use std::collections::HashMap;
use std::error::Error;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::follow::blocking;
use super::windows::Sums;
use super::{Job, Shared};
use crate::allocation::{OperationId, Timestamp, Window};
use crate::clock::Clock;
use crate::names::Names;
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{BucketCounts, HistoryRow, StoreError};
use crate::telemetry::metrics::JobName;

/// The most time settled at once, so that what is read stays bounded.
const STRETCH: Duration = Duration::from_secs(600);

/// The job.
pub struct Settle {
    /// What the jobs share.
    pub shared: Shared,
    /// The oldest report taken.
    pub report_age_max: Duration,
    /// Up to where history is settled; a new leader begins a stretch back.
    settled: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl Job for Settle {
    fn name(&self) -> JobName {
        JobName::Settle
    }

    fn schedule(&self) -> &'static str {
        "30 * * * * *"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.shared.leadership.epoch().is_none() {
            return Ok(());
        }
        let Some(stretch) = self.stretch(self.shared.clock.timestamp()) else {
            return Ok(());
        };
        let store = &self.shared.store;
        let deltas = store.read_deltas(stretch.clone()).await?;
        let held = store.read_history(stretch.clone()).await?;
        let names = self.shared.dictionary.names();
        let changed = blocking(move || changed(&deltas, &held, &names)).await?;
        if !changed.is_empty() {
            store.write_history(&changed).await?;
            tracing::debug!(windows = changed.len(), "settled history");
        }
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(stretch.end);
        Ok(())
    }
}

impl Settle {
    /// A job that has settled nothing yet.
    #[must_use]
    pub fn new(shared: Shared, report_age_max: Duration) -> Self {
        Self {
            shared,
            report_age_max,
            settled: Mutex::default(),
        }
    }

    /// The windows that can be settled now.
    fn stretch(&self, now: Timestamp) -> Option<Range<Timestamp>> {
        let length = self.shared.interval.as_millis() as i64;
        let final_at = Timestamp(now.0 - self.report_age_max.as_millis() as i64 - 60_000);
        let until = Window::aligned(final_at, length).start;
        let settled = *self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        // What lies ahead was settled by a clock that has been set back since.
        let settled = settled.filter(|settled| *settled <= until);
        let back = Timestamp(until.0 - STRETCH.as_millis() as i64);
        let from = settled.map_or(back, |settled| settled.max(back));
        (from < until).then_some(Window::aligned(from, length).start..until)
    }
}

/// The buckets of deltas, each start once; the longest where two lengths share a start.
///
/// Their own lengths count, not today's interval: it may have been changed since.
fn buckets(deltas: &[BucketCounts]) -> impl Iterator<Item = Window> + use<> {
    let mut found: HashMap<Timestamp, Window> = HashMap::new();
    for delta in deltas {
        let longest = found.entry(delta.bucket.start).or_insert(delta.bucket);
        longest.end = longest.end.max(delta.bucket.end);
    }
    found.into_values()
}

/// The windows whose history says something else than their deltas.
fn changed(
    deltas: &[BucketCounts],
    held: &[HistoryRow],
    names: &Names,
) -> Result<Vec<HistoryRow>, StoreError> {
    let held: HashMap<Timestamp, &HistoryRow> =
        held.iter().map(|row| (row.window.start, row)).collect();
    let mut rows = Vec::new();
    for window in buckets(deltas) {
        let before = match held.get(&window.start) {
            Some(row) => history_codec::decode(&row.payload)?,
            None => Vec::new(),
        };
        let answered: HashMap<OperationId, Option<f32>> = before
            .iter()
            .map(|row| (row.operation, row.probability))
            .collect();
        let after: Vec<HistoryOperation> = Sums::of_bucket(window, deltas)
            .counts(names)
            .operations
            .iter()
            .map(|counted| HistoryOperation {
                operation: counted.operation,
                offered: counted.offered,
                sampled: counted.sampled,
                probability: answered.get(&counted.operation).copied().flatten(),
            })
            .collect();
        if after != before {
            rows.push(HistoryRow {
                window,
                payload: history_codec::encode(&after),
            });
        }
    }
    Ok(rows)
}
