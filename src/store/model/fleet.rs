//! The settings that all replicas of one database share.

use std::time::Duration;

use super::DictionaryLimits;
use crate::store::fault::Fault;

/// What all replicas have to agree on.
///
/// With different intervals they would count one window's requests in buckets of two lengths. With
/// different report ages one replica would accept reports whose marks another has deleted, and count
/// them twice. Every other setting here would depend on which replica leads, or which one a report
/// comes to first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// How often a plan is computed, and the length of a bucket; whole milliseconds.
    pub interval: Duration,
    /// The oldest report accepted, by the start of its window; whole milliseconds.
    pub report_age_max: Duration,
    /// How long after its end a window still waits for reports, in whole milliseconds; if nobody has
    /// said, it follows from the interval.
    pub grace: Option<Duration>,
    /// How long the history of operations is kept; whole milliseconds.
    pub history: Duration,
    /// How long a name is kept that nobody reports; whole milliseconds.
    pub retire_after: Duration,
    /// How many names are counted apart.
    pub names: DictionaryLimits,
}

/// The row of table `fleet`, in the order of the fields above; durations in milliseconds.
pub(in crate::store) type FleetRow = (i64, i64, Option<i64>, i64, i64, i64, i64, i64);

impl FleetSettings {
    /// As they are stored.
    pub(in crate::store) fn row(self) -> FleetRow {
        let milliseconds = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        let names = self.names;
        (
            milliseconds(self.interval),
            milliseconds(self.report_age_max),
            self.grace.map(milliseconds),
            milliseconds(self.history),
            milliseconds(self.retire_after),
            names.services.into(),
            names.operations_per_service.into(),
            names.operations.into(),
        )
    }

    /// Reads what is stored.
    pub(in crate::store) fn of_row(row: FleetRow) -> Result<Self, Fault> {
        let (interval, age, grace, history, retire, services, of_service, operations) = row;
        let grace = grace.map(|grace| match u64::try_from(grace) {
            Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
            Err(_) => Err(Fault::corrupt("fleet.grace_ms", "it is below 0")),
        });
        Ok(Self {
            interval: duration("fleet.interval_ms", interval)?,
            report_age_max: duration("fleet.report_age_max_ms", age)?,
            grace: grace.transpose()?,
            history: duration("fleet.history_ms", history)?,
            retire_after: duration("fleet.retire_after_ms", retire)?,
            names: DictionaryLimits {
                services: count("fleet.max_services", services)?,
                operations_per_service: count("fleet.max_operations_per_service", of_service)?,
                operations: count("fleet.max_operations", operations)?,
            },
        })
    }
}

fn duration(cell: &str, milliseconds: i64) -> Result<Duration, Fault> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(Fault::corrupt(cell, "it is not above 0")),
    }
}

fn count(cell: &str, count: i64) -> Result<u32, Fault> {
    match u32::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Fault::corrupt(cell, "it is not between 1 and 4294967295")),
    }
}
