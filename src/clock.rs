//! The only place that reads the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::allocation::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;

    /// The present instant in the allocation's unit.
    fn timestamp(&self) -> Timestamp {
        Timestamp(self.now().timestamp_millis())
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that all replicas agree on: the machine's, moved to the database's when they differ.
///
/// Replicas must agree on which bucket is open and which report is too old, and a machine whose
/// clock is an hour wrong must not break that. The database is the one clock they share. A
/// difference under [`FleetClock::TOLERANCE`] is left alone, so that a slow answer does not make
/// time jitter.
pub struct FleetClock {
    machine: Arc<dyn Clock>,
    offset_milliseconds: AtomicI64,
}

impl FleetClock {
    /// Differences up to this are taken for the network's.
    pub const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

    /// Starts without an offset.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self {
            machine,
            offset_milliseconds: AtomicI64::new(0),
        }
    }

    /// The machine's own time, uncorrected.
    #[must_use]
    pub fn machine_now(&self) -> DateTime<Utc> {
        self.machine.now()
    }

    /// By how much the machine's time is moved, in milliseconds.
    #[must_use]
    pub fn offset_milliseconds(&self) -> i64 {
        self.offset_milliseconds.load(Ordering::Relaxed)
    }

    /// Takes in the database's time, read between two readings of the machine's clock.
    ///
    /// A reading that took longer than the tolerance says too little and is passed over.
    /// Returns the new offset in milliseconds when it changed.
    pub fn observe(
        &self,
        before: DateTime<Utc>,
        database: DateTime<Utc>,
        after: DateTime<Utc>,
    ) -> Option<i64> {
        let took = after - before;
        if took > Self::TOLERANCE || took < TimeDelta::zero() {
            return None;
        }
        let measured = (database - (before + took / 2)).num_milliseconds();
        let held = self.offset_milliseconds();
        if (measured - held).abs() <= Self::TOLERANCE.num_milliseconds() {
            return None;
        }
        self.offset_milliseconds.store(measured, Ordering::Relaxed);
        Some(measured)
    }
}

impl Clock for FleetClock {
    fn now(&self) -> DateTime<Utc> {
        self.machine.now() + TimeDelta::milliseconds(self.offset_milliseconds())
    }
}

/// An instant of the allocation as a date.
#[must_use]
pub fn date(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(DateTime<Utc>);

    impl Clock for Fixed {
        fn now(&self) -> DateTime<Utc> {
            self.0
        }
    }

    #[test]
    fn moves_to_the_databases_time_only_when_they_clearly_differ() {
        let machine = DateTime::from_timestamp_millis(1_000_000_000_000).unwrap();
        let clock = FleetClock::new(Arc::new(Fixed(machine)));
        let near = machine + TimeDelta::milliseconds(900);
        assert_eq!(clock.observe(machine, near, machine), None);
        assert_eq!(clock.now(), machine);

        let hour = machine - TimeDelta::hours(1);
        assert_eq!(clock.observe(machine, hour, machine), Some(-3_600_000));
        assert_eq!(clock.now(), hour);

        let slow = machine + TimeDelta::seconds(5);
        assert_eq!(
            clock.observe(machine, machine, slow),
            None,
            "a slow answer says nothing"
        );
    }
}
