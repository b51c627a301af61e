//! The report as agents send it: the body of `POST /v1/reports`.

use serde::Serialize;

/// A report as agents send it.
#[derive(Debug, Clone, Serialize)]
pub struct Report<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// Given anew whenever the agent starts to count from 1 again.
    pub epoch: uuid::Uuid,
    /// One more than that of the agent's report before.
    pub sequence: u64,
    /// When the window begins, RFC 3339.
    pub window_start: String,
    /// How long the window is.
    pub window_seconds: f64,
    /// What was seen in it.
    pub services: Vec<ServiceReport<'a>>,
}

/// One service of a report.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceReport<'a> {
    /// Its name.
    pub service: &'a str,
    /// SDK instances of it that the agent hears.
    pub instances: u32,
    /// Its operations that had requests.
    pub operations: Vec<OperationReport<'a>>,
}

/// One operation of a report.
#[derive(Debug, Clone, Serialize)]
pub struct OperationReport<'a> {
    /// Its name.
    pub operation: &'a str,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept.
    pub sampled: u64,
}
