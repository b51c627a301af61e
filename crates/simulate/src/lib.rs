//! Simulated fleets: what a server does to the kept rate, measured.
//!
//! The arithmetic is apart from the waiting. [`Traffic`] says what is asked, [`Fleet`] who keeps
//! what, [`Reference`] what could be kept at best, [`Verdict`] whether the server did well, and
//! `table` and `plot` show it: none of them reads a clock or a socket. [`play()`] ties them to a
//! running server in real time, [`virtual_time`] to the engine alone, in no time.

pub mod client;
pub mod comparison;
pub mod faults;
pub mod fleet;
pub mod measure;
pub mod play;
pub mod plot;
pub mod recording;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod strategy;
pub mod synthetic;
pub mod table;
pub mod traffic;
pub mod verdict;
pub mod virtual_time;
pub mod wire;

pub use client::Client;
pub use fleet::{Fleet, FleetShape, Kept, Tally};
pub use play::{Play, Played, play};
pub use reference::{Reference, ReferencePlan};
pub use strategy::{ClientStrategy, Violation};
pub use traffic::{Schedule, Traffic};
pub use verdict::{Interval, Verdict};
pub use wire::WireTally;
