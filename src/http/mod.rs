//! What all listeners share: route tables, problem documents and bounded bodies.

pub mod body;
pub mod problem;
pub mod request_id;
pub mod routes;
