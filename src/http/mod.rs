//! What all listeners share: problem documents and bounded bodies.

pub mod body;
pub mod problem;
