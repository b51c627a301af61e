//! Prepares a plan: computes and encodes it, with the history that belongs to it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::allocation::{
    self, Class, Inputs, OperationCount, OperationId, OperationPlan, Plan, Policy, ServiceId,
    WindowCounts, sampled_unknown,
};
use crate::configuration::Governance;
use crate::names::Names;
use crate::snapshot::{Cuts, Snapshot};
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{HistoryRow, StoredPlan, TooLarge, WriteFormat, plan_codec};
use crate::view::plan_summary::PlanSummary;

/// How a plan is stored.
#[derive(Clone, Copy)]
pub(super) struct StoredAs {
    /// Its number.
    pub(super) number: u64,
    pub(super) published_at: DateTime<Utc>,
    pub(super) format: WriteFormat,
}

/// A plan that is ready to be stored, and the snapshot to serve after it is published.
pub(super) struct PreparedPlan {
    pub(super) plan: Plan,
    pub(super) stored: StoredPlan,
    pub(super) history: Vec<HistoryRow>,
    /// The names of its numbers.
    pub(super) names: Arc<Names>,
    /// Who decides about services.
    pub(super) governance: Governance,
}

/// A plan that is too large to be read is not stored. The plan before stays in force.
#[derive(Debug, thiserror::Error)]
#[error("the next plan is too large to be stored")]
pub(super) struct Unstorable(#[source] TooLarge);

/// Operations of the previous plan that have no names any more.
pub(super) fn retired(previous: &Plan, names: &Names) -> Vec<OperationId> {
    let known = previous.operations.iter().map(|known| known.operation);
    known.filter(|id| names.row(*id).is_none()).collect()
}

/// Operations of a plan whose numbers have other names now: the database went back in time, and
/// assigned these numbers again.
pub(super) fn renamed(before: &Snapshot, names: &Names) -> Vec<OperationId> {
    let services = before.services();
    let operations = services.flat_map(|(service, held)| {
        let operations = before.operations(held);
        operations.map(move |(name, known)| (service, name, known.operation))
    });
    let renamed = operations.filter(|(service, name, operation)| {
        let now = names.name(*operation);
        now.is_some_and(|now| now.service != **service || *now.operation != **name)
    });
    renamed.map(|(_, _, operation)| operation).collect()
}

/// Operations that are counted in another way now: those without a class where edges count, and classes where samplers
/// decide again. Their entries would keep a part of the budget for traffic that has another entry.
pub(super) fn superseded(before: &Snapshot, governance: &Governance) -> Vec<OperationId> {
    let mut superseded = Vec::new();
    for (service, held) in before.services() {
        let is_tail = governance.is_tail(service);
        let by_edges = is_tail && before.counted_by_edges(service);
        let operations = before.operations(held);
        let gone = operations.filter(|(name, known)| match Class::of(name).1 {
            Some(_) => !is_tail,
            None => by_edges && !known.overflow,
        });
        superseded.extend(gone.map(|(_, known)| known.operation));
    }
    superseded
}

/// A plan, and the history that belongs to it. What they were made from is not needed any more.
pub(super) struct ComputedPlan {
    plan: Plan,
    history: Vec<HistoryRow>,
}

/// Computes the plan that follows the previous one.
pub(super) fn compute(
    previous: &Plan,
    policy: &Policy,
    inputs: Inputs<'_>,
    cuts: &Cuts,
    stored_as: StoredAs,
) -> ComputedPlan {
    let mut plan = allocation::next_plan(previous, policy, inputs);
    plan.number = stored_as.number;
    let windows = inputs.windows.iter();
    let history = windows
        .filter_map(|counts| {
            let answer = answer(counts, previous, &plan, inputs.readable);
            Some(history(counts, answer?, cuts, stored_as.format))
        })
        .collect();
    ComputedPlan { plan, history }
}

/// Encodes a plan.
///
/// # Errors
/// The plan is too large.
pub(super) fn prepare(
    computed: ComputedPlan,
    (names, governance): (Arc<Names>, Governance),
    stored_as: StoredAs,
) -> Result<PreparedPlan, Unstorable> {
    let ComputedPlan { plan, history } = computed;
    let summary = PlanSummary::from(&plan);
    let stored = StoredPlan {
        number: plan.number,
        identity: Uuid::new_v4(),
        term: plan.term,
        names: names.incarnation(),
        window: plan.window,
        configuration_revision: plan.configuration_revision,
        published_at: stored_as.published_at,
        summary: serde_json::to_string(&summary).expect("names and finite numbers serialise"),
        body: plan_codec::encode(&plan, stored_as.format).map_err(Unstorable)?,
    };
    Ok(PreparedPlan {
        plan,
        stored,
        history,
        names,
        governance,
    })
}

/// The plan whose probabilities belong into a window's history; none if the history stays as it is.
///
/// The plan before served a window without a plan of its own. Its own window is written again if late
/// reports changed it, but not if counts that it had could not be read now. Those further back are
/// settled later.
fn answer<'p>(
    counts: &WindowCounts,
    previous: &'p Plan,
    plan: &'p Plan,
    readable: f64,
) -> Option<&'p Plan> {
    if counts.window == plan.window {
        Some(plan)
    } else if counts.window == previous.window {
        let changed = readable >= 1.0 && differs(counts, previous);
        changed.then_some(previous)
    } else {
        (counts.window.start >= previous.window.end).then_some(previous)
    }
}

/// Whether late reports changed a window after its plan.
fn differs(counts: &WindowCounts, plan: &Plan) -> bool {
    // Wider than a count, because stored counts may be as large as possible.
    let counted = |figure: fn(&OperationCount) -> u64| -> u128 {
        let figures = counts.operations.iter().map(figure);
        figures.map(u128::from).sum()
    };
    let planned = |figure: fn(&OperationPlan) -> u64| -> u128 {
        let figures = plan.operations.iter().map(figure);
        figures.map(u128::from).sum()
    };
    counted(|operation| operation.offered) != planned(|operation| operation.window_offered)
        || counted(|operation| operation.sampled) != planned(|operation| operation.window_sampled)
}

/// How many requests of an operation were sampled; none if it is of a service of which nobody says it.
pub(super) fn sampled(counted: &OperationCount, unknown: &[ServiceId]) -> Option<u64> {
    let is_unknown = unknown.binary_search(&counted.service).is_ok();
    (!is_unknown).then_some(counted.sampled)
}

/// A window's history: its counts, and the probabilities that were served after its end.
pub(super) fn history(
    counts: &WindowCounts,
    plan: &Plan,
    cuts: &Cuts,
    format: WriteFormat,
) -> HistoryRow {
    let factor = cuts.at(counts.window.end);
    let probability = |operation| Some((factor * plan.served_of(operation)?) as f32);
    let unknown = sampled_unknown(counts);
    let rows: Vec<HistoryOperation> = counts
        .operations
        .iter()
        .map(|counted| HistoryOperation {
            operation: counted.operation,
            offered: counted.offered,
            sampled: sampled(counted, &unknown),
            probability: probability(counted.operation),
        })
        .collect();
    HistoryRow {
        window: counts.window,
        payload: history_codec::encode(&rows, format),
    }
}
