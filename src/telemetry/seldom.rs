//! Limits log lines that could come by the thousand to one per period.
//!
//! No client may be able to fill the log. So every line that a single request can cause goes
//! through [`log_seldom`]; what it leaves out is counted by a metric.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often [`log_seldom`] writes a line.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Logs a line that single requests cause: one in [`PERIOD`], or in `every`, for each place in the
/// code. The field `unsaid` says how many were left out since the last.
macro_rules! log_seldom {
    ($level:ident, $($line:tt)+) => {
        $crate::telemetry::seldom::log_seldom!(
            every $crate::telemetry::seldom::PERIOD; $level, $($line)+
        )
    };
    (every $period:expr; $level:ident, $($line:tt)+) => {{
        use $crate::telemetry::seldom::Seldom;
        static LINES: std::sync::LazyLock<Seldom> =
            std::sync::LazyLock::new(|| Seldom::new($period));
        if let Some(unsaid) = LINES.pass() {
            tracing::$level!(unsaid, $($line)+);
        }
    }};
}
pub(crate) use log_seldom;

/// Passes one event per period, and counts those in between.
#[derive(Debug)]
pub struct Seldom {
    period: Duration,
    start: Instant,
    /// The time from which the next one passes, in milliseconds after `start`.
    open_at: AtomicU64,
    held_back: AtomicU64,
}

impl Seldom {
    /// Passes the first event, and then one per period.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            start: Instant::now(),
            open_at: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether this one passes; if so, the number of events since the last that did.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(self.start.elapsed())
    }

    fn pass_at(&self, elapsed: Duration) -> Option<u64> {
        let now = elapsed.as_millis() as u64;
        let open_at = self.open_at.load(Ordering::Relaxed);
        let next = now.saturating_add(self.period.as_millis() as u64);
        let passes = now >= open_at
            && self
                .open_at
                .compare_exchange(open_at, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if passes {
            Some(self.held_back.swap(0, Ordering::Relaxed))
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_per_period() {
        let seldom = Seldom::new(Duration::from_secs(10));
        let at = |seconds| seldom.pass_at(Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1), None);
        assert_eq!(at(9), None);
        assert_eq!(at(10), Some(2));
        assert_eq!(at(100), Some(0));
    }
}
