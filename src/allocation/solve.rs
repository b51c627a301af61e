//! Weighted max-min fairness with floors and caps, solved exactly.
//!
//! The budget rises like water: every share is `clamp(weight · level, floor, cap)`, and the level
//! is the one at which the shares spend the budget. The sum of the shares is a piecewise linear,
//! never falling function of the level, so the level lies between two neighbouring breakpoints
//! and follows from one division. The breakpoints are searched by their median, which halves what
//! is undecided each time: linear time, no sorting. Sums are exact, so neither the order of the
//! entries nor ties between them can change a bit of the answer.

use super::sum::{ExactSum, exact_sum};

/// What amounts and weights are cut to, so that no quotient, product or sum of them leaves the
/// range of `f64`: a hundred orders of magnitude beyond any fleet.
const LARGEST: f64 = 1e100;

/// Smaller amounts count as none, and smaller weights as this.
const SMALLEST: f64 = 1e-100;

/// One who shares the budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The offered rate, in root requests per second: no share is larger.
    pub demand: f64,
    /// How much of the level it gets; above 0, else 1 is taken.
    pub weight: f64,
    /// The least it may get, in traces per second, as far as its demand and its cap go.
    pub floor: f64,
    /// The most it may get, in traces per second; it wins over the floor.
    pub cap: f64,
}

/// How the budget is shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The share per unit of weight of everybody bound by neither floor nor cap, in traces per
    /// second; infinite when everybody is at the cap, 0 when the floors alone exceed the budget.
    pub level: f64,
    /// The shares in traces per second, in the order of the entries.
    pub shares: Vec<f64>,
    /// Traces per second by which the floors exceed the budget; 0 when they fit.
    pub missing: f64,
}

/// Shares a budget of traces per second over the entries.
///
/// Floors that do not fit are all scaled down by the same factor; the budget is never exceeded.
/// Values that are no amounts are read as the nearest that are: NaN and negatives as 0, a NaN
/// cap as none. Equal inputs in any order give the same bits.
///
/// # Units
/// `budget` in traces per second.
///
/// # Source
/// Max-min fairness by progressive filling; the search of breakpoints by medians follows
/// K. C. Kiwiel, «Breakpoint searching algorithms for the continuous quadratic knapsack
/// problem», Mathematical Programming 112 (2008).
#[must_use]
pub fn solve(entries: &[Entry], budget: f64) -> Solution {
    let budget = amount(budget);
    let ramps = || entries.iter().map(Ramp::of);
    if exact_sum(ramps().map(|ramp| ramp.cap)) <= budget {
        return Solution {
            level: f64::INFINITY,
            shares: ramps().map(|ramp| ramp.cap).collect(),
            missing: 0.0,
        };
    }
    let floors = exact_sum(ramps().map(|ramp| ramp.floor));
    if floors > budget {
        let scale = budget / floors;
        return Solution {
            level: 0.0,
            shares: ramps().map(|ramp| ramp.floor * scale).collect(),
            missing: floors - budget,
        };
    }
    let level = find_level(ramps().collect(), budget);
    Solution {
        level,
        shares: ramps().map(|ramp| ramp.at(level)).collect(),
        missing: 0.0,
    }
}

/// Cuts a rate to what can be calculated with; what is no amount is 0.
pub(super) fn amount(value: f64) -> f64 {
    if value >= SMALLEST {
        value.min(LARGEST)
    } else {
        0.0
    }
}

/// An entry's share as a function of the level: flat, rising by its weight, flat.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    weight: f64,
    floor: f64,
    cap: f64,
    /// The level from which the share rises above the floor.
    start: f64,
    /// The level at which it reaches the cap.
    stop: f64,
}

impl Ramp {
    fn of(entry: &Entry) -> Self {
        let weight = if entry.weight > 0.0 {
            entry.weight.clamp(SMALLEST, LARGEST)
        } else {
            1.0
        };
        let demand = amount(entry.demand);
        let cap = if entry.cap.is_nan() {
            demand
        } else {
            amount(entry.cap).min(demand)
        };
        let floor = amount(entry.floor).min(cap);
        Self {
            weight,
            floor,
            cap,
            start: floor / weight,
            stop: cap / weight,
        }
    }

    fn at(&self, level: f64) -> f64 {
        (self.weight * level).max(self.floor).min(self.cap)
    }
}

/// What is known of the ramps that have no breakpoint left inside the searched interval.
struct Settled {
    /// The floors and caps of those that are flat there.
    flat: ExactSum,
    /// The weights of those that rise there.
    rising: ExactSum,
}

/// Finds the level at which the ramps spend the budget; their floors fit it, their caps do not.
fn find_level(mut open: Vec<Ramp>, budget: f64) -> f64 {
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut settled = Settled {
        flat: ExactSum::new(),
        rising: ExactSum::new(),
    };
    let mut breakpoints = Vec::with_capacity(2 * open.len());
    breakpoints.extend(open.iter().map(|ramp| ramp.stop));
    breakpoints.extend(open.iter().map(|ramp| ramp.start));
    breakpoints.retain(|level| *level > 0.0);
    loop {
        open.retain(|ramp| !settled.take(ramp, low, high));
        if breakpoints.is_empty() {
            break;
        }
        let middle = breakpoints.len() / 2;
        let (_, &mut level, _) = breakpoints.select_nth_unstable_by(middle, f64::total_cmp);
        if settled.spent(&open, level) <= budget {
            low = level;
            breakpoints.retain(|other| *other > low);
        } else {
            high = level;
            breakpoints.retain(|other| *other < high);
        }
    }
    let rising = settled.rising.total();
    if rising > 0.0 {
        let level = (budget - settled.flat.total()) / rising;
        level.max(low).min(high)
    } else {
        low
    }
}

impl Settled {
    /// Takes over a ramp that is one straight line between the levels; tells whether it is.
    fn take(&mut self, ramp: &Ramp, low: f64, high: f64) -> bool {
        if ramp.stop <= low {
            self.flat.add(ramp.cap);
        } else if ramp.start >= high {
            self.flat.add(ramp.floor);
        } else if ramp.start <= low && ramp.stop >= high {
            self.rising.add(ramp.weight);
        } else {
            return false;
        }
        true
    }

    /// What all ramps, these and the open ones, spend at a level inside the interval.
    fn spent(&self, open: &[Ramp], level: f64) -> f64 {
        let mut flat = self.flat.clone();
        flat.extend(open.iter().map(|ramp| ramp.at(level)));
        flat.total() + self.rising.total() * level
    }
}
