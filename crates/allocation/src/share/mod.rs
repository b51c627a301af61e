//! Shares the budget: the bounds of each operation, the water level, and what SDKs keep by themselves.

pub(crate) mod assign;
pub(crate) mod budget;
pub(crate) mod hierarchy;
pub(crate) mod instances;
pub(crate) mod level;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod lower_bound;
pub mod nested;
pub(crate) mod peaks;
pub(crate) mod shared_bounds;
pub mod solve;
pub(crate) mod unknown;
