//! The reference controller: what could be kept at best by somebody who knows every count exactly,
//! but only after the interval is over.
//!
//! It sees the true counts of the last closed interval, solves the same weighted max-min as the
//! server and hands its probabilities to the same SDKs at the same polls. What it misses of the
//! budget is the traffic's own doing, so it is the measure for a server.

use crate::allocation::solve::{Entry, solve};

/// The probabilities that the reference controller hands out after one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePlan {
    /// One probability for every operation, in the order of the traffic.
    pub probabilities: Vec<f64>,
}

/// Follows the true counts, interval by interval.
#[derive(Debug, Clone)]
pub struct Reference {
    budget: f64,
    initial_probability: f64,
    /// The offered rate in the last interval that had any, in root requests per second.
    last_offered: Vec<Option<f64>>,
}

impl Reference {
    /// Starts knowing nothing of `operations` operations.
    ///
    /// # Units
    /// `budget` in traces per second.
    #[must_use]
    pub fn new(operations: usize, budget: f64, initial_probability: f64) -> Self {
        Self {
            budget,
            initial_probability,
            last_offered: vec![None; operations],
        }
    }

    /// What it hands out before the first interval has closed.
    #[must_use]
    pub fn first_plan(&self) -> ReferencePlan {
        ReferencePlan {
            probabilities: vec![self.initial_probability; self.last_offered.len()],
        }
    }

    /// Takes the true counts of an interval that has just closed and shares the budget over them.
    ///
    /// An operation without requests in that interval gets what its last known rate would have
    /// got at the new level; one never seen gets the fleet's mean probability.
    pub fn close_interval(&mut self, counts: &[u64], interval_seconds: f64) -> ReferencePlan {
        let mut demands = Vec::new();
        for (&count, last) in counts.iter().zip(&mut self.last_offered) {
            if count > 0 {
                let offered = count as f64 / interval_seconds;
                *last = Some(offered);
                demands.push(Entry {
                    demand: offered,
                    weight: 1.0,
                    floor: 0.0,
                    cap: f64::INFINITY,
                });
            }
        }
        let level = solve(&demands, self.budget).level;
        let offered: f64 = demands.iter().map(|entry| entry.demand).sum();
        let mean = if offered > self.budget {
            self.budget / offered
        } else {
            1.0
        };
        ReferencePlan {
            probabilities: self
                .last_offered
                .iter()
                .map(|last| last.map_or(mean, |offered| (level / offered).min(1.0)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_spends_the_budget_exactly() {
        let counts = [2000, 2, 100, 1, 600];
        for budget in [0.1, 2.0, 40.0, 200.0, 1300.0] {
            let plan = Reference::new(5, budget, 0.001).close_interval(&counts, 2.0);
            let kept: f64 = plan
                .probabilities
                .iter()
                .zip(counts)
                .map(|(probability, count)| probability * count as f64 / 2.0)
                .sum();
            assert!((kept - budget).abs() < 1e-9 * budget, "{budget}: {kept}");
        }
    }

    #[test]
    fn small_operations_are_kept_whole_and_large_ones_share_the_rest() {
        let mut reference = Reference::new(3, 10.0, 0.001);
        let plan = reference.close_interval(&[4, 200, 2000], 2.0);
        assert_eq!(plan.probabilities, [1.0, 0.04, 0.004]);
    }

    #[test]
    fn a_silent_operation_keeps_its_last_rate_and_an_unknown_one_gets_the_mean() {
        let mut reference = Reference::new(3, 10.0, 0.001);
        assert_eq!(reference.first_plan().probabilities, [0.001; 3]);
        reference.close_interval(&[100, 100, 0], 1.0);
        let plan = reference.close_interval(&[0, 100, 0], 1.0);
        assert_eq!(plan.probabilities, [0.1, 0.1, 0.1]);
    }

    #[test]
    fn everything_is_kept_when_nothing_fills_the_budget() {
        let mut reference = Reference::new(2, 10.0, 0.001);
        let plan = reference.close_interval(&[3, 0], 1.0);
        assert_eq!(plan.probabilities, [1.0, 1.0]);
    }
}
