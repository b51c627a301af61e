//! The settings that all replicas of one database share.

use std::time::Duration;

use super::DictionaryLimits;

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
    /// The greatest age of an accepted report, from the start of its window; whole milliseconds.
    pub report_age_max: Duration,
    /// How long after its end a window still waits for reports, in whole milliseconds; if nobody has
    /// said, it follows from the interval.
    pub grace: Option<Duration>,
    /// How long the history of operations is kept; whole milliseconds.
    pub history: Duration,
    /// How long a name is kept that nobody reports; whole milliseconds.
    pub retire_after: Duration,
    /// How many names get an entry of their own.
    pub names: DictionaryLimits,
}
