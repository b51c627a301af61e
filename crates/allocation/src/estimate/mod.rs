//! How much traffic each operation offers, window by window.

pub(crate) mod classed;
pub(crate) mod common;
pub(crate) mod course;
pub(crate) mod first_seen;
pub(crate) mod names_return;
pub(crate) mod operation;
pub(crate) mod outlook;
pub(crate) mod peak;
pub(crate) mod presence;
pub(crate) mod priors;
pub(crate) mod rhythm;
pub(crate) mod state;
pub(crate) mod tally;
