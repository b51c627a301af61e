//! The end of a course: all faults are over, and everything must recover.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use weir::allocation::{Binding, OVERFLOW_NAME, Timestamp, Window};
use weir::store::{BucketCounts, history_codec};

use super::checks::{self, Strategy};
use super::fleet::{self, Counts};
use super::replica::{INTERVAL, REPORT_AGE_MAX};
use super::world::World;
use super::{Outcome, ensure};
use crate::support::stored::ReadWhole;

/// After this many windows without a fault, each window has its plan again.
const RECOVERED: u64 = 5;
/// After this many more, the budget is met.
const SETTLED: u64 = 40;
/// The allowed distance from the budget.
const CLOSE: f64 = 0.1;

/// What a return of traffic may cost in an interval, in budgets.
const RETURN: f64 = 15.0;

impl World {
    /// Ends all faults, and checks that everything recovers.
    pub async fn finish(&mut self) -> Outcome {
        self.database_away.store(false, Ordering::Relaxed);
        self.database_clock.set_off(0);
        for place in &mut self.places {
            place.link.faults.cut.store(false, Ordering::Relaxed);
            place.link.faults.unheard.store(0, Ordering::Relaxed);
            place.thaw().await?;
            place.start().await?;
        }
        self.look_at_plans()?;
        self.fleet.calm();
        for window in 0..RECOVERED + SETTLED {
            let before = self.newest;
            self.tick(0).await?;
            for place in &mut self.places {
                place.tidy().await?;
            }
            self.look_at_plans()?;
            let plans = self.newest - before;
            ensure!(
                window < RECOVERED || plans == 1,
                "in window {window} after the last fault {plans} plans were published"
            );
        }
        self.keeps_the_budget()?;
        let deltas = self.deltas().await?;
        self.counts_once(&deltas).await?;
        self.history_is_settled(&deltas).await
    }

    fn keeps_the_budget(&self) -> Outcome {
        let plan = &self.plans[&self.newest];
        let kept = |stream: &fleet::Stream| {
            let told = self.fleet.told.get(&stream.service);
            stream.rate * told.map_or(0.0, |told: &Strategy| told.probability(&stream.name))
        };
        let kept: f64 = self.fleet.streams.iter().map(kept).sum();
        let wanted = plan.fleet.budget.min(self.fleet.offered());
        // Where traffic was much higher for long, its return is bounded for some hours.
        let peaked = plan
            .operations
            .iter()
            .any(|plan| plan.binding == Binding::Peak)
            || plan.fleet.peak > RETURN * plan.fleet.offered;
        // What is missing without a word keeps its part free for a day.
        let missing = plan.agents.iter().any(|agent| agent.missing_windows > 0);
        let least = if peaked || missing { 0.0 } else { wanted };
        ensure!(
            kept <= (1.0 + CLOSE) * wanted && kept >= (1.0 - CLOSE) * least,
            "{kept} traces/s are kept of {wanted}, {SETTLED} windows after the last fault: {plan:?}"
        );
        Ok(())
    }

    async fn deltas(&self) -> Result<Vec<BucketCounts>, String> {
        let all = Timestamp(0)..Timestamp(i64::MAX);
        self.observer
            .read_deltas(all)
            .await
            .map_err(|error| error.to_string())
    }

    /// The stored counts are the counted reports, each once, under its names.
    async fn counts_once(&mut self, deltas: &[BucketCounts]) -> Outcome {
        self.read_names().await?;
        let records = self.ledger.records();
        let mut stored = Counts::new();
        for delta in deltas.iter().chain(&records.dropped) {
            for count in &delta.operations {
                let name = self
                    .names
                    .get(&count.operation)
                    .ok_or("a number without a name")?;
                let total = stored.entry(name.clone()).or_default();
                total.0 += count.offered;
                total.1 += count.sampled;
            }
        }
        let counted = records.counted.iter().map(|key| &self.fleet.made[key]);
        let mut wanted = fleet::sum(counted);
        // What did not fit is in the overflow entry of its service, or of the fleet.
        let mut overflow: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        stored.retain(|(service, operation), total| {
            let named = operation != OVERFLOW_NAME;
            if !named {
                overflow.insert(service.clone(), *total);
            }
            named
        });
        for (name, total) in &stored {
            let wanted = wanted
                .get_mut(name)
                .ok_or_else(|| format!("{name:?} was never counted"))?;
            let left = |wanted: u64, stored: u64| {
                wanted
                    .checked_sub(stored)
                    .ok_or_else(|| format!("{name:?}: {stored} of {wanted}"))
            };
            *wanted = (left(wanted.0, total.0)?, left(wanted.1, total.1)?);
        }
        let left = wanted
            .values()
            .fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1));
        let held = overflow
            .values()
            .fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1));
        ensure!(
            left == held,
            "{left:?} are stored under no name, {held:?} as overflow"
        );
        Ok(())
    }

    /// The history of the windows that no report can change any more equals what is stored, whoever
    /// led meanwhile, as far back as there are counts.
    async fn history_is_settled(&mut self, deltas: &[BucketCounts]) -> Outcome {
        let length = INTERVAL.as_millis() as i64;
        let at = |milliseconds: i64| Window::aligned(Timestamp(milliseconds), length);
        let oldest = deltas.iter().map(|delta| delta.bucket.start).min();
        let mut window = at(oldest.ok_or("nothing is stored")?.0);
        let last = at(self.time.milliseconds() - REPORT_AGE_MAX.as_millis() as i64 - 60_000);
        let rows = self.observer.read_history(window.start..last.start).await;
        let rows = rows.map_err(|error| error.to_string())?;
        let replica = self.places[0].at_work().ok_or("a replica is not at work")?;
        let names = replica.shared.dictionary.names();
        while window.start < last.start {
            let row = rows.iter().find(|row| row.window == window);
            let history = row.map_or(Ok(Vec::new()), |row| history_codec::decode(&row.payload));
            let history = history.map_err(|error| error.to_string())?;
            checks::settled(window, deltas, &names, &history)?;
            window = at(window.end.0);
        }
        Ok(())
    }
}
