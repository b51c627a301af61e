//! What goes in and comes out: windows and their counts, policies, plans.

pub(crate) mod agents;
pub(crate) mod interval;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod reason;
pub mod tuning;
pub(crate) mod window;
