//! Checks the tables, creates partitions ahead, deletes data past its retention, and forgets silent
//! operations.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::room::Crowding;
use super::windows::POLL_WINDOWS;
use super::{Job, JobContext};
use crate::allocation::{OperationId, Plan, Timestamp, WINDOWS_READ_MAX};
use crate::clock::{Clock, date};
use crate::configuration::Configuration;
use crate::names::forget;
use crate::store::{DictionaryLimits, Retention, SeriesBefore, StepsKept};
use crate::telemetry::metrics::JobName;
use crate::view::silent::{is_silent, unsettled, windows_of};

/// How much longer deltas and plan bodies stay than they are needed, so that nobody reads what is
/// dropped.
const SPARE: Duration = Duration::from_secs(3600);

/// How long final names stay: three times as long as they are read.
const FINAL_NAMES: Duration = Duration::from_secs(15 * 60);

/// How much longer history stays where it is not summed into coarser steps yet.
const SUMMED_LATE: Duration = Duration::from_secs(2 * 24 * 3600);

/// How long what was recorded of changes stays: a year, and a month to look at it.
const AUDIT: Duration = Duration::from_secs(400 * 24 * 3600);

/// States of the dictionary that are remembered. Every replica reads the changes at least once an
/// interval, and one interval seldom brings this many new names. At 100 bytes each: 1 MB.
const DICTIONARY_STATES: u32 = 10_000;

/// The job.
pub struct Maintain {
    /// Shared with the other jobs.
    pub shared: JobContext,
    /// The greatest age of an accepted report. Deltas are needed that long.
    pub report_age_max: Duration,
    /// How long after its end a window waits for reports.
    pub grace: Duration,
    /// How long history is stored.
    pub history: Duration,
    /// How long coarser steps are stored.
    pub steps: StepsKept,
    /// How long a silent operation is remembered.
    pub retire_after: Duration,
    /// How many names there is room for.
    pub names: DictionaryLimits,
    /// Limits how fast old data is deleted.
    pub pace: RetentionPace,
}

/// How long an operator has to correct a clock that is wrong when a process starts, before all
/// stored data has been deleted.
const RIGHTED: Duration = Duration::from_secs(4 * 3600);

/// Lets retention advance at most twice as fast as time passes.
///
/// Otherwise a clock that is set a day ahead by mistake would delete a day of history, and the
/// marks that tell reports from their repetitions. With this limit there are hours to correct it. A
/// process that starts with such a clock cannot tell it from a day without a running Weir. So it
/// begins where the last plan ended, and takes hours to catch up.
#[derive(Debug)]
pub struct RetentionPace {
    last: Mutex<(Timestamp, Duration)>,
    /// How many times faster than time it may advance.
    speed: i64,
}

impl RetentionPace {
    /// Begins now, from the last plan.
    #[must_use]
    pub fn from(clock: &dyn Clock, plan: &Plan) -> Self {
        let now = clock.timestamp();
        let known = if plan.number == 0 {
            now
        } else {
            now.min(plan.window.end)
        };
        let behind = now.0.saturating_sub(known.0);
        Self {
            last: Mutex::new((known, clock.counted())),
            speed: 2 + behind / RIGHTED.as_millis() as i64,
        }
    }

    fn at(&self, clock: &dyn Clock) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, read) = (clock.timestamp(), clock.counted());
        let (before, then) = *last;
        let passed = read.saturating_sub(then).as_millis() as i64;
        let paced = Timestamp(
            now.0
                .min(before.0.saturating_add(passed.saturating_mul(self.speed))),
        );
        *last = (paced, read);
        paced
    }
}

#[async_trait]
impl Job for Maintain {
    fn name(&self) -> JobName {
        JobName::Maintain
    }

    fn schedule(&self) -> &'static str {
        "0 */5 * * * *"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Every replica checks: its role and its search_path are its own.
        self.shared.store.inspect().await?;
        let now = self.shared.clock.timestamp();
        if self.shared.leadership.term().is_none() {
            return Ok(());
        }
        let settled = self.shared.store.settled_until().await?;
        let summed = self.shared.store.series_mark().await?.until;
        let retention = self.retention(self.pace.at(&*self.shared.clock), settled, summed);
        if let Some(settled) = settled.filter(|settled| *settled < retention.deltas_before) {
            tracing::warn!(
                settled_until = %date(settled),
                dropped_before = %date(retention.deltas_before),
                "history was not settled in time: deleting counts of late reports that it does not contain"
            );
        }
        let maintained = self.shared.store.maintain(now, retention).await?;
        let revisions = maintained.configuration_revisions as f64;
        self.shared.metrics.configuration_revisions.set(revisions);
        self.forget().await
    }
}

