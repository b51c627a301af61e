//! Which operations of a plan may be forgotten: those that no report has named for some time.

use std::ops::Range;
use std::time::Duration;

use crate::allocation::{OperationPlan, Plan, Timestamp, WINDOWS_READ_MAX};

/// How long an operation must have been silent before an operator may forget it, in windows. Agents
/// that are late by habit have reported by then, and so has an operation that fires every few
/// windows.
pub const WINDOWS_MIN: u32 = 12;

/// Operations that are forgotten at a time, before their time. One transaction deletes them, and new
/// names wait for it.
pub const REMOVED_MAX: usize = 50_000;

/// The windows of a plan that take this long together.
#[must_use]
pub fn windows_of(plan: &Plan, time: Duration) -> f64 {
    (time.as_secs_f64() / plan.window.seconds().max(0.001)).ceil()
}

/// Whether an operation was in no report for this many windows. An overflow entry stays as long as its
/// service does.
#[must_use]
pub fn is_silent(operation: &OperationPlan, windows: f64) -> bool {
    !operation.overflow && f64::from(operation.silent_windows) >= windows
}

/// From when on reports may have come that a plan does not know: counts before that are settled. None
/// if the plan is too old to say that an operation is silent.
#[must_use]
pub fn unsettled(plan: &Plan, now: Timestamp) -> Option<Range<Timestamp>> {
    let length = plan.window.milliseconds().max(1);
    let most = length.saturating_mul(WINDOWS_READ_MAX as i64);
    let since = plan.settled.0.max(plan.window.end.0.saturating_sub(most));
    let since = since.min(plan.window.start.0);
    let is_old = now.0.saturating_sub(plan.window.end.0) > most;
    (!is_old).then_some(Timestamp(since)..Timestamp(now.0.saturating_add(length)))
}
