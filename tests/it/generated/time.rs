//! Time that passes only when the simulation says so, and clocks that may be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use weir::allocation::Timestamp;
use weir::clock::{Clock, date};

/// 2026-11-20T09:00:00Z, in milliseconds since the Unix epoch.
pub const START: i64 = 1_795_165_200_000;

/// The true time.
pub struct Time(AtomicI64);

impl Time {
    pub fn starting() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    pub fn milliseconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Lets time pass until an instant, unless that is in the past.
    pub fn pass_until(&self, milliseconds: i64) {
        self.0.fetch_max(milliseconds, Ordering::Relaxed);
    }

    pub fn pass(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

/// A clock that can be set.
pub struct SetClock {
    time: Arc<Time>,
    off: AtomicI64,
}

impl SetClock {
    pub fn right(time: &Arc<Time>) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            off: AtomicI64::new(0),
        })
    }

    /// Sets it wrong by this many seconds.
    pub fn set_off(&self, seconds: i64) {
        self.off.store(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        date(Timestamp(self.time.milliseconds()))
            + TimeDelta::milliseconds(self.off.load(Ordering::Relaxed))
    }

    fn counted(&self) -> Duration {
        Duration::from_millis(self.time.milliseconds().unsigned_abs())
    }
}
