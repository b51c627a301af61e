//! The tables, as all backends have them: rows, their conversion, statements, and what happens in a
//! transaction.
//!
//! A file for each family of tables. A statement stands here if every database takes its text, and
//! in [`Statements`](super::backend::Statements) if it says the same in other words.

pub(super) mod compatibility;
pub(super) mod configuration;
pub(super) mod dictionary;
pub(super) mod fleet;
pub(super) mod history;
pub(super) mod lease;
pub(super) mod plans;
pub(super) mod reports;
