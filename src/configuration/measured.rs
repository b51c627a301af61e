//! What a trace costs, as sources tell it.
//!
//! A budget buys the spans of whole traces. So what a trace costs is a figure of the fleet: the sampled spans of all
//! services over the sampled roots of all services. Of one service it cannot be known from counts, because the spans
//! of a trace are counted by the services in which they begin, whichever service its root was in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::allocation::{OVERFLOW_NAME, Timestamp, Window};
use crate::store::{ServiceSpans, SpanSums, StoredObservations};
use crate::telemetry::logging::chain;

/// A figure is used if services that tell it are at least this part of all that have traffic.
const COVERAGE_LEAST: f64 = 0.9;

/// And if its standard error is at most this part of it.
const ERROR_MOST: f64 = 0.05;

/// And if at least this many windows had something: the error is judged by how they scatter.
const WINDOWS_LEAST: usize = 10;

/// A mean over sampled traces or spans.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// The mean; none if there was nothing.
    pub value: Option<f64>,
    /// Its standard error, as a part of it, by the scatter of the windows.
    pub relative_error: f64,
    /// Services that tell it over all that have traffic.
    pub coverage: f64,
    /// The windows in which there was something.
    pub windows: usize,
}

impl Mean {
    /// The mean, if it is good enough to decide by.
    #[must_use]
    pub fn trusted(&self) -> Option<f64> {
        let good = self.coverage >= COVERAGE_LEAST
            && self.relative_error <= ERROR_MOST
            && self.windows >= WINDOWS_LEAST;
        self.value.filter(|_| good)
    }

    /// Divides sums by windows: the mean is the ratio of the totals, and its error that of a ratio estimator.
    fn of(windows: impl Iterator<Item = (u64, u64)>, coverage: f64) -> Self {
        let some = windows.filter(|(top, bottom)| *top > 0 || *bottom > 0);
        let pairs: Vec<(f64, f64)> = some
            .map(|(top, bottom)| (top as f64, bottom as f64))
            .collect();
        let top: f64 = pairs.iter().map(|(top, _)| top).sum();
        let bottom: f64 = pairs.iter().map(|(_, bottom)| bottom).sum();
        if bottom <= 0.0 || top <= 0.0 {
            return Self {
                coverage,
                ..Self::default()
            };
        }
        let ratio = top / bottom;
        let count = pairs.len() as f64;
        let residuals = pairs
            .iter()
            .map(|(top, bottom)| (top - ratio * bottom).powi(2));
        let variance = residuals.sum::<f64>() * count / (count - 1.0).max(1.0);
        Self {
            value: Some(ratio),
            relative_error: variance.sqrt() / top,
            coverage,
            windows: pairs.len(),
        }
    }
}

/// What a trace costs, as sources told it in the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeasuredCost {
    /// The sampled spans of all services over their sampled roots.
    pub spans_per_trace: Mean,
    /// The bytes of a span in OTLP's protobuf, without compression.
    pub bytes_per_span: Mean,
    /// From the first to the last window that has something; none if none has.
    pub during: Option<Window>,
}

/// Services of which it is remembered how they tell their spans. Those of others count, but not for coverage.
const SERVICES: usize = 50_000;

/// Follows what a trace costs. Every replica reads the same rows, so all know the same.
#[derive(Debug, Default)]
pub struct CostMeter {
    seen: Mutex<Seen>,
    current: ArcSwap<MeasuredCost>,
}

/// What was read. It keeps sums of rows, so that its size does not depend on how long an hour is in windows.
#[derive(Debug, Default)]
struct Seen {
    /// What each replica saw in each window, by start and replica.
    rows: BTreeMap<(Timestamp, Uuid), Row>,
    /// How services tell their spans.
    services: HashMap<String, Told>,
}

/// The spans that one replica saw in a window.
#[derive(Debug)]
struct Row {
    window: Window,
    /// Of each service by the better of its sources.
    all: SpanSums,
    exported: SpanSums,
}

/// When a service last told its spans, and how. Starts of windows.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    at: Timestamp,
    by_metrics: Option<Timestamp>,
    with_bytes: Option<Timestamp>,
}

