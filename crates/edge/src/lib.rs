//! The data plane of `weir edge`: takes traces in OTLP, decides about each trace as a whole, and sends on what is
//! kept.
//!
//! `docs/edge.md` has the design. [`core`] holds spans and decides; [`otlp`] reads and writes the wire
//! format. Both are pure: no I/O, no clock. [`Edge`] wires them to listeners, backends and Weir.

mod admin;
mod clock;
pub mod core;
mod engine;
mod grpc;
mod metrics;
pub mod otlp;
mod parts;
mod peers;
pub mod plan;
mod receive;
mod run;
mod send;
pub mod settings;
mod tls;
mod weir;

pub use self::run::{Addresses, Edge, Failure};
pub use self::settings::Settings;
