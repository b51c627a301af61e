//! Jaeger's adaptive sampling: a feedback loop per operation over the sampled traces.

use std::collections::VecDeque;

use super::{Controller, INITIAL_PROBABILITY, Observed, Setting};

/// Traces per second that an SDK instance samples of every operation, whatever it is served.
const LOWER_BOUND: f64 = 1.0 / 60.0;
/// A probability is held while the sampled rate is within this part of the target.
const DELTA_TOLERANCE: f64 = 0.3;
const LEAST_PROBABILITY: f64 = 1e-5;
/// The most that a probability rises in one step, as a factor.
const RISE: f64 = 2.0;
/// The number of buckets. The newest one that contains an operation gives its rate.
const BUCKETS: usize = 10;
/// Intervals by which the newest bucket is older than the newest window: two minutes.
const DELAY: usize = 2;
/// Decimals to which the probability on a span is compared with the one that was served.
const DECIMALS: f64 = 1e6;
/// Served plans that spans of a bucket can carry: those of the two or three polls before.
const SERVED: usize = 3;

/// An interval.
struct Bucket {
    /// Traces sampled by probability, operation by operation; none if no span arrived.
    kept: Vec<Option<u64>>,
    /// The probabilities that SDKs may have been served at that time, newest first.
    served: Vec<Vec<f64>>,
}

/// The leader's state.
///
/// # Source
/// jaegertracing/jaeger at 8498073 (v2.20.0 and 110 commits),
/// `internal/sampling/samplingstrategy/adaptive`: `post_aggregator.go`, `aggregator.go`, `options.go`, and
/// `calculationstrategy/percentage_increase_capped_calculator.go`, with the defaults: target per
/// operation, hold within ±30 %, else p · target / kept with rises capped at ×2, at least 1e-5;
/// rates of the newest of ten one-minute buckets that knows the operation, two minutes late; an
/// operation whose spans do not carry the probability served last is left alone, one unknown in
/// all buckets starts anew. Kept traces are all it sees.
///
/// Transplanted: an interval is a bucket. The target per operation, which is all that an operator
/// can set, is the budget over the number of operations. An operation that had requests is taken
/// to have shown a span by the lower bound, which in a workload without instances costs nothing:
/// both in its favour.
pub struct Jaeger {
    target: f64,
    probabilities: Vec<Option<f64>>,
    /// Whether each operation was found to use the served probability, and which one, at the
    /// previous calculation.
    used: Vec<bool>,
    /// Newest first. Those younger than the delay are not read yet.
    buckets: VecDeque<Bucket>,
    served: VecDeque<Vec<f64>>,
}

impl Jaeger {
    pub fn new(setting: &Setting<'_>) -> Self {
        let operations = setting.traffic.operations().len();
        Self {
            target: setting.budget / setting.operations as f64,
            probabilities: vec![None; operations],
            used: vec![false; operations],
            buckets: VecDeque::new(),
            served: vec![vec![INITIAL_PROBABILITY; operations]; SERVED].into(),
        }
    }

    /// The sampled rate of an operation in the newest bucket that contains it.
    fn rate(&self, place: usize, seconds: f64) -> Option<f64> {
        let mut buckets = self.buckets.iter().skip(DELAY);
        let kept = buckets.find_map(|bucket| bucket.kept[place])?;
        Some(kept as f64 / seconds)
    }

    /// Whether the spans of an operation carry the probability that it was served.
    fn is_adaptive(&self, place: usize, probability: f64) -> bool {
        if is_initial(probability) {
            return true;
        }
        let Some(newest) = self.buckets.get(DELAY) else {
            return false;
        };
        if newest.kept[place].is_none() {
            return self.used[place];
        }
        let decimals = |p: f64| (p * DECIMALS).round();
        let told = newest.served.iter().map(|plan| plan[place]);
        told.into_iter()
            .any(|told| decimals(told) == decimals(probability))
    }

    fn step(&self, probability: f64, rate: f64) -> f64 {
        if (rate - self.target).abs() / self.target < DELTA_TOLERANCE {
            return probability;
        }
        let next = if rate < 1e-10 {
            probability * RISE
        } else {
            probability * (self.target / rate).min(RISE)
        };
        next.clamp(LEAST_PROBABILITY, 1.0)
    }
}

fn is_initial(probability: f64) -> bool {
    (probability - INITIAL_PROBABILITY).abs() < 1e-10
}

impl Controller for Jaeger {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let offered = observed.offered();
        let kept = observed.sampled().into_iter().zip(&offered);
        self.buckets.push_front(Bucket {
            kept: kept
                .map(|(kept, &offered)| (offered > 0).then_some(kept))
                .collect(),
            served: self.served.iter().cloned().collect(),
        });
        self.buckets.truncate(BUCKETS + DELAY);
        if self.buckets.len() > DELAY {
            for place in 0..offered.len() {
                let old = self.probabilities[place].unwrap_or(INITIAL_PROBABILITY);
                let rate = self.rate(place, observed.seconds);
                let adaptive = rate.is_some() && self.is_adaptive(place, old);
                self.probabilities[place] = match rate {
                    Some(rate) if adaptive => Some(self.step(old, rate)),
                    Some(_) => Some(old),
                    None => None,
                };
                self.used[place] = adaptive && !is_initial(old);
            }
        }
        let served: Vec<f64> = self
            .probabilities
            .iter()
            .map(|known| known.unwrap_or(INITIAL_PROBABILITY))
            .collect();
        self.served.push_front(served.clone());
        self.served.truncate(SERVED);
        served
    }

    fn lower_bound(&self) -> f64 {
        LOWER_BOUND
    }
}
