//! What Weir says of itself.

pub mod logging;
pub mod metrics;
pub mod seldom;
