//! What both sides of OTLP over gRPC share.
//!
//! # Source
//! gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`): a message has one byte in front that says whether it is compressed, and
//! four of its length.

use crate::otlp::json::Signal;

/// The bytes in front of a message.
pub(crate) const HEADER: usize = 5;

/// The method that takes a signal.
pub(crate) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}
