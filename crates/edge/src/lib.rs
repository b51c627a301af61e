//! The data plane of `weir edge`: takes traces in OTLP, decides about each trace as a whole, and sends on what is
//! kept.
//!
//! `docs/edge.md` has the design. [`otlp`] reads and writes the wire format.

pub mod otlp;
pub mod plan;
