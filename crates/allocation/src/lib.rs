//! Computes a plan from counts and a policy. Everything here is a pure function of its arguments: no I/O,
//! no clock, no randomness, no dependencies. Read [`Plan`] first, then [`next_plan`].

mod common;
mod completeness;
mod correct;
mod course;
mod deadband;
mod decide;
mod defaults;
mod estimate;
mod figures;
mod fixed;
mod hierarchy;
mod instances;
mod instructed;
mod interval;
mod level;
mod limits;
mod listing;
mod lower_bound;
mod names;
pub mod nested;
mod next;
mod plan;
mod policy;
mod presence;
mod preview;
mod reason;
mod rhythm;
pub mod solve;
mod sum;
mod tally;
mod trim;
mod window;

pub use common::Common;
pub use course::{COURSES, Course};
pub use figures::Figures;
pub use listing::{LISTED_MAX, magnitude};
pub use names::{
    AgentId, AgentName, GroupName, NameError, OVERFLOW_NAME, OVERFLOW_OPERATION, OVERFLOW_SERVICE,
    OperationId, OperationName, ServiceId, ServiceName,
};
pub use next::next_plan;
pub use plan::{
    AgentWeight, Belief, Binding, FleetPlan, GroupPlan, Hold, OperationPlan, Plan, ServicePlan,
};
pub use policy::{Bounds, Group, Policy, ServicePolicy, Whole};
pub use preview::preview;
pub use reason::{Reason, Source};
pub use solve::Priority;
pub use trim::Trim;
pub use window::{AgentCount, OperationCount, ServiceCount, Timestamp, Window, WindowCounts};

/// What one computation reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The term of the leader that computes.
    pub term: u64,
    /// The previous plan's window, read again: a late report may have changed its counts.
    /// Absent where there is none (the genesis plan, or after a gap).
    pub corrected: Option<&'a WindowCounts>,
    /// The window that has just closed.
    pub current: &'a WindowCounts,
    /// Retired operations: the plan no longer lists them.
    pub retired: &'a [OperationId],
    /// The part of the current window's counts that could be read, in [0, 1]: 1 unless stored
    /// counts are damaged or of a newer format. Nothing is raised under 1.
    pub readable: f64,
}

impl<'a> Inputs<'a> {
    /// A single window: nothing to correct, nothing to retire.
    #[must_use]
    pub fn new(term: u64, current: &'a WindowCounts) -> Self {
        Self {
            term,
            corrected: None,
            current,
            retired: &[],
            readable: 1.0,
        }
    }
}
