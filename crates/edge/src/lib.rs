//! The data plane of `weir edge`: takes traces in OTLP, decides about each trace as a whole, and sends on what is
//! kept.
//!
//! `docs/edge.md` has the design. [`core`] holds spans and decides; [`otlp`] reads and writes the wire
//! format. Both are pure: no I/O, no clock.

pub mod core;
pub mod otlp;
pub mod plan;
