//! Simulated fleets, to measure how well a server meets its budget.
//!
//! Arithmetic and waiting are separate. [`Traffic`] holds the requests, [`Fleet`] samples them,
//! [`Reference`] is the best possible controller without foresight, [`Verdict`] judges the server,
//! and `summary`, `show` and `plot` say what came of it: none of them reads a clock or a socket. [`play()`] runs
//! them against a server in real time, [`virtual_time`] against the allocation alone.

pub mod classes;
pub mod client;
pub mod comparison;
pub mod faults;
pub mod fleet;
pub mod lines;
pub mod measure;
pub mod play;
pub mod plot;
pub mod recording;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod show;
pub mod strategy;
pub mod summary;
pub mod synthetic;
pub mod tail;
pub mod traffic;
pub mod verdict;
pub mod virtual_time;
pub mod wire;

pub use client::Client;
pub use fleet::{Fleet, FleetShape, Sampled, Tally};
pub use play::{Play, Played, play};
pub use reference::{Reference, ReferencePlan};
pub use strategy::{ClientStrategy, Violation};
pub use summary::RunSummary;
pub use traffic::{Schedule, Traffic};
pub use verdict::{Interval, Verdict};
pub use wire::WireTally;
