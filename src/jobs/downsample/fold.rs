//! Sums a window's history by service, by group, and for the fleet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::in_force::InForce;
use super::steps::StepSums;
use crate::allocation::{OVERFLOW_SERVICE, OperationId, ServiceId, Tuning, Window};
use crate::names::Names;
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{Covered, HistoryRow, SeriesKey, StoreError, Sums, TRACE_PARTS};

/// Sums windows one after the other, oldest first.
pub(super) struct Fold {
    names: Arc<Names>,
    in_force: InForce,
    /// The history of the two windows before, the newer one first.
    before: [Vec<HistoryOperation>; 2],
}

/// Sums of a service in traces, before they are rounded.
#[derive(Default)]
struct Counted {
    offered: u64,
    sampled: u64,
    unsaid: f64,
    due: f64,
    variance: f64,
}

impl Fold {
    /// Sums windows whose numbers have these names.
    pub fn new(names: Arc<Names>, in_force: InForce) -> Self {
        Self {
            names,
            in_force,
            before: Default::default(),
        }
    }

    /// Takes a window that comes before the first one that is summed.
    ///
    /// # Errors
    /// Its history cannot be read.
    pub fn pass(&mut self, row: &HistoryRow) -> Result<(), StoreError> {
        self.take(history_codec::decode(&row.payload)?);
        Ok(())
    }

    fn take(&mut self, operations: Vec<HistoryOperation>) {
        self.before.swap(0, 1);
        self.before[0] = operations;
    }

    /// The sums of the next window.
    ///
    /// # Errors
    /// Its history cannot be read.
    pub fn window(&mut self, row: &HistoryRow) -> Result<StepSums, StoreError> {
        let operations = history_codec::decode(&row.payload)?;
        let services = self.services(&operations);
        self.take(operations);
        Ok(self.sums(row.window, services))
    }

    fn services(&self, operations: &[HistoryOperation]) -> HashMap<ServiceId, Counted> {
        let mut services: HashMap<ServiceId, Counted> = HashMap::new();
        let mut served = Served::of(&self.before);
        for operation in operations {
            let row = self.names.row(operation.operation);
            // What has no name any more is counted as the fleet's overflow, as everywhere.
            let service = row.map_or(OVERFLOW_SERVICE, |row| row.service);
            let counted = services.entry(service).or_default();
            let held = served.next(operation);
            let due = operation.offered as f64 * held;
            counted.offered = counted.offered.saturating_add(operation.offered);
            counted.due += due;
            counted.variance += due * (1.0 - held);
            match operation.sampled {
                Some(sampled) => counted.sampled = counted.sampled.saturating_add(sampled),
                None => counted.unsaid += due,
            }
        }
        services
    }

    fn sums(&self, window: Window, services: HashMap<ServiceId, Counted>) -> StepSums {
        let milliseconds = window.milliseconds().max(0).unsigned_abs();
        let seconds = window.seconds();
        let planned = self.in_force.at(window);
        let mut step = StepSums {
            covered: Covered {
                windows: 1,
                milliseconds,
                unreadable: 0,
            },
            ..StepSums::default()
        };
        let limit = |sums: &mut Sums, rate: Option<f64>| {
            if let Some(rate) = rate {
                sums.budget = parts(rate * seconds);
                sums.budget_milliseconds = milliseconds;
            }
        };
        limit(&mut step.fleet, planned.and_then(|plan| plan.budget));
        for (group, cap) in planned.map(|plan| &plan.caps).into_iter().flatten() {
            limit(step.groups.entry(group.clone()).or_default(), *cap);
        }
        let sorted: BTreeMap<ServiceId, Counted> = services.into_iter().collect();
        for (service, counted) in sorted {
            let sums = counted.rounded();
            step.fleet.add(&sums);
            let name = self.names.service(service);
            let group = name.and_then(|name| planned?.group(&name).map(str::to_owned));
            if let Some(group) = group {
                step.groups.entry(group).or_default().add(&sums);
            }
            step.add_service(SeriesKey::Number(service), &sums);
        }
        step
    }
}

impl Counted {
    fn rounded(&self) -> Sums {
        Sums {
            offered: self.offered,
            sampled: self.sampled,
            unsaid: parts(self.unsaid),
            due: parts(self.due),
            variance: parts(self.variance),
            ..Sums::default()
        }
    }
}

