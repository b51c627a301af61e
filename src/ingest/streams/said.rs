//! How many points of an export are not counted, and why.

use crate::telemetry::metrics::{Label, Metrics};

pub use crate::telemetry::metrics::UncountedReason as Reason;

/// A reason in words, after the number of points or spans.
fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::NoTime => "without a time",
        Reason::TooOld => "of a time that is too old",
        Reason::Forgotten => "that may have been counted before",
        Reason::Shared => {
            "below the value before: two processes may send the same stream \
             (give each its own service.instance.id)"
        }
        Reason::TooMany => "in more streams than a source may have",
        Reason::Baseline => {
            "the first of streams that began earlier: what comes after them is counted"
        }
    }
}

/// What exports are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Values of streams.
    Points,
    /// Root spans.
    Spans,
}

/// How many points or spans are not counted, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said([u64; Reason::ALL.len()]);

impl Said {
    pub fn note(&mut self, reason: Reason) {
        let of = &mut self.0[reason.place()];
        *of = of.saturating_add(1);
    }

    /// Adds those of another source.
    pub fn add(&mut self, more: Self) {
        for (sum, more) in self.0.iter_mut().zip(more.0) {
            *sum = sum.saturating_add(more);
        }
    }

    /// The points whose requests are lost. After a baseline, its stream is counted.
    pub fn rejected(self) -> u64 {
        let lost = Reason::ALL.iter().filter(|of| **of != Reason::Baseline);
        lost.fold(0, |all: u64, reason| all.saturating_add(self.of(*reason)))
    }

    /// Whether every point was counted.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// How many points there are for a reason.
    pub fn of(self, reason: Reason) -> u64 {
        self.0[reason.place()]
    }

    /// How many there are for each reason.
    pub fn in_words(self, unit: Unit) -> String {
        let unit = match unit {
            Unit::Points => "points",
            Unit::Spans => "spans",
        };
        let noted = Reason::ALL.iter().filter(|reason| self.of(**reason) > 0);
        let noted = noted.map(|reason| format!("{} {unit} {}", self.of(*reason), words(*reason)));
        format!("not counted: {}", noted.collect::<Vec<_>>().join("; "))
    }

    /// Adds them to the metrics.
    pub fn count(self, metrics: &Metrics) {
        for reason in Reason::ALL {
            metrics
                .points_uncounted
                .of(*reason)
                .inc_by(self.of(*reason));
        }
    }
}
