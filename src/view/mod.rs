//! Shows people what a plan decided and why: its figures, its changes, the reason for each probability.
//!
//! Everything here is computed from a plan and its names. No later plan depends on it.

pub mod agents;
pub mod applied;
pub mod change;
pub mod explanation;
pub mod final_names;
pub mod minted;
pub mod not_applied;
pub mod plan_log;
pub mod plan_summary;
pub mod precision;
pub mod silent;
pub mod trial;
