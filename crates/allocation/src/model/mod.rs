//! What goes in and comes out: windows and their counts, policies, plans.

pub(crate) mod agents;
pub(crate) mod amount;
pub(crate) mod class;
pub(crate) mod fleet_plan;
pub(crate) mod hint;
pub(crate) mod interval;
pub(crate) mod names;
pub(crate) mod operation_plan;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod polls;
pub(crate) mod steered;
pub mod tuning;
pub(crate) mod window;
