//! The figures that are measured of a bout.

use weir_simulate::measure::{Cells, fill_equally, jain};

use crate::workload::{Span, Workload};

/// The length of a cell, in intervals: an operation should show a trace in each.
const CELL: usize = 5;
/// A controller counts as settled if its error is within this part of the budget
const SETTLED: f64 = 0.1;
/// in this many intervals in a row,
const SETTLED_FOR: usize = 3;
/// and it has this many intervals to get there.
pub const SETTLES_WITHIN: usize = 60;
/// If no error follows an event within this many intervals, the event did not disturb it.
const DISTURBED_WITHIN: usize = 10;
/// An event lasts this many intervals.
const EVENT_LASTS: usize = 15;
/// A probability that moved by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;
/// Intervals in a day.
const DAY: usize = 1440;

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
    NearZero,
}

/// One measured quantity.
pub struct Figure {
    pub name: &'static str,
    pub better: Better,
    /// The factor for people.
    pub scale: f64,
    pub decimals: usize,
}

/// The indexes of the figures in [`FIGURES`] and [`Measured`].
pub mod of {
    pub const ERROR: usize = 0;
    pub const BIAS: usize = 1;
    pub const HIGH: usize = 2;
    pub const EVENT: usize = 4;
    pub const SETTLES: usize = 5;
    pub const JAIN: usize = 7;
    pub const COVERAGE: usize = 8;
    pub const CHURN: usize = 9;
    pub const MISSING: usize = 10;
}

/// All figures.
pub const FIGURES: [Figure; 11] = [
    figure("MAE %", Better::Lower, 100.0, 2),
    figure("bias %", Better::NearZero, 100.0, 2),
    figure("p99 over %", Better::Lower, 100.0, 1),
    figure("max over %", Better::Lower, 100.0, 1),
    figure("event over %", Better::Lower, 100.0, 1),
    figure("settles", Better::Lower, 1.0, 1),
    figure("24 h %", Better::Lower, 100.0, 2),
    figure("Jain", Better::Higher, 1.0, 3),
    figure("coverage %", Better::Higher, 100.0, 1),
    figure("churn %", Better::Lower, 100.0, 1),
    figure("missing %", Better::NearZero, 100.0, 1),
];

const fn figure(name: &'static str, better: Better, scale: f64, decimals: usize) -> Figure {
    Figure {
        name,
        better,
        scale,
        decimals,
    }
}

/// The figures of a bout; those that do not apply are absent.
pub type Measured = [Option<f64>; FIGURES.len()];

/// The values that a bout is compared with.
pub struct Ideal {
    /// Traces that equal filling would have kept of every operation over the judged intervals.
    kept: Vec<f64>,
}

impl Ideal {
    pub fn of(workload: &Workload, span: &Span, counts: &[Vec<u64>]) -> Self {
        let seconds = workload.timing.interval.as_secs_f64();
        let mut kept = vec![0.0; workload.traffic.operations().len()];
        for counts in &counts[span.intervals.clone()] {
            fill_equally(&mut kept, counts, workload.budget, seconds);
        }
        Self { kept }
    }
}

/// Adds up the figures of a bout.
pub struct Judge<'a> {
    workload: &'a Workload,
    /// Every interval's error, as a part of the budget.
    errors: Vec<f64>,
    /// Whether an operation has had traffic so far.
    seen: Vec<bool>,
    spans: Vec<SpanSums<'a>>,
}

/// Sums over the intervals of a span.
struct SpanSums<'a> {
    span: &'a Span,
    ideal: &'a Ideal,
    /// Traces kept of every operation.
    kept: Vec<u64>,
    cells: Cells,
    changed: f64,
    plans: usize,
    missing: Option<f64>,
}

impl<'a> Judge<'a> {
    pub fn new(workload: &'a Workload, ideals: &'a [Ideal]) -> Self {
        let operations = workload.traffic.operations().len();
        let sums = |(span, ideal)| SpanSums {
            span,
            ideal,
            kept: vec![0; operations],
            cells: Cells::new(operations, CELL),
            changed: 0.0,
            plans: 0,
            missing: None,
        };
        Self {
            workload,
            errors: Vec::new(),
            seen: vec![false; operations],
            spans: workload.spans.iter().zip(ideals).map(sums).collect(),
        }
    }

