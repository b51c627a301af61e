//! Requests, errors and durations of an operation, before sampling: dashboards stay right while traces are cut.

/// The upper bounds of the buckets of durations, in seconds. Those of the semantic conventions for
/// `http.server.request.duration`, without every second one above a second.
pub const BOUNDS_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What came of an operation's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SpanMetrics {
    /// Requests. A span that says that a sampler has left others out stands for these, too.
    pub requests: f64,
    /// Those that failed.
    pub errors: f64,
    /// Those with a duration, by the first bound that it is not above; the last one is above all.
    pub buckets: [f64; BOUNDS_SECONDS.len() + 1],
    /// All durations, in seconds.
    pub seconds: f64,
}

impl SpanMetrics {
    /// Adds a span that stands for this many requests.
    pub fn add(&mut self, weight: f64, is_error: bool, duration_ns: Option<u64>) {
        self.requests += weight;
        if is_error {
            self.errors += weight;
        }
        if let Some(duration_ns) = duration_ns {
            let seconds = duration_ns as f64 / 1e9;
            let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
            self.buckets[bucket] += weight;
            self.seconds += seconds * weight;
        }
    }

    /// Requests that have a duration.
    #[must_use]
    pub fn timed(&self) -> f64 {
        self.buckets.iter().sum()
    }
}