impl CostMeter {
    /// What a trace costs now.
    #[must_use]
    pub fn current(&self) -> MeasuredCost {
        **self.current.load()
    }

    /// From which window on rows have to be read. The newest ones are read again: replicas write them one after the
    /// other.
    #[must_use]
    pub fn reads_from(&self, kept_from: Timestamp, again: i64) -> Timestamp {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = seen
            .rows
            .last_key_value()
            .map(|((start, _), _)| start.0 - again);
        Timestamp(newest.unwrap_or(kept_from.0).max(kept_from.0))
    }

    /// Takes rows over, oldest first, forgets those of windows that start before `kept_from`, and measures again.
    /// `with_traffic` are the services whose sources should tell their spans.
    pub fn follow(
        &self,
        read: &[StoredObservations],
        kept_from: Timestamp,
        with_traffic: &HashSet<&str>,
    ) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for row in read {
            match row.read() {
                Ok(spans) => seen.add(row.window, row.replica, spans),
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "the spans of a window cannot be read; measuring the cost of a trace without them"
                ),
            }
        }
        seen.forget(kept_from);
        self.current.store(Arc::new(seen.measured(with_traffic)));
    }
}

impl Seen {
    fn add(&mut self, window: Window, replica: Uuid, spans: Vec<ServiceSpans>) {
        let (mut all, mut exported) = (SpanSums::default(), SpanSums::default());
        for of in spans {
            exported = exported.and(of.exported);
            let by_metrics = self.tells(window.start, &of);
            all = all.and(if by_metrics { of.counted } else { of.exported });
        }
        let row = Row {
            window,
            all,
            exported,
        };
        self.rows.insert((window.start, replica), row);
    }

    /// Notes how a service tells its spans. Returns whether its metrics do: they count every span, and what is
    /// exported may have been sampled once more on its way.
    fn tells(&mut self, at: Timestamp, of: &ServiceSpans) -> bool {
        let counted = of.counted.spans > 0;
        if of.service == OVERFLOW_NAME {
            return counted;
        }
        let has_room = self.services.len() < SERVICES;
        let told = match self.services.get_mut(&of.service) {
            Some(told) => told,
            None if has_room => self.services.entry(of.service.clone()).or_default(),
            None => return counted,
        };
        told.at = told.at.max(at);
        if counted {
            told.by_metrics = told.by_metrics.max(Some(at));
        }
        if of.exported.weighed > 0 {
            told.with_bytes = told.with_bytes.max(Some(at));
        }
        told.by_metrics.is_some()
    }

    fn forget(&mut self, kept_from: Timestamp) {
        self.rows.retain(|(start, _), _| *start >= kept_from);
        let kept = |at: &Timestamp| *at >= kept_from;
        self.services.retain(|_, told| {
            told.by_metrics = told.by_metrics.filter(kept);
            told.with_bytes = told.with_bytes.filter(kept);
            kept(&told.at)
        });
    }

    /// Services that tell something over all that have traffic or tell anything.
    fn coverage(&self, with_traffic: &HashSet<&str>, tells: impl Fn(&Told) -> bool) -> f64 {
        let silent = with_traffic.iter();
        let silent = silent.filter(|service| !self.services.contains_key(**service));
        let all = self.services.len() + silent.count();
        let telling = self.services.values().filter(|told| tells(told));
        telling.count() as f64 / all.max(1) as f64
    }

