//! What is measured of a bout.

use weir::allocation::solve::{Entry, solve};

use crate::workload::Workload;

/// The first interval that is judged: everybody has had an hour to learn the fleet.
pub const WARM_UP: usize = 60;
/// The span in which an operation should show a trace, in intervals.
const CELL: usize = 5;
/// Within this part of the budget a controller counts as settled,
const SETTLED: f64 = 0.1;
/// in this many intervals running,
const SETTLED_FOR: usize = 3;
/// and it has so many to get there.
pub const SETTLES_WITHIN: usize = 60;
/// The first of its errors comes this soon after an event, or it is not disturbed.
const DISTURBED_WITHIN: usize = 10;
/// A probability that moved by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;

/// What better means.
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
    /// What it is multiplied by for people.
    pub scale: f64,
    pub decimals: usize,
}

/// Everything that is measured, in the order of [`Measured`].
pub const FIGURES: [Figure; 8] = [
    figure("MAE %", Better::Lower, 100.0, 2),
    figure("bias %", Better::NearZero, 100.0, 2),
    figure("p99 over %", Better::Lower, 100.0, 1),
    figure("max over %", Better::Lower, 100.0, 1),
    figure("settles", Better::Lower, 1.0, 1),
    figure("Jain", Better::Higher, 1.0, 3),
    figure("coverage %", Better::Higher, 100.0, 1),
    figure("churn %", Better::Lower, 100.0, 1),
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

/// What a bout is compared with.
pub struct Ideal {
    /// Traces that equal filling would have kept of every operation over the judged intervals.
    kept: Vec<f64>,
}

impl Ideal {
    pub fn of(workload: &Workload, counts: &[Vec<u64>]) -> Self {
        let seconds = workload.timing.interval.as_secs_f64();
        let mut kept = vec![0.0; workload.traffic.operations().len()];
        for counts in counts.iter().skip(WARM_UP) {
            let entries: Vec<Entry> = counts
                .iter()
                .map(|&count| Entry {
                    demand: count as f64 / seconds,
                    ..Entry::default()
                })
                .collect();
            let shares = solve(&entries, workload.budget).shares;
            for (kept, share) in kept.iter_mut().zip(shares) {
                *kept += share * seconds;
            }
        }
        Self { kept }
    }
}

/// Adds up a bout.
pub struct Judge<'a> {
    workload: &'a Workload,
    ideal: &'a Ideal,
    /// Every interval's error, as a part of the budget.
    errors: Vec<f64>,
    /// Traces kept of every operation over the judged intervals.
    kept: Vec<u64>,
    /// Requests and traces of every operation in the cell that is being filled.
    cell: Vec<(u64, u64)>,
    cells: u64,
    covered: u64,
    /// Whether an operation had traffic so far.
    seen: Vec<bool>,
    changed: f64,
    plans: usize,
}

impl<'a> Judge<'a> {
    pub fn new(workload: &'a Workload, ideal: &'a Ideal) -> Self {
        let operations = workload.traffic.operations().len();
        Self {
            workload,
            ideal,
            errors: Vec::new(),
            kept: vec![0; operations],
            cell: vec![(0, 0); operations],
            cells: 0,
            covered: 0,
            seen: vec![false; operations],
            changed: 0.0,
            plans: 0,
        }
    }

    /// Takes an interval's requests and kept traces.
    pub fn interval(&mut self, number: usize, counts: &[u64], kept: &[u64]) {
        let seconds = self.workload.timing.interval.as_secs_f64();
        let budget = self.workload.budget;
        let offered = counts.iter().sum::<u64>() as f64 / seconds;
        let total = kept.iter().sum::<u64>() as f64 / seconds;
        self.errors.push((total - budget.min(offered)) / budget);
        for (seen, &count) in self.seen.iter_mut().zip(counts) {
            *seen |= count > 0;
        }
        if number < WARM_UP {
            return;
        }
        for (place, (&offered, &kept)) in counts.iter().zip(kept).enumerate() {
            self.kept[place] += kept;
            self.cell[place].0 += offered;
            self.cell[place].1 += kept;
        }
        if (number - WARM_UP + 1).is_multiple_of(CELL) {
            for cell in &mut self.cell {
                self.cells += u64::from(cell.0 > 0);
                self.covered += u64::from(cell.1 > 0);
                *cell = (0, 0);
            }
        }
    }

    /// Takes the plan served after an interval and the one before it.
    pub fn plan(&mut self, number: usize, old: &[f64], new: &[f64]) {
        if number < WARM_UP {
            return;
        }
        let known = self.seen.iter().filter(|seen| **seen).count();
        let pairs = old.iter().zip(new).zip(&self.seen);
        let changed = pairs
            .filter(|((old, new), seen)| **seen && (*new - *old).abs() > CHANGE * *old)
            .count();
        self.changed += changed as f64 / known.max(1) as f64;
        self.plans += 1;
    }

    pub fn measured(self) -> Measured {
        let judged = &self.errors[WARM_UP.min(self.errors.len())..];
        let count = judged.len().max(1) as f64;
        let mut sorted = judged.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (part * (sorted.len() as f64 - 1.0)).round() as usize;
            sorted.get(place).copied()
        };
        [
            Some(judged.iter().map(|error| error.abs()).sum::<f64>() / count),
            Some(judged.iter().sum::<f64>() / count),
            at(0.99),
            at(1.0),
            self.workload.event.map(|event| self.settles(event)),
            Some(self.jain()),
            Some(self.covered as f64 / self.cells.max(1) as f64),
            (self.plans > 0).then(|| self.changed / self.plans as f64),
        ]
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

    /// Jain's index of what was kept over what equal filling would have kept.
    ///
    /// # Source
    /// R. Jain, D. Chiu, W. Hawe, «A Quantitative Measure of Fairness and Discrimination», DEC
    /// Research Report TR-301 (1984).
    fn jain(&self) -> f64 {
        let pairs = self.kept.iter().zip(&self.ideal.kept);
        let parts = pairs.filter(|(_, ideal)| **ideal > 0.0);
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (&kept, ideal) in parts {
            let part = kept as f64 / ideal;
            count += 1.0;
            sum += part;
            squares += part * part;
        }
        if squares > 0.0 {
            sum * sum / (count * squares)
        } else {
            0.0
        }
    }
}
