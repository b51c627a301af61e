//! The settings that all replicas of one database share.

use std::time::Duration;

use super::{DictionaryLimits, StepsKept};

/// The settings that all replicas must agree on.
///
/// With different intervals, they would count a window's requests in buckets of two lengths. With
/// different report ages, one replica would accept reports whose marks another has deleted, and
/// count them twice. With any other setting here, the result would depend on which replica leads,
/// or which one gets a report first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// How often a plan is computed, and the length of a bucket; whole milliseconds.
    pub interval: Duration,
    /// The greatest age of an accepted report, from the start of its window; whole milliseconds.
    pub report_age_max: Duration,
    /// How long after its end a window waits for reports, in whole milliseconds; if none, it
    /// follows from the interval.
    pub grace: Option<Duration>,
    /// How long the history of operations is stored; whole milliseconds.
    pub history: Duration,
    /// How long coarser steps are stored.
    pub steps: StepsKept,
    /// How long a name is stored that nobody reports; whole milliseconds.
    pub retire_after: Duration,
    /// How many names get an entry of their own.
    pub names: DictionaryLimits,
}