    fn measured(&self, with_traffic: &HashSet<&str>) -> MeasuredCost {
        let mut windows: BTreeMap<Timestamp, (SpanSums, SpanSums)> = BTreeMap::new();
        for ((start, _), row) in &self.rows {
            let (all, exported) = windows.entry(*start).or_default();
            *all = all.and(row.all);
            *exported = exported.and(row.exported);
        }
        let spans = windows.values().map(|(all, _)| (all.spans, all.roots));
        let bytes = windows.values().map(|(_, of)| (of.bytes, of.weighed));
        let read = self.rows.values().map(|row| row.window);
        MeasuredCost {
            spans_per_trace: Mean::of(spans, self.coverage(with_traffic, |_| true)),
            bytes_per_span: Mean::of(
                bytes,
                self.coverage(with_traffic, |told| told.with_bytes.is_some()),
            ),
            during: read.reduce(|one, other| Window {
                start: one.start.min(other.start),
                end: one.end.max(other.end),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(spans: u64, roots: u64) -> SpanSums {
        SpanSums {
            spans,
            roots,
            ..SpanSums::default()
        }
    }

    fn seen(windows: i64, of: impl Fn(i64) -> Vec<ServiceSpans>) -> Seen {
        let mut seen = Seen::default();
        for number in 0..windows {
            let window = Window {
                start: Timestamp(number * 60_000),
                end: Timestamp((number + 1) * 60_000),
            };
            seen.add(window, Uuid::nil(), of(number));
        }
        seen
    }

    fn service(name: &str, counted: SpanSums, exported: SpanSums) -> ServiceSpans {
        ServiceSpans {
            service: name.into(),
            counted,
            exported,
        }
    }

    #[test]
    fn a_trace_costs_the_spans_of_all_services_over_the_roots_of_all() {
        let of = |_| {
            vec![
                service("edge", sums(30, 10), sums(0, 0)),
                service("inner", sums(90, 0), sums(45, 0)),
                service(
                    "jobs",
                    sums(0, 0),
                    SpanSums {
                        bytes: 9000,
                        weighed: 20,
                        ..sums(20, 10)
                    },
                ),
            ]
        };
        let both = HashSet::from(["edge", "jobs"]);
        let measured = seen(20, of).measured(&both);
        assert_eq!(measured.spans_per_trace.trusted(), Some(7.0));
        assert_eq!(measured.spans_per_trace.relative_error, 0.0);
        assert_eq!(measured.bytes_per_span.value, Some(450.0));
        assert_eq!(measured.bytes_per_span.coverage, 1.0 / 3.0);
        assert_eq!(
            measured.bytes_per_span.trusted(),
            None,
            "one of three services says it"
        );
    }

    #[test]
    fn few_windows_many_silent_services_and_much_scatter_are_not_trusted() {
        let steady = |_| vec![service("edge", sums(30, 10), sums(0, 0))];
        let alone = HashSet::from(["edge"]);
        let trusted =
            |seen: Seen, all: &HashSet<&str>| seen.measured(all).spans_per_trace.trusted();
        assert_eq!(trusted(seen(20, steady), &alone), Some(3.0));
        assert_eq!(trusted(seen(9, steady), &alone), None);
        let others = HashSet::from(["edge", "a", "b"]);
        assert_eq!(trusted(seen(20, steady), &others), None);
        let wild = |number| {
            vec![service(
                "edge",
                sums(if number % 7 == 0 { 900 } else { 10 }, 10),
                sums(0, 0),
            )]
        };
        assert_eq!(trusted(seen(20, wild), &alone), None);
        assert_eq!(trusted(Seen::default(), &alone), None);
        let rootless = |_| vec![service("edge", sums(30, 0), sums(0, 0))];
        assert_eq!(trusted(seen(20, rootless), &alone), None);
    }
    #[test]
    fn rows_are_forgotten_and_one_that_is_read_again_counts_once() {
        let of = |_| vec![service("edge", sums(30, 10), sums(0, 0))];
        let mut seen = seen(20, of);
        let again = Window {
            start: Timestamp(19 * 60_000),
            end: Timestamp(20 * 60_000),
        };
        seen.add(again, Uuid::nil(), of(19));
        seen.add(
            again,
            Uuid::max(),
            vec![service("late", sums(0, 0), sums(9, 3))],
        );
        let alone = HashSet::from(["edge"]);
        assert_eq!(seen.measured(&alone).spans_per_trace.windows, 20);
        seen.forget(Timestamp(10 * 60_000));
        let measured = seen.measured(&alone);
        assert_eq!(measured.spans_per_trace.windows, 10);
        assert_eq!(measured.during.map(|of| of.start), Some(Timestamp(600_000)));
        seen.forget(Timestamp(i64::MAX));
        assert!(seen.services.is_empty() && seen.rows.is_empty());
    }
}