    /// Takes an interval's requests and kept traces, and what the plan after it says is missing.
    pub fn interval(&mut self, number: usize, counts: &[u64], kept: &[u64], missing: Option<f64>) {
        let seconds = self.workload.timing.interval.as_secs_f64();
        let budget = self.workload.budget;
        let offered = counts.iter().sum::<u64>() as f64 / seconds;
        let total = kept.iter().sum::<u64>() as f64 / seconds;
        self.errors.push((total - budget.min(offered)) / budget);
        for (seen, &count) in self.seen.iter_mut().zip(counts) {
            *seen |= count > 0;
        }
        for sums in at(&mut self.spans, number) {
            for (sum, kept) in sums.kept.iter_mut().zip(kept) {
                *sum += kept;
            }
            sums.cells.add(counts, kept);
            if let Some(missing) = missing {
                *sums.missing.get_or_insert(0.0) += missing / budget;
            }
        }
    }

    /// Adds the plan after an interval, and the one before it.
    pub fn plan(&mut self, number: usize, old: &[f64], new: &[f64]) {
        let seen = &self.seen;
        for sums in at(&mut self.spans, number) {
            let known = seen.iter().filter(|seen| **seen).count();
            let pairs = old.iter().zip(new).zip(seen);
            let changed = pairs
                .filter(|((old, new), seen)| **seen && (*new - *old).abs() > CHANGE * *old)
                .count();
            sums.changed += changed as f64 / known.max(1) as f64;
            sums.plans += 1;
        }
    }

    /// The figures of every span.
    pub fn measured(self) -> Vec<Measured> {
        let spans = self.spans.iter();
        spans.map(|sums| self.span(sums)).collect()
    }

    fn span(&self, sums: &SpanSums<'_>) -> Measured {
        let judged = &self.errors[sums.span.intervals.clone()];
        let count = judged.len().max(1) as f64;
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        let mut sorted = judged.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (part * (sorted.len() as f64 - 1.0)).round() as usize;
            sorted.get(place).copied()
        };
        let event = self.workload.event;
        let days = judged.chunks_exact(DAY).map(|day| mean(day).abs());
        [
            Some(judged.iter().map(|error| error.abs()).sum::<f64>() / count),
            Some(mean(judged)),
            at(0.99),
            at(1.0),
            event.map(|event| self.worst_after(event)),
            event.map(|event| self.settles(event)),
            days.reduce(f64::max),
            Some(jain(&sums.kept, &sums.ideal.kept)),
            Some(sums.cells.covered()),
            (sums.plans > 0).then(|| sums.changed / sums.plans as f64),
            sums.missing.map(|missing| missing / count),
        ]
    }

    /// The largest error of an event's intervals.
    fn worst_after(&self, event: usize) -> f64 {
        let errors = self.errors.iter().skip(event).take(EVENT_LASTS);
        errors.copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Intervals from an event until the first of a few that are all within a tenth of the budget.
    fn settles(&self, event: usize) -> f64 {
        let errors = &self.errors[event..(event + SETTLES_WITHIN).min(self.errors.len())];
        let off = |error: &f64| error.abs() > SETTLED;
        let Some(first) = errors.iter().take(DISTURBED_WITHIN).position(off) else {
            return 0.0;
        };
        let settled = errors[first..]
            .windows(SETTLED_FOR)
            .position(|run| !run.iter().any(off));
        settled.map_or(SETTLES_WITHIN, |after| first + after) as f64
    }
}

/// The spans that contain an interval.
fn at<'a, 'b>(
    spans: &'b mut [SpanSums<'a>],
    number: usize,
) -> impl Iterator<Item = &'b mut SpanSums<'a>> {
    let spans = spans.iter_mut();
    spans.filter(move |sums| sums.span.intervals.contains(&number))
}
