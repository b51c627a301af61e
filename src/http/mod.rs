//! Shared by all listeners: route tables, problem documents, bounded bodies.

pub mod authorize;
pub mod body;
pub mod cookies;
pub mod problem;
pub mod request_id;
pub mod routes;
