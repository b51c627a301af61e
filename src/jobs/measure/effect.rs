//! The effect of a change, as it was seen: figures of the fleet, and the operations that were to move most.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::allocation::{OperationId, Timestamp};
use crate::jobs::JobContext;
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{AuditEntry, HistoryRow, PlanRow, StoreError};
use crate::worker::blocking;

/// Windows of history that are read at most.
const HISTORY_MAX: u32 = 500;

/// Rows that may wait to be decoded.
const ROWS_AHEAD: usize = 2;

/// The plans of the windows that are compared, oldest first.
pub(super) struct Windows {
    /// Before the change; may be empty.
    pub before: Vec<PlanRow>,
    /// After it.
    pub after: Vec<PlanRow>,
}

/// What was seen.
#[derive(Serialize)]
pub(super) struct Effect {
    known: bool,
    why_unknown: Option<String>,
    #[serde(flatten)]
    seen: Option<Seen>,
}

#[derive(Serialize)]
struct Seen {
    plans_before: Vec<u64>,
    plans_after: Vec<u64>,
    budget_traces_per_second: Sides,
    observed_offered_per_second: Sides,
    observed_sampled_traces_per_second: Sides,
    expected_sampled_traces_per_second: Sides,
    coverage: Sides,
    fairness: Sides,
    operations: Vec<OperationSeen>,
}

/// A mean over the windows before and after; null where there are none, or nobody says it.
#[derive(Serialize)]
struct Sides {
    before: Option<f64>,
    after: Option<f64>,
}

#[derive(Serialize)]
struct OperationSeen {
    service: String,
    operation: String,
    offered_per_second: Sides,
    sampled_traces_per_second: Sides,
    probability: Sides,
}

/// What was recorded of an operation that was to move.
#[derive(Deserialize)]
struct Foreseen {
    service: String,
    operation: String,
}

impl Effect {
    /// Nothing can be known.
    pub(super) fn unknown(why: String) -> Self {
        Self {
            known: false,
            why_unknown: Some(why),
            seen: None,
        }
    }

    /// Why nothing is known.
    pub(super) fn why_unknown(&self) -> Option<&str> {
        self.why_unknown.as_deref()
    }

    /// As it is stored.
    pub(super) fn document(&self) -> String {
        serde_json::to_string(self).expect("numbers and names serialise")
    }
}

/// Compares the windows.
///
/// # Errors
/// The store's.
pub(super) async fn measured(
    shared: &JobContext,
    entry: &AuditEntry,
    windows: &Windows,
) -> Result<Effect, StoreError> {
    let mut operations = Vec::new();
    for foreseen in foreseen(entry) {
        let names = shared.dictionary.names();
        let Some(id) = names.find(&foreseen.service, &foreseen.operation) else {
            continue;
        };
        let [before, after] = [
            course(shared, &windows.before, id).await?,
            course(shared, &windows.after, id).await?,
        ];
        let sides = |figure: fn(&Course) -> Option<f64>| Sides {
            before: figure(&before),
            after: figure(&after),
        };
        operations.push(OperationSeen {
            service: foreseen.service,
            operation: foreseen.operation,
            offered_per_second: sides(Course::offered),
            sampled_traces_per_second: sides(Course::sampled),
            probability: sides(Course::probability),
        });
    }
    let figures = |name| figures(windows, name);
    Ok(Effect {
        known: true,
        why_unknown: None,
        seen: Some(Seen {
            plans_before: numbers(&windows.before),
            plans_after: numbers(&windows.after),
            budget_traces_per_second: figures("budget_traces_per_second"),
            observed_offered_per_second: figures("observed_offered_per_second"),
            observed_sampled_traces_per_second: figures("observed_sampled_traces_per_second"),
            expected_sampled_traces_per_second: figures("expected_sampled_traces_per_second"),
            coverage: figures("coverage"),
            fairness: figures("fairness"),
            operations,
        }),
    })
}

fn numbers(plans: &[PlanRow]) -> Vec<u64> {
    plans.iter().map(|plan| plan.number).collect()
}

/// The operations whose shares were to move most.
fn foreseen(entry: &AuditEntry) -> Vec<Foreseen> {
    let predicted = entry.entry.predicted.as_deref().unwrap_or_default();
    let mut predicted: Value = serde_json::from_str(predicted).unwrap_or_default();
    serde_json::from_value(predicted["operations"].take()).unwrap_or_default()
}

/// The means of a figure of the plans' summaries.
fn figures(windows: &Windows, name: &str) -> Sides {
    let mean = |plans: &[PlanRow]| {
        let summaries = plans.iter();
        let summaries = summaries.filter_map(|plan| serde_json::from_str(&plan.summary).ok());
        let values: Vec<f64> = summaries
            .filter_map(|summary: Value| summary[name].as_f64())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Sides {
        before: mean(&windows.before),
        after: mean(&windows.after),
    }
}

/// What an operation did in some windows.
#[derive(Default)]
struct Course {
    seconds: f64,
    windows: Vec<HistoryOperation>,
}

impl Course {
    fn a_second(&self, count: u64) -> Option<f64> {
        (self.seconds > 0.0).then(|| count as f64 / self.seconds)
    }

    fn offered(&self) -> Option<f64> {
        self.a_second(self.windows.iter().map(|window| window.offered).sum())
    }

    fn sampled(&self) -> Option<f64> {
        let counts: Option<Vec<u64>> = self.windows.iter().map(|window| window.sampled).collect();
        self.a_second(counts?.iter().sum())
    }

    fn probability(&self) -> Option<f64> {
        let served = self.windows.iter().filter_map(|window| window.probability);
        let served: Vec<f64> = served.map(f64::from).collect();
        (!served.is_empty()).then(|| served.iter().sum::<f64>() / served.len() as f64)
    }
}

/// Reads what an operation did in the windows of some plans.
async fn course(
    shared: &JobContext,
    plans: &[PlanRow],
    operation: OperationId,
) -> Result<Course, StoreError> {
    let (Some(first), Some(last)) = (plans.first(), plans.last()) else {
        return Ok(Course::default());
    };
    let starts: Range<Timestamp> = first.window.start..Timestamp(last.window.start.0 + 1);
    let wanted: Vec<Timestamp> = plans.iter().map(|plan| plan.window.start).collect();
    let (rows, read) = mpsc::channel(ROWS_AHEAD);
    let finding = blocking(move || found(read, operation, &wanted));
    let reading = shared
        .store
        .stream_history(starts, HISTORY_MAX, Some(operation), rows);
    let (read, course) = tokio::join!(reading, finding);
    read?;
    Ok(course)
}

fn found(
    mut rows: mpsc::Receiver<HistoryRow>,
    operation: OperationId,
    wanted: &[Timestamp],
) -> Course {
    let mut course = Course::default();
    while let Some(row) = rows.blocking_recv() {
        if !wanted.contains(&row.window.start) {
            continue;
        }
        // A damaged row is what the job that settles history repairs.
        let Ok(found) = history_codec::find(&row.payload, operation) else {
            continue;
        };
        course.seconds += row.window.seconds();
        course.windows.extend(found);
    }
    course
}
