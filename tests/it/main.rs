//! Tests of Weir through its front doors: one binary, a module per capability.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod alerts;
mod allocation;
mod bad_days;
mod bad_input;
mod bounds;
mod configuration;
mod contract;
mod crash;
mod dashboard;
mod deployment;
mod encoded;
mod explanation;
mod fleet;
mod generated;
mod history;
mod interop;
mod jobs;
mod lease;
mod limits;
mod listeners;
mod listing;
mod logs;
mod lower_bound;
mod metrics;
mod names;
mod operators;
mod outage;
mod polls;
mod replay;
mod replicas;
mod reports;
mod restore;
mod rights;
mod simulate;
mod step_back;
mod stopping;
mod store;
mod structure;
mod supervision;
mod support;
mod unreadable;
mod upgrade;
