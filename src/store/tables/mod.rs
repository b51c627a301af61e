//! The tables, as all backends have them: rows, their conversion, statements, and transactions.
//!
//! There is one file per family of tables. A statement is here if every database accepts its text,
//! and in [`Statements`](super::backend::Statements) if its text differs.

pub(super) mod audit;
pub(super) mod compatibility;
pub(super) mod configuration;
pub(super) mod dictionary;
pub(super) mod edges;
pub(super) mod final_names;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod lease;
pub(super) mod observations;
pub(super) mod plans;
pub(super) mod polls;
pub(super) mod replicas;
pub(super) mod reports;
pub(super) mod series;
pub(super) mod tokens;
