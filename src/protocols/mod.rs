//! Wire formats for SDKs. They make no decisions of their own.

pub mod edges;
pub mod encoded;
pub mod jaeger;
pub mod otlp;
pub mod xray;
