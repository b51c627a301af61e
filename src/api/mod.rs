//! Weir's own HTTP API: reports for agents, the rest for operators.

pub mod admin;
pub mod health;
pub mod reports;

/// The answer while nothing is written because the tables are not as Weir needs them. `/readyz` and
/// the log name what is missing.
const UNSOUND: &str = "the database is being restored, or lacks something that Weir needs";
