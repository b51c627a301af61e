//! Weir's own HTTP API: reports for agents, everything else for operators.

pub mod admin;
pub mod reports;
