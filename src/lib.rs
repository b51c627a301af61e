//! Weir: one trace budget for a whole fleet.
pub mod allocation;
pub mod store;
