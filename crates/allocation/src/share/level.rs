//! Finds the level at which entries spend a budget, by repeatedly halving the undecided entries.

use crate::solve::{Filled, Priority, Ramp, fill};
use crate::sum::{ExactSum, Unit, Units};

/// From this many entries on, the level is first guessed from a sample.
const SAMPLED_FROM: usize = 8192;

/// The size of the sample: accurate to a few per cent, for a thousandth of the work.
const SAMPLE: usize = 2048;

/// The interval around the guess that is searched first, as a factor.
const AROUND: f64 = 1.1;

/// The ramps that have no breakpoint left inside the searched interval.
struct Settled {
    unit: Unit,
    /// The sum of the floors and caps of ramps that are flat there.
    flat: Units,
    /// The sum of the weights of ramps that rise there.
    rising: ExactSum,
}

/// Finds the level at which the ramps spend the budget; their floors fit it, their caps exceed it.
pub(crate) fn find_level(ramps: &[Ramp], unit: Unit, budget: Units) -> f64 {
    let (mut low, mut high) = guess(ramps, unit, budget);
    let mut settled = Settled {
        unit,
        flat: 0,
        rising: ExactSum::new(),
    };
    let mut breakpoints = Vec::new();
    // The undecided ramps by index: small, because all of them are moved.
    let mut open: Vec<u32> = Vec::new();
    for (place, ramp) in ramps.iter().enumerate() {
        if settled.take(ramp, low, high) {
            continue;
        }
        open.push(place as u32);
        let ends = [ramp.start(), ramp.stop()];
        breakpoints.extend(
            ends.into_iter()
                .filter(|level| *level > low && *level < high),
        );
    }
    while !breakpoints.is_empty() {
        let middle = breakpoints.len() / 2;
        let (_, &mut level, _) = breakpoints.select_nth_unstable_by(middle, f64::total_cmp);
        if settled.spent(ramps, &open, level) <= budget {
            low = level;
            breakpoints.retain(|other| *other > low);
        } else {
            high = level;
            breakpoints.retain(|other| *other < high);
        }
        open.retain(|place| !settled.take(&ramps[*place as usize], low, high));
    }
    let rising = settled.rising.total();
    if rising > 0.0 {
        let level = unit.amount(budget - settled.flat) / rising;
        level.max(low).min(high)
    } else {
        low
    }
}

/// Guesses two breakpoints around the level from a sample of the ramps; most other ramps then need no
/// search.
///
/// Only breakpoints are guessed, so the search ends at the same two whatever the guess.
fn guess(ramps: &[Ramp], unit: Unit, budget: Units) -> (f64, f64) {
    let (mut low, mut high) = (0.0, f64::INFINITY);
    if ramps.len() < SAMPLED_FROM {
        return (low, high);
    }
    let few: Vec<Ramp> = ramps
        .iter()
        .step_by(ramps.len() / SAMPLE)
        .copied()
        .collect();
    let part = few.len() as f64 / ramps.len() as f64;
    let Filled::Level(level) = fill(&few, unit.amount(budget) * part, |_| Priority::default())
    else {
        return (low, high);
    };
    let stops = || few.iter().map(Ramp::stop);
    let under = stops()
        .filter(|stop| *stop <= level / AROUND)
        .fold(0.0, f64::max);
    let above = stops().filter(|stop| *stop >= level * AROUND);
    for level in [under, above.fold(f64::INFINITY, f64::min)] {
        if level <= low || level >= high {
            continue;
        }
        if unit.sum(ramps.iter().map(|ramp| ramp.at(level))) <= budget {
            low = level;
        } else {
            high = level;
        }
    }
    (low, high)
}

impl Settled {
    /// Adds a ramp that is one straight line between the levels; returns whether it is.
    fn take(&mut self, ramp: &Ramp, low: f64, high: f64) -> bool {
        let (start, stop) = (ramp.start(), ramp.stop());
        if stop <= low {
            self.flat += self.unit.count(ramp.cap);
        } else if start >= high {
            self.flat += self.unit.count(ramp.floor);
        } else if start <= low && stop >= high {
            self.rising.add(ramp.weight);
        } else {
            return false;
        }
        true
    }

    /// What all ramps, decided and undecided, spend at a level inside the interval. Each amount saturates at
    /// the whole that the unit was made for.
    fn spent(&self, ramps: &[Ramp], open: &[u32], level: f64) -> Units {
        let open = open.iter().map(|place| ramps[*place as usize].at(level));
        let open = self.unit.sum(open);
        let rising = self.unit.count(self.rising.total() * level);
        self.flat + open + rising
    }
}
