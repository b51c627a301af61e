//! Pauses between attempts: they grow, and are not the same everywhere.

use std::sync::Mutex;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// A line of the log about a backend each so often at most.
const SAY_EACH: Duration = Duration::from_secs(10);

/// How long a batch is tried.
pub(super) struct Retries {
    retry_for: Duration,
    said: Mutex<Option<Instant>>,
}

/// The attempts of one batch.
pub(super) struct Attempts {
    until: Instant,
    next: Duration,
}

impl Retries {
    pub fn new(retry_for: Duration) -> Self {
        Self {
            retry_for,
            said: Mutex::new(None),
        }
    }

    pub fn begin(&self) -> Attempts {
        Attempts {
            until: Instant::now() + self.retry_for,
            next: FIRST,
        }
    }

    /// Whether the log may have another line.
    pub fn may_say(&self) -> bool {
        let Ok(mut said) = self.said.lock() else {
            return true;
        };
        let now = Instant::now();
        let may = said.is_none_or(|said| now - said >= SAY_EACH);
        if may {
            *said = Some(now);
        }
        may
    }
}

impl Attempts {
    /// How long to wait before the next attempt: what the backend asks for, or twice as long as before, give or
    /// take a fifth. None if the time is over.
    pub fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let pause = asked.unwrap_or(self.next).mul_f64(jitter());
        self.next = (self.next * 2).min(LONGEST);
        (Instant::now() + pause <= self.until).then_some(pause)
    }
}

/// A factor of 0.8 to 1.2.
pub(crate) fn jitter() -> f64 {
    rand::rng().random_range(0.8..1.2)
}
