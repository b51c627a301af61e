//! Plays a recording with a budget, and measures what the probabilities keep on average: without the
//! coins.

use std::collections::VecDeque;
use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use weir_simulate::measure::fill_equally;
use weir_simulate::virtual_time::{Reports, draw, turn};

use super::forecast;
use crate::rules::{CONTENDERS, Contender, INITIAL_PROBABILITY, Kind, Observed, Setting};
use crate::workload::Workload;

/// An error over this is a run's,
const HIGH: f64 = 0.2;
/// if the run is longer than this.
const SHORT: usize = 3;
/// How often the errors are put into random order.
const SHUFFLES: u32 = 8;
/// A plan is used in two intervals. So errors this far apart have no plan in common.
const APART: usize = 2;
/// Intervals in a day.
const DAY: usize = 1440;
/// The part of the operations that is left out of Jain's index: the worst ones.
const WORST: f64 = 0.01;

/// What a rule reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached {
    /// The mean |error|, as a part of the budget.
    pub error: f64,
    /// The largest mean error of a day, or of the whole if it is shorter.
    pub bias: f64,
    /// The error that 1 % of the intervals exceed.
    pub high: f64,
    /// The part of the intervals in runs over +20 % that are longer than three intervals.
    pub long_runs: f64,
    /// The same of the same errors in random order.
    pub shuffled_runs: f64,
    /// The correlation of errors that have no plan in common.
    pub repeats: f64,
    /// Jain's index of what was kept over equal filling, without the worst 1 % of the operations.
    pub jain: f64,
    /// The part of the operations that kept half to twice of what equal filling would have kept.
    pub near: f64,
}

/// One budget of a recording with one seed.
pub struct Match {
    pub weir: Reached,
    pub late: Reached,
    pub uniform: Reached,
    /// The best fair rule, by its mean error.
    pub best: (String, Reached),
}

/// The traffic, interval by interval, and what is judged.
struct Course<'a> {
    workload: &'a Workload,
    counts: Vec<Vec<u64>>,
    judged: Range<usize>,
    ages: Vec<f64>,
    seconds: f64,
    /// What equal filling would have kept of every operation.
    ideal: Vec<f64>,
    seed: u64,
}

/// Plays everybody.
pub fn play(workload: &Workload, judged: Range<usize>, seed: u64) -> Match {
    let schedule = &workload.schedule;
    let counts = (0..schedule.intervals()).map(|number| schedule.counts(&workload.traffic, number));
    let counts: Vec<Vec<u64>> = counts.collect();
    let seconds = workload.timing.interval.as_secs_f64();
    let mut ideal = vec![0.0; workload.traffic.operations().len()];
    for counts in &counts[judged.clone()] {
        fill_equally(&mut ideal, counts, workload.budget, seconds);
    }
    let course = Course {
        workload,
        counts,
        judged,
        ages: workload.timing.ages(),
        seconds,
        ideal,
        seed,
    };
    let by_name = |name: &str| {
        let contender = CONTENDERS.iter().find(|one| one.name == name);
        course.contender(contender.expect("it plays"))
    };
    let weir = CONTENDERS.iter().find(|one| one.kind == Kind::Weir);
    let weir = course.contender(weir.expect("it plays"));
    let late = by_name("*exact counts, late*");
    let operations = workload.traffic.operations().len();
    let mut fair: Vec<(String, Reached)> = forecast::all(workload.budget, operations)
        .into_iter()
        .map(|(name, mut rule)| {
            let next = |counts: &[u64], _: &[u64]| rule.next(counts, course.seconds);
            (name, course.judge(next, false))
        })
        .collect();
    fair.push(("exact counts, late".to_owned(), late));
    for name in ["Jaeger", "dynsampler Total"] {
        fair.push((name.to_owned(), by_name(name)));
    }
    let best = fair
        .into_iter()
        .min_by(|one, other| one.1.error.total_cmp(&other.1.error));
    Match {
        weir,
        late,
        uniform: by_name("one probability"),
        best: best.expect("there are rules"),
    }
}

