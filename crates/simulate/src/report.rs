//! The body of `POST /v1/reports`, as agents send it.

use serde::Serialize;

/// A report as agents send it.
#[derive(Debug, Clone, Serialize)]
pub struct Report<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// A new one whenever the agent starts to count from 1 again.
    pub epoch: uuid::Uuid,
    /// One more than in the agent's previous report.
    pub sequence: u64,
    /// When the window begins, RFC 3339.
    pub window_start: String,
    /// How long the window is.
    pub window_seconds: f64,
    /// The services in it.
    pub services: Vec<ServiceReport<'a>>,
}

/// The part of a report about one service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceReport<'a> {
    /// Its name.
    pub service: &'a str,
    /// SDK instances of it that report to the agent.
    pub instances: u32,
    /// Its operations that had requests.
    pub operations: Vec<OperationReport<'a>>,
}

/// The part of a report about one operation.
#[derive(Debug, Clone, Serialize)]
pub struct OperationReport<'a> {
    /// Its name.
    pub operation: &'a str,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests sampled.
    pub sampled: u64,
}
