//! The time of day, for the windows of reports. Everything else counts from the start of the process.

use chrono::{DateTime, Utc};

/// The time on this machine.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
