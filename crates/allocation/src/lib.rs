//! Computes a plan from counts and a policy. Everything here is a pure function of its arguments: no I/O,
//! no clock, no randomness, no dependencies. Read [`Plan`] first, then [`next_plan`].

mod assemble;
mod estimate;
mod judge;
mod model;
mod next;
mod seen;
mod serve;
mod share;
mod trust;

use estimate::{
    classed, common, course, first_seen, names_return, operation, outlook, peak, presence, priors,
    rhythm, state, tally,
};
use judge::figures;
pub use model::tuning;
use model::{
    amount, class, fleet_plan, hint, interval, names, operation_plan, plan, policy, window,
};
use serve::{clock, deadband, decide, instructed, preview, served, stand, steer, trim};
use share::{
    assign, budget, hierarchy, instances, level, limits, listing, lower_bound, peaks,
    shared_bounds, unknown,
};
pub use share::{nested, solve};

pub use amount::Priority;
pub use class::{Class, ClassDefault, held_between_plans};
pub use clock::{Clock, SLOTS};
pub use common::Common;
pub use course::Course;
pub use figures::{Figures, coverage};
pub use fleet_plan::{FleetPlan, Hold};
pub use listing::{LISTED_MAX, magnitude};
pub use model::agents::{AgentRate, AgentState, Claim};
pub use model::polls::PollState;
pub use model::steered::{Kept, KeptService, Serving, Steered};
pub use names::{
    AgentId, AgentName, GroupName, NameError, OVERFLOW_NAME, OVERFLOW_OPERATION, OVERFLOW_SERVICE,
    OperationId, OperationName, ServiceId, ServiceName,
};
pub use next::next_plan;
pub use operation_plan::{Belief, Binding, OperationPlan, Reason, Source};
pub use plan::{AGES, GroupPlan, Plan, ServicePlan};
pub use policy::{Bounds, ClassEntry, Group, Policy, ServicePolicy, SharedBounds, Whole};
pub use preview::preview;
pub use trim::Trim;
pub use trust::bases::sampled_unknown;
pub use trust::{AGENTS_MAX, RATES_MAX, WINDOWS_READ_MAX};
pub use tuning::Tuning;
pub use tuning::estimate::COURSES;
pub use window::{
    AgentCount, AgentReport, Basis, OperationCount, PollCount, ServiceCount, Timestamp, Window,
    WindowCounts,
};

/// What one computation reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The term of the leader that computes.
    pub term: u64,
    /// The windows from [`Plan::settled`] of the previous plan on, oldest first. The last one has just
    /// closed. After a gap that is too long to be read, windows may be missing.
    pub windows: &'a [WindowCounts],
    /// Retired operations: the plan no longer lists them.
    pub retired: &'a [OperationId],
    /// The part of the windows' counts that could be read, in [0, 1]: 1 unless stored
    /// counts are damaged or of a newer format. Nothing is raised under 1.
    pub readable: f64,
    /// What the probabilities that SDKs held in the newest window had been multiplied by after the plan, in the
    /// mean, in [0, 1]: 1 unless operators cut them at once.
    pub cut: f64,
    /// The constants: always [`Tuning::DEFAULT`] but where the worth of a part is measured.
    pub tuning: &'a Tuning,
}

impl<'a> Inputs<'a> {
    /// These windows, all of them read, nothing to retire, and the constants of the server.
    #[must_use]
    pub fn new(term: u64, windows: &'a [WindowCounts]) -> Self {
        Self {
            term,
            windows,
            retired: &[],
            readable: 1.0,
            cut: 1.0,
            tuning: &Tuning::DEFAULT,
        }
    }
}
