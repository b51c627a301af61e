//! Log lines and metrics.

pub mod logging;
pub mod metrics;
pub mod seldom;
