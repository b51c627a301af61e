//! The settings that all replicas of one database share.

use std::time::Duration;

use crate::store::fault::Fault;

/// What all replicas have to agree on: with different intervals they would count one window's
/// requests in buckets of two lengths, and with different report ages one replica would accept
/// reports whose marks another has deleted, and count them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// How often a plan is computed, and the length of a bucket; whole milliseconds.
    pub interval: Duration,
    /// The oldest report accepted, by the start of its window; whole milliseconds.
    pub report_age_max: Duration,
}

impl FleetSettings {
    /// As it is stored: the interval and the report age in milliseconds.
    pub(in crate::store) fn row(self) -> (i64, i64) {
        let milliseconds = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        (
            milliseconds(self.interval),
            milliseconds(self.report_age_max),
        )
    }

    /// Reads what is stored.
    pub(in crate::store) fn of_row((interval, report_age_max): (i64, i64)) -> Result<Self, Fault> {
        Ok(Self {
            interval: duration("fleet.interval_ms", interval)?,
            report_age_max: duration("fleet.report_age_max_ms", report_age_max)?,
        })
    }
}

fn duration(cell: &str, milliseconds: i64) -> Result<Duration, Fault> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(Fault::corrupt(cell, "it is not above 0")),
    }
}