/// Traces in parts. Casts saturate, and take what is not a number for 0.
fn parts(traces: f64) -> u64 {
    (traces * TRACE_PARTS).round() as u64
}

/// What SDKs held of each operation in a window.
///
/// They ask once an interval. So some hold what was served after the window before, and most what was served
/// after the one before that. Of an operation that had no requests then, what it was served afterwards is the best
/// that is known.
struct Served<'h> {
    before: [std::iter::Peekable<std::slice::Iter<'h, HistoryOperation>>; 2],
    later: f64,
}

impl<'h> Served<'h> {
    fn of(before: &'h [Vec<HistoryOperation>; 2]) -> Self {
        Self {
            before: before.each_ref().map(|window| window.iter().peekable()),
            later: Tuning::DEFAULT.estimate.operation.ahead - 1.0,
        }
    }

    /// The probability of the next operation, in [0, 1]. They come in ascending order.
    fn next(&mut self, operation: &HistoryOperation) -> f64 {
        let [newer, older] = &mut self.before;
        let newer = probability(newer, operation.operation);
        let older = probability(older, operation.operation);
        let held = match (newer, older) {
            (Some(newer), Some(older)) => (1.0 - self.later) * newer + self.later * older,
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => operation.probability.map_or(0.0, f64::from),
        };
        match held.is_finite() {
            true => held.clamp(0.0, 1.0),
            false => 0.0,
        }
    }
}

fn probability<'h>(
    window: &mut std::iter::Peekable<impl Iterator<Item = &'h HistoryOperation>>,
    operation: OperationId,
) -> Option<f64> {
    while window.next_if(|of| of.operation < operation).is_some() {}
    let found = window.peek().filter(|of| of.operation == operation)?;
    found.probability.map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::Timestamp;
    use crate::store::WriteFormat;

    fn row(number: i64, operations: &[(u32, u64, Option<u64>, Option<f32>)]) -> HistoryRow {
        let operation = |&(id, offered, sampled, probability)| HistoryOperation {
            operation: OperationId(id),
            offered,
            sampled,
            probability,
        };
        let operations: Vec<_> = operations.iter().map(operation).collect();
        HistoryRow {
            window: Window {
                start: Timestamp(number * 60_000),
                end: Timestamp((number + 1) * 60_000),
            },
            payload: history_codec::encode(&operations, WriteFormat::Newest),
        }
    }

    #[test]
    fn what_was_due_follows_from_what_sdks_held_and_chance_from_that() {
        let names = Names::numbered(&[("a", "x"), ("a", "y"), ("b", "z")]);
        let mut fold = Fold::new(Arc::new(names), InForce::default());
        fold.pass(&row(0, &[(1, 9, Some(9), Some(0.25))])).unwrap();
        let second = [
            (1, 9, Some(9), Some(0.5)),
            (2, 1, Some(1), Some(1.0)),
            (3, 10, None, Some(0.1)),
        ];
        fold.pass(&row(1, &second)).unwrap();
        let third = [
            (1, 1000, Some(300), Some(0.75)),
            (2, 8, Some(8), None),
            (3, 100, None, Some(0.9)),
            (77, 6, Some(3), Some(0.5)),
        ];
        let step = fold.window(&row(2, &third)).unwrap();
        let of = |service| step.services[&SeriesKey::Number(ServiceId(service))];
        let traces = |parts: u64| (parts as f64 / TRACE_PARTS * 1000.0).round() / 1000.0;
        let held = 0.35 * 0.5 + 0.65 * 0.25;
        let a = of(1);
        assert_eq!((a.offered, a.sampled, a.unsaid), (1008, 308, 0));
        assert_eq!(traces(a.due), 1000.0 * held + 8.0);
        assert!((traces(a.variance) - 1000.0 * held * (1.0 - held)).abs() < 0.01);
        let b = of(3);
        assert_eq!((b.offered, b.sampled), (100, 0));
        assert_eq!((traces(b.due), b.unsaid), (10.0, b.due), "nobody says it");
        let nameless = of(0);
        assert_eq!((nameless.offered, traces(nameless.due)), (6, 3.0));
        assert_eq!((step.fleet.offered, step.fleet.sampled), (1114, 311));
        assert_eq!(step.covered.milliseconds, 60_000);
    }
}
