//! Weir's own HTTP API: reports for agents, the rest for operators.

pub mod admin;
pub mod health;
pub mod metrics;
pub mod reports;
