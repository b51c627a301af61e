//! Weir: one trace budget for a whole fleet.
pub mod allocation;
pub mod cli;
pub mod clock;
pub mod simulate;
pub mod store;
