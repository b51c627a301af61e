//! Weir: one trace budget for a whole fleet.
//!
//! Agents report how many root requests each operation saw. Every interval, Weir computes a
//! sampling probability per operation, so that the fleet samples a fixed number of traces per
//! second. SDKs poll the probabilities.
//!
//! `ARCHITECTURE.md` describes the way of a report, a plan and a poll. In the code, begin with
//! [`app`], which wires everything, and [`allocation`], which decides everything. Dependencies
//! point one way: `app` → `api`, `protocols`, `jobs`, `cli` → `ingest`, `snapshot`, `store` →
//! `allocation`. A test checks this.

pub mod access;
pub mod alerts;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod configuration;
pub mod console;
pub mod grpc;
pub mod health;
pub mod http;
pub mod ingest;
pub mod jobs;
pub mod limits;
pub mod names;
pub mod net;
pub mod observed;
pub mod oidc;
pub mod outgoing;
pub mod protocols;
pub mod settings;
pub mod snapshot;
pub mod store;
pub mod supervise;
pub mod telemetry;
pub mod view;
pub mod worker;

pub use weir_allocation as allocation;
#[cfg(feature = "simulate")]
pub use weir_simulate as simulate;