impl Maintain {
    /// Forgets operations that nobody reports any more.
    async fn forget(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let served = self.shared.served.snapshot();
        let (retire_after, limits) = (self.retire_after, self.names);
        let names = self.shared.dictionary.names();
        let (plan, known) = (Arc::clone(&served), Arc::clone(&names));
        // A plan may have a million operations.
        let looking = tokio::task::spawn_blocking(move || {
            let silent = silent(plan.plan(), retire_after);
            let retired = silent.iter().copied().collect();
            let crowding = Crowding::of(plan.plan(), &known, limits, &retired);
            (silent, crowding)
        });
        let (mut silent, crowding) = looking.await?;
        let retired = silent.len();
        if !crowding.is_none() {
            let stored = self.shared.store.configuration().await?;
            // What it names must stay, so nothing else goes while it cannot be read.
            if let Ok(configuration) = Configuration::read(&stored) {
                let mut keep = configuration.operations(&names);
                keep.extend(silent.iter().copied());
                silent.extend(crowding.relieve(served.plan(), &names, &keep));
            }
        }
        let chosen = silent.len();
        let Some(since) = unsettled(served.plan(), self.shared.clock.timestamp()) else {
            return Ok(());
        };
        let store = &*self.shared.store;
        let forgotten = forget(store, served.named_in(), since, silent, |_| None).await?;
        if forgotten.removed > 0 {
            tracing::info!(
                operations = forgotten.removed,
                to_make_room = chosen - retired,
                "forgot operations that nobody reported any more"
            );
        }
        Ok(())
    }
}

impl Maintain {
    /// What may be deleted now.
    #[must_use]
    pub fn retention(
        &self,
        now: Timestamp,
        settled: Option<Timestamp>,
        summed: Option<Timestamp>,
    ) -> Retention {
        let before = |age: Duration| Timestamp(now.0.saturating_sub(age.as_millis() as i64));
        let history_before = until_summed(
            before(self.history),
            before(self.history + SUMMED_LATE),
            summed,
        );
        Retention {
            deltas_before: until_settled(
                before(self.report_age_max.max(self.planned_from()) + SPARE),
                before(self.history),
                settled,
            ),
            polls_before: before(POLL_WINDOWS * self.shared.interval + self.grace),
            final_names_before: before(FINAL_NAMES.max(4 * self.shared.interval)),
            observations_before: before(self.shared.observations_kept() + self.grace),
            history_before,
            series_before: SeriesBefore {
                windows: history_before,
                ten_minutes: before(self.steps.ten_minutes),
                hours: before(self.steps.hours),
                days: before(self.steps.days),
            },
            plan_bodies_before: before(SPARE),
            revisions: Configuration::REVISIONS,
            audit_before: before(AUDIT),
            // A report that old is refused whatever its sequence, so its mark is not needed.
            agents_before: before(self.report_age_max * 2 + SPARE),
            dictionary_states: DICTIONARY_STATES,
        }
    }
}

impl Maintain {
    /// How long after its start a window is last read for a plan.
    fn planned_from(&self) -> Duration {
        WINDOWS_READ_MAX as u32 * self.shared.interval + self.grace
    }
}

/// Counts from before `used` are not needed for plans any more. They stay until they are settled,
/// but no longer than history does.
fn until_settled(used: Timestamp, history: Timestamp, settled: Option<Timestamp>) -> Timestamp {
    let longest = used.min(history);
    settled.unwrap_or(longest).clamp(longest, used)
}

/// History from before `kept` stays until it is summed, but not from before `longest`.
fn until_summed(kept: Timestamp, longest: Timestamp, summed: Option<Timestamp>) -> Timestamp {
    summed.unwrap_or(kept).clamp(longest, kept)
}

/// Named operations that were not reported for this long.
fn silent(plan: &Plan, retire_after: Duration) -> Vec<OperationId> {
    let windows = windows_of(plan, retire_after);
    let operations = plan.operations.iter();
    operations
        .filter(|known| is_silent(known, windows))
        .map(|known| known.operation)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_until_they_are_settled_but_not_for_ever() {
        let before = |settled: Option<i64>| {
            until_settled(Timestamp(98), Timestamp(76), settled.map(Timestamp)).0
        };
        assert_eq!(before(Some(99)), 98, "settled in time");
        assert_eq!(before(Some(90)), 90, "settled late");
        assert_eq!(before(Some(10)), 76, "not settled for days");
        assert_eq!(before(None), 76, "never settled");
        assert_eq!(until_settled(Timestamp(98), Timestamp(99), None).0, 98);
        let summed =
            |until: Option<i64>| until_summed(Timestamp(76), Timestamp(28), until.map(Timestamp)).0;
        assert_eq!(
            [None, Some(80), Some(50), Some(9)].map(summed),
            [76, 76, 50, 28]
        );
    }
}
