//! The only place that reads the wall clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::allocation::Timestamp;

/// Reads the time of day.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> DateTime<Utc>;

    /// The current time in the allocation's unit.
    fn timestamp(&self) -> Timestamp {
        Timestamp(self.now().timestamp_millis())
    }

    /// A monotonic reading, unaffected by changes of the time of day. Only the difference of two
    /// readings means something.
    fn counted(&self) -> Duration {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        FIRST.elapsed()
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

/// A clock that all replicas agree on: the database's time, counted on by this machine.
///
/// Replicas must agree on which bucket is open and which report is too old, even if a machine's
/// clock is an hour wrong. The database's clock is the only one they share. A difference under
/// [`FleetClock::TOLERANCE`] is ignored, so that a slow answer does not make the time jitter. The
/// machine's own clock is read once. If somebody sets it afterwards, this clock does not move,
/// unless the database runs on the same machine.
pub struct FleetClock {
    machine: Arc<dyn Clock>,
    count: Count,
    offset_milliseconds: AtomicI64,
}

impl FleetClock {
    /// Differences up to this are attributed to the network.
    pub const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

    /// Starts with the machine's time.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self {
            count: Count::of(&*machine),
            machine,
            offset_milliseconds: AtomicI64::new(0),
        }
    }

    /// The time without the database's correction, to compare with the database's time.
    #[must_use]
    pub fn counted_now(&self) -> DateTime<Utc> {
        self.count.now(self.counted())
    }

    /// The current correction of the machine's time.
    #[must_use]
    pub fn offset(&self) -> TimeDelta {
        self.now() - self.machine.now()
    }

    /// Adopts the database's time, read between two readings of [`FleetClock::counted_now`].
    ///
    /// Ignores a reading that took longer than the tolerance. Returns by how many milliseconds the
    /// time was moved, if it was.
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
        let moved = measured - self.offset_milliseconds.load(Ordering::Relaxed);
        if moved.abs() <= Self::TOLERANCE.num_milliseconds() {
            return None;
        }
        self.offset_milliseconds.store(measured, Ordering::Relaxed);
        Some(moved)
    }
}

impl Clock for FleetClock {
    fn now(&self) -> DateTime<Utc> {
        let offset = self.offset_milliseconds.load(Ordering::Relaxed);
        let counted = self.counted_now();
        // Out of range only if the database's clock is. Then the machine's own time is used.
        counted
            .checked_add_signed(TimeDelta::milliseconds(offset))
            .unwrap_or(counted)
    }

    fn counted(&self) -> Duration {
        self.machine.counted()
    }
}

/// Time that is counted from a known instant, unaffected by changes of the wall clock.
#[derive(Debug, Clone, Copy)]
struct Count {
    from: DateTime<Utc>,
    since: Duration,
}

impl Count {
    fn of(machine: &dyn Clock) -> Self {
        Self {
            from: machine.now(),
            since: machine.counted(),
        }
    }

    /// The instant that belongs to a later reading of [`Clock::counted`].
    fn now(&self, counted: Duration) -> DateTime<Utc> {
        let passed = counted.saturating_sub(self.since);
        TimeDelta::from_std(passed)
            .ok()
            .and_then(|passed| self.from.checked_add_signed(passed))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// Notices when somebody sets a machine's clock, or when the machine slept.
pub struct Steps {
    machine: Arc<dyn Clock>,
    count: Count,
}

impl Steps {
    /// Starts to watch.
    #[must_use]
    pub fn of(machine: Arc<dyn Clock>) -> Self {
        let count = Count::of(&*machine);
        Self { machine, count }
    }

    /// By how much the clock was set since the last call; `None` if by less than
    /// [`FleetClock::TOLERANCE`].
    pub fn step(&mut self) -> Option<TimeDelta> {
        let now = self.machine.now();
        let step = now - self.count.now(self.machine.counted());
        if step.abs() <= FleetClock::TOLERANCE {
            return None;
        }
        self.count = Count::of(&*self.machine);
        Some(step)
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
        assert!(clock.now() >= machine);

        let hour = machine - TimeDelta::hours(1);
        assert_eq!(clock.observe(machine, hour, machine), Some(-3_600_000));
        assert!((hour..machine).contains(&clock.now()));

        let slow = machine + TimeDelta::seconds(5);
        assert_eq!(
            clock.observe(machine, machine, slow),
            None,
            "a slow answer says nothing"
        );
    }
    struct Settable(AtomicI64);

    impl Clock for Settable {
        fn now(&self) -> DateTime<Utc> {
            SystemClock.now() + TimeDelta::milliseconds(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_nothing_and_is_noticed_once() {
        let machine = Arc::new(Settable(AtomicI64::new(0)));
        let clock = FleetClock::new(Arc::clone(&machine) as Arc<dyn Clock>);
        let mut steps = Steps::of(Arc::clone(&machine) as Arc<dyn Clock>);
        assert_eq!(steps.step(), None);
        let before = clock.now();
        machine.0.store(-3_600_000, Ordering::Relaxed);
        assert!(clock.now() >= before, "time goes on");
        assert_eq!((clock.offset() + FleetClock::TOLERANCE).num_minutes(), 60);
        let step = steps
            .step()
            .map(|step| (step - FleetClock::TOLERANCE).num_minutes());
        assert_eq!(step, Some(-60));
        assert_eq!(steps.step(), None);
    }
}
