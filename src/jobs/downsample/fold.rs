//! Sums a window's history by service, by group, and for the fleet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::in_force::InForce;
use super::steps::StepSums;
use crate::allocation::{Class, OVERFLOW_SERVICE, OperationId, ServiceId, Tuning, Window};
use crate::names::Names;
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{Covered, HistoryRow, StoreError, Sums, TRACE_PARTS};

/// Sums windows one after the other, oldest first.
pub(super) struct Fold {
    names: Arc<Names>,
    in_force: InForce,
    /// The history of the two windows before, the newer one first.
    before: [Vec<HistoryOperation>; 2],
}

/// What services had, by class where their traces have one.
type Services = HashMap<(ServiceId, Option<Class>), Counted>;

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

    /// What each service had of each class, and without one.
    fn services(&self, operations: &[HistoryOperation]) -> Services {
        let mut services = Services::new();
        let mut served = Served::of(&self.before);
        for operation in operations {
            let row = self.names.row(operation.operation);
            // What has no name any more is counted as the fleet's overflow, as everywhere.
            let service = row.map_or(OVERFLOW_SERVICE, |row| row.service);
            let name = row.and_then(|_| self.names.operation(operation.operation));
            let class = name.and_then(|name| Class::of(&name).1);
            let counted = services.entry((service, class)).or_default();
            counted.add(operation, served.next(operation));
        }
        services
    }

    fn sums(&self, window: Window, services: Services) -> StepSums {
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
        let sorted: BTreeMap<_, Counted> = services.into_iter().collect();
        for ((service, class), counted) in sorted {
            let sums = counted.rounded();
            let name = self.names.service(service);
            let group = name.and_then(|name| planned?.group(&name).map(str::to_owned));
            if let Some(class) = class {
                let of_class = step.classes.entry(class).or_default();
                of_class.add_all(service, group.clone(), &sums);
            }
            step.add_all(service, group, &sums);
        }
        step
    }
}

impl Counted {
    /// Adds an operation of which SDKs held a probability.
    fn add(&mut self, operation: &HistoryOperation, held: f64) {
        let due = operation.offered as f64 * held;
        self.offered = self.offered.saturating_add(operation.offered);
        self.due += due;
        self.variance += due * (1.0 - held);
        match operation.sampled {
            Some(sampled) => self.sampled = self.sampled.saturating_add(sampled),
            None => self.unsaid += due,
        }
    }

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
    use crate::store::{SeriesKey, WriteFormat};

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
        assert!(step.classes.is_empty());
    }

    #[test]
    fn classes_have_sums_of_their_own_and_are_in_those_of_their_service() {
        let (error, rest) = (Class::Error.entry("x"), Class::Rest.entry("x"));
        let names = Names::numbered(&[("a", &error), ("a", &rest), ("b", "x")]);
        let mut fold = Fold::new(Arc::new(names), InForce::default());
        let first = [
            (1, 10, Some(10), Some(1.0)),
            (2, 1000, Some(90), Some(0.1)),
            (3, 100, Some(50), Some(0.5)),
        ];
        let step = fold.window(&row(0, &first)).unwrap();
        let a = SeriesKey::Number(ServiceId(1));
        let counted = |sums: &Sums| (sums.offered, sums.sampled);
        assert_eq!(counted(&step.services[&a]), (1010, 100));
        assert_eq!(counted(&step.fleet), (1110, 150));
        let of_class = |class| counted(&step.classes[&class].services[&a]);
        assert_eq!(of_class(Class::Error), (10, 10));
        assert_eq!(of_class(Class::Rest), (1000, 90));
        assert_eq!(counted(&step.classes[&Class::Rest].fleet), (1000, 90));
        assert_eq!(step.classes.len(), 2, "only those that were counted");
        assert!(step.classes[&Class::Error].is_empty(), "of no time");
    }
}
