//! Finds the level at which entries spend a budget, by repeatedly halving the undecided entries.

use crate::solve::Ramp;

/// The ramps that have no breakpoint left inside the searched interval.
#[derive(Default)]
struct Settled {
    /// The sum of the floors and caps of ramps that are flat there.
    flat: f64,
    /// The sum of the weights of ramps that rise there.
    rising: f64,
}

/// Finds the level at which the ramps spend the budget; their floors fit it, their caps exceed it.
pub(crate) fn find_level(ramps: &[Ramp], budget: f64) -> f64 {
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut settled = Settled::default();
    // The undecided ramps by index: small, because all of them are moved.
    let mut open: Vec<u32> = (0..ramps.len() as u32).collect();
    open.retain(|place| !settled.take(&ramps[*place as usize], low, high));
    let ends = |place: &u32| {
        [
            ramps[*place as usize].start(),
            ramps[*place as usize].stop(),
        ]
    };
    let mut breakpoints: Vec<f64> = open.iter().flat_map(ends).collect();
    breakpoints.retain(|level| *level > low && *level < high);
    while !breakpoints.is_empty() {
        let middle = breakpoints.len() / 2;
        let (_, &mut level, _) = breakpoints.select_nth_unstable_by(middle, f64::total_cmp);
        let undecided = open.iter().map(|place| ramps[*place as usize].at(level));
        if settled.flat + settled.rising * level + undecided.sum::<f64>() <= budget {
            low = level;
            breakpoints.retain(|other| *other > low);
        } else {
            high = level;
            breakpoints.retain(|other| *other < high);
        }
        open.retain(|place| !settled.take(&ramps[*place as usize], low, high));
    }
    if settled.rising > 0.0 {
        let level = (budget - settled.flat) / settled.rising;
        level.max(low).min(high)
    } else {
        low
    }
}

impl Settled {
    /// Adds a ramp that is one straight line between the levels; returns whether it is.
    fn take(&mut self, ramp: &Ramp, low: f64, high: f64) -> bool {
        let (start, stop) = (ramp.start(), ramp.stop());
        if stop <= low {
            self.flat += ramp.cap;
        } else if start >= high {
            self.flat += ramp.floor;
        } else if start <= low && stop >= high {
            self.rising += ramp.weight;
        } else {
            return false;
        }
        true
    }
}