impl Course<'_> {
    /// Plays a contender of the arena.
    fn contender(&self, contender: &Contender) -> Reached {
        let workload = self.workload;
        let setting = Setting::of(workload, self.seed);
        let mut controller = (contender.enter)(&setting).expect("it plays every recording");
        let arrivals = StdRng::seed_from_u64(self.seed.wrapping_mul(3));
        let mut reports = Reports::new(
            &workload.traffic,
            &workload.timing,
            &workload.agents,
            &workload.faults,
            arrivals,
        );
        let mut number = 0;
        let next = |counts: &[u64], sampled: &[u64]| {
            reports.close(number, counts, sampled);
            number += 1;
            controller.next(&Observed {
                seconds: self.seconds,
                windows: reports.windows(controller.settled()),
                counts,
            })
        };
        self.judge(next, true)
    }

    /// Plays a rule that takes an interval's offered and, where it wants them, sampled requests.
    fn judge(
        &self,
        mut next: impl FnMut(&[u64], &[u64]) -> Vec<f64>,
        wants_sampled: bool,
    ) -> Reached {
        let operations = self.workload.traffic.operations().len();
        let first = vec![INITIAL_PROBABILITY; operations];
        let mut served: VecDeque<Vec<f64>> = vec![first; self.ages.len()].into();
        let mut coins = StdRng::seed_from_u64(self.seed.wrapping_mul(3) + 1);
        let budget = self.workload.budget;
        let mut errors = Vec::with_capacity(self.judged.len());
        let mut kept_of = vec![0.0; operations];
        for (number, counts) in self.counts.iter().enumerate() {
            let is_judged = self.judged.contains(&number);
            let (mut offered, mut kept) = (0.0, 0.0);
            let mut sampled = vec![0; operations];
            for (place, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let parts = self.ages.iter().zip(&served);
                let probability: f64 = parts.map(|(part, plan)| part * plan[place]).sum();
                offered += count as f64;
                kept += count as f64 * probability;
                if wants_sampled {
                    sampled[place] = draw(&mut coins, count, probability);
                }
                if is_judged {
                    kept_of[place] += count as f64 * probability;
                }
            }
            if is_judged {
                let target = budget.min(offered / self.seconds);
                errors.push((kept / self.seconds - target) / budget);
            }
            turn(&mut served, next(counts, &sampled));
        }
        reached(&errors, &kept_of, &self.ideal)
    }
}

fn reached(errors: &[f64], kept: &[f64], ideal: &[f64]) -> Reached {
    let count = errors.len().max(1) as f64;
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    let days = errors.chunks_exact(DAY.min(errors.len().max(1)));
    let bias = days
        .map(mean)
        .max_by(|one, other| one.abs().total_cmp(&other.abs()));
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (0.99 * (sorted.len() as f64 - 1.0)).round() as usize;
    let (jain, near) = fairness(kept, ideal);
    Reached {
        error: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
        bias: bias.unwrap_or(0.0),
        high: sorted.get(place).copied().unwrap_or(0.0),
        long_runs: long_runs(errors),
        shuffled_runs: shuffled_runs(errors),
        repeats: correlation(errors, APART),
        jain,
        near,
    }
}

/// The part of the intervals in long runs over the bound.
fn long_runs(errors: &[f64]) -> f64 {
    let runs = errors.chunk_by(|one, other| (*one > HIGH) == (*other > HIGH));
    let long = runs.filter(|run| run[0] > HIGH && run.len() > SHORT);
    long.map(<[f64]>::len).sum::<usize>() as f64 / errors.len().max(1) as f64
}

/// The same in random order: what remains if errors follow each other by chance alone.
fn shuffled_runs(errors: &[f64]) -> f64 {
    let mut random = StdRng::seed_from_u64(1);
    let mut errors = errors.to_vec();
    let mut shuffled = || {
        errors.shuffle(&mut random);
        long_runs(&errors)
    };
    (0..SHUFFLES).map(|_| shuffled()).sum::<f64>() / f64::from(SHUFFLES)
}

/// The correlation of errors that are this far apart.
fn correlation(errors: &[f64], apart: usize) -> f64 {
    let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    let product = |apart: usize| {
        let pairs = errors.iter().zip(errors.iter().skip(apart));
        pairs
            .map(|(one, other)| (one - mean) * (other - mean))
            .sum::<f64>()
    };
    product(apart) / product(0).max(f64::MIN_POSITIVE)
}

/// Jain's index without the worst operations, and the part that is near to equal filling.
fn fairness(kept: &[f64], ideal: &[f64]) -> (f64, f64) {
    let pairs = kept.iter().zip(ideal).filter(|(_, ideal)| **ideal > 0.0);
    let mut parts: Vec<f64> = pairs.map(|(kept, ideal)| kept / ideal).collect();
    let near = parts
        .iter()
        .filter(|part| (0.5..=2.0).contains(*part))
        .count();
    let near = near as f64 / parts.len().max(1) as f64;
    let mean = parts.iter().sum::<f64>() / parts.len().max(1) as f64;
    let off = |part: &f64| (part - mean).abs();
    parts.sort_by(|one, other| off(one).total_cmp(&off(other)));
    parts.truncate(parts.len() - (WORST * parts.len() as f64) as usize);
    let sum: f64 = parts.iter().sum();
    let squares: f64 = parts.iter().map(|part| part * part).sum();
    let jain = sum * sum / (parts.len() as f64 * squares).max(f64::MIN_POSITIVE);
    (jain, near)
}
