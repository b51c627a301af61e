//! What is measured of a contender.

use rand::rngs::StdRng;

use weir_allocation::Class;
use weir_simulate::measure::Cells;
use weir_simulate::virtual_time::draw;

use super::rules::Rule;
use super::workload::{BUDGET, Fleet, JUDGED, MINUTES, STORM, STORMY};

/// An operation should show a trace in each of these spans, in minutes.
const CELL: usize = 5;

/// The figures, outside of the storm and in it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measured {
    pub calm: Part,
    pub storm: Part,
    /// The part of the spans of five minutes in which an operation had requests that shows a trace of it.
    pub coverage: f64,
}

/// The figures of some minutes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Part {
    minutes: f64,
    /// Traces kept, in all minutes.
    kept: f64,
    off: f64,
    total_off: f64,
    /// Offered and kept, by class.
    classes: [(f64, f64); Class::ALL.len()],
    /// Errors of the service that has the storm: offered and kept.
    stormy: (f64, f64),
}

impl Part {
    pub fn traces_per_second(&self) -> f64 {
        self.kept / self.minutes / 60.0
    }

    /// The mean of how far a minute is off the budget, as a part of it.
    pub fn off(&self) -> f64 {
        self.off / self.minutes
    }

    /// The mean of how far the number of requests that follows from the kept traces is off, as a part of it.
    pub fn total_off(&self) -> f64 {
        self.total_off / self.minutes
    }

    pub fn kept(&self, class: Class) -> f64 {
        let (offered, kept) = self.classes[class as usize];
        kept / offered.max(1.0)
    }

    /// The part of errors that is kept, without those of the service that has the storm.
    pub fn other_errors(&self) -> f64 {
        let (offered, kept) = self.classes[Class::Error as usize];
        (kept - self.stormy.1) / (offered - self.stormy.0).max(1.0)
    }

    /// Errors per second that are kept of the service that has the storm.
    pub fn stormy_errors(&self) -> f64 {
        self.stormy.1 / self.minutes / 60.0
    }
}

/// A minute of a contender.
struct Minute {
    counts: Vec<u64>,
    kept: Vec<u64>,
    /// What follows from the kept traces: each stands for one by its probability.
    total: f64,
}

impl Minute {
    fn new(entries: usize) -> Self {
        Self {
            counts: vec![0; entries],
            kept: vec![0; entries],
            total: 0.0,
        }
    }

    fn second(&mut self, counts: &[u64], probabilities: &[f64], coins: &mut StdRng) {
        for (place, (&count, &probability)) in counts.iter().zip(probabilities).enumerate() {
            let kept = draw(coins, count, probability);
            self.counts[place] += count;
            self.kept[place] += kept;
            if kept > 0 {
                self.total += kept as f64 / probability.min(1.0);
            }
        }
    }

    fn add_to(&self, part: &mut Part, fleet: &Fleet) {
        let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
        let (offered, kept) = (sum(&self.counts), sum(&self.kept));
        part.minutes += 1.0;
        part.kept += kept;
        part.off += (kept / 60.0 - BUDGET).abs() / BUDGET;
        part.total_off += (self.total - offered).abs() / offered;
        let counted = self.counts.iter().zip(&self.kept);
        for (entry, (&offered, &kept)) in fleet.entries.iter().zip(counted) {
            let add = |sums: &mut (f64, f64)| {
                sums.0 += offered as f64;
                sums.1 += kept as f64;
            };
            add(&mut part.classes[entry.class as usize]);
            if entry.service == STORMY && entry.class == Class::Error {
                add(&mut part.stormy);
            }
        }
    }
}

/// Plays contenders side by side on the same requests, each with coins of its own.
pub fn play(fleet: &Fleet, seed: u64, rules: &mut [(Box<dyn Rule + '_>, StdRng)]) -> Vec<Measured> {
    let mut played = fleet.play(seed);
    let mut measured = vec![Measured::default(); rules.len()];
    let mut cells = vec![Cells::new(fleet.operations(), CELL); rules.len()];
    for number in 0..MINUTES {
        let mut minutes: Vec<Minute> = Vec::new();
        minutes.resize_with(rules.len(), || Minute::new(fleet.entries.len()));
        for second in number * 60..(number + 1) * 60 {
            let counts = played.next_second();
            for ((rule, coins), minute) in rules.iter_mut().zip(&mut minutes) {
                minute.second(&counts, rule.probabilities(second, &counts), coins);
            }
        }
        for (place, ((rule, _), minute)) in rules.iter_mut().zip(&minutes).enumerate() {
            rule.minute(number, &minute.counts, &minute.kept);
            if JUDGED.contains(&number) {
                let of = &mut measured[place];
                let part = if STORM.contains(&number) {
                    &mut of.storm
                } else {
                    &mut of.calm
                };
                minute.add_to(part, fleet);
                cells[place].add(
                    &by_operation(fleet, &minute.counts),
                    &by_operation(fleet, &minute.kept),
                );
            }
        }
    }
    for (of, cells) in measured.iter_mut().zip(&cells) {
        of.coverage = cells.covered();
    }
    measured
}

fn by_operation(fleet: &Fleet, counts: &[u64]) -> Vec<u64> {
    let mut sums = vec![0; fleet.operations()];
    for (entry, count) in fleet.entries.iter().zip(counts) {
        sums[entry.operation] += count;
    }
    sums
}
