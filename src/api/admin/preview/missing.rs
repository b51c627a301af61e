//! The floors that a plan does not meet.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::allocation::{Class, OperationPlan, Plan, Policy};
use crate::names::Names;

/// How many operations whose floors are not met are listed.
const SHORT: usize = 20;

#[derive(Serialize)]
pub(super) struct Missing {
    priority: u8,
    traces_per_second: f64,
}

/// An operation whose floor is not met.
#[derive(Serialize)]
pub(super) struct MissingOperation {
    service: String,
    operation: String,
    floor_traces_per_second: f64,
    share_traces_per_second: f64,
}

/// The operations whose floors are not met, each with its floor.
fn short(plan: &Plan) -> impl Iterator<Item = (&OperationPlan, f64)> {
    let short = plan.operations.iter().filter(|of| of.floor_missed() > 0.0);
    short.map(|of| (of, of.floor_asked()))
}

/// Those that miss most.
pub(super) fn missing_operations(plan: &Plan, names: &Names) -> Vec<MissingOperation> {
    let mut missing: Vec<(&OperationPlan, f64)> = short(plan).collect();
    missing.sort_by_key(|(of, floor)| (Reverse((floor - of.share).to_bits()), of.operation));
    let named = missing.into_iter().filter_map(|(of, floor)| {
        let name = names.name(of.operation)?;
        Some(MissingOperation {
            service: name.service.to_string(),
            operation: Class::shown(&name.operation),
            floor_traces_per_second: floor,
            share_traces_per_second: of.share,
        })
    });
    named.take(SHORT).collect()
}

/// By how much floors are short, by priority.
pub(super) fn missing(policy: &Policy, plan: &Plan) -> Vec<Missing> {
    let mut missing: BTreeMap<u8, f64> = BTreeMap::new();
    for (operation, floor) in short(plan) {
        let (bounds, _) = policy.bounds(operation.service, operation.operation);
        *missing.entry(bounds.priority.number()).or_default() += floor - operation.share;
    }
    let by_priority = missing.into_iter();
    by_priority
        .map(|(priority, traces_per_second)| Missing {
            priority,
            traces_per_second,
        })
        .collect()
}
