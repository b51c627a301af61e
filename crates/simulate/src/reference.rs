//! The reference controller: it knows every count exactly, but only after the interval is over. It
//! shows what could be sampled at best.
//!
//! It gets the true counts of every closed interval, solves the same weighted max-min as the
//! server, and gives its probabilities to the same SDKs at the same polls. If it misses the budget,
//! the traffic is the cause. So a server is measured against it.
//!
//! An operation's demand is its rate in the last interval. But a few requests do not measure a
//! rate: an operation with 1, 3, 2, … requests would be sampled with 1 over the last count. The
//! mean of that is far above 1 over the mean count, and the budget would be exceeded by a quarter.
//! So a rare operation is measured over the shortest run of the last intervals that contains
//! [`ENOUGH`] requests, at most [`LONGEST`] intervals, and none before it was first seen.

use std::collections::VecDeque;

use weir_allocation::solve::{Entry, solve};

/// Enough requests to measure a rate: 1 over a Poisson count of mean 10 is on average a tenth too
/// large.
const ENOUGH: u64 = 10;
/// The most intervals over which a rate is measured.
const LONGEST: usize = 10;

/// The probabilities of the reference controller after one interval.
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
    /// The counts of the last intervals, newest first.
    counts: VecDeque<Vec<u64>>,
    operations: Vec<Known>,
}

/// What is known about one operation.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Intervals since it was first seen, including that one; 0 before.
    age: usize,
    /// The last positive demand, in root requests per second.
    last_demand: f64,
}

impl Reference {
    /// Starts without knowing anything about `operations` operations.
    ///
    /// # Units
    /// `budget` in traces per second.
    #[must_use]
    pub fn new(operations: usize, budget: f64, initial_probability: f64) -> Self {
        Self {
            budget,
            initial_probability,
            counts: VecDeque::with_capacity(LONGEST + 1),
            operations: vec![Known::default(); operations],
        }
    }

    /// Changes the budget that is shared from now on.
    pub fn set_budget(&mut self, budget: f64) {
        self.budget = budget;
    }

    /// The probabilities before the first interval has closed.
    #[must_use]
    pub fn first_plan(&self) -> ReferencePlan {
        ReferencePlan {
            probabilities: vec![self.initial_probability; self.operations.len()],
        }
    }

    /// Takes the true counts of an interval that has just closed, and shares the budget.
    ///
    /// An operation without demand gets what its last demand would get at the new level. An
    /// operation that was never seen gets the fleet's mean probability.
    pub fn close_interval(&mut self, counts: &[u64], interval_seconds: f64) -> ReferencePlan {
        self.counts.push_front(counts.to_vec());
        self.counts.truncate(LONGEST);
        let demands: Vec<f64> = (0..self.operations.len())
            .map(|place| self.demand(place, interval_seconds))
            .collect();
        let level = solve(
            &demands.iter().copied().map(entry).collect::<Vec<_>>(),
            self.budget,
        )
        .level;
        let offered: f64 = demands.iter().sum();
        let mean = if offered > self.budget {
            self.budget / offered
        } else {
            1.0
        };
        let probability = |known: &Known| match known.age {
            0 => mean,
            _ => (level / known.last_demand).min(1.0),
        };
        ReferencePlan {
            probabilities: self.operations.iter().map(probability).collect(),
        }
    }

    /// The rate of one operation, over as many of the last intervals as it takes.
    fn demand(&mut self, place: usize, interval_seconds: f64) -> f64 {
        let known = &mut self.operations[place];
        if known.age > 0 || self.counts[0][place] > 0 {
            known.age += 1;
        }
        let mut requests = 0;
        let mut intervals = 0;
        for counts in self.counts.iter().take(known.age) {
            requests += counts[place];
            intervals += 1;
            if requests >= ENOUGH {
                break;
            }
        }
        if requests == 0 {
            return 0.0;
        }
        known.last_demand = requests as f64 / (f64::from(intervals) * interval_seconds);
        known.last_demand
    }
}

fn entry(demand: f64) -> Entry {
    Entry {
        demand,
        ..Entry::default()
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
            let sampled: f64 = plan
                .probabilities
                .iter()
                .zip(counts)
                .map(|(probability, count)| probability * count as f64 / 2.0)
                .sum();
            assert!(
                (sampled - budget).abs() < 1e-9 * budget,
                "{budget}: {sampled}"
            );
        }
    }

    #[test]
    fn small_operations_are_kept_whole_and_large_ones_share_the_rest() {
        let mut reference = Reference::new(3, 10.0, 0.001);
        let plan = reference.close_interval(&[4, 200, 2000], 2.0);
        assert_eq!(plan.probabilities, [1.0, 0.04, 0.004]);
    }

    #[test]
    fn a_busy_operation_is_measured_by_the_last_interval_alone() {
        let mut reference = Reference::new(1, 10.0, 0.001);
        reference.close_interval(&[1000], 1.0);
        let plan = reference.close_interval(&[50], 1.0);
        assert_eq!(plan.probabilities, [0.2]);
    }

    #[test]
    fn a_rare_operation_is_measured_over_more_intervals_but_not_before_it_was_seen() {
        let mut reference = Reference::new(2, 1.0, 0.001);
        reference.close_interval(&[0, 100], 1.0);
        reference.close_interval(&[4, 100], 1.0);
        let plan = reference.close_interval(&[2, 100], 1.0);
        // Six requests in the two intervals since: three a second, of which it gets half a trace.
        assert!(
            (plan.probabilities[0] - 0.5 / 3.0).abs() < 1e-12,
            "{plan:?}"
        );
    }

    #[test]
    fn an_operation_gone_silent_keeps_its_last_demand_and_an_unknown_one_gets_the_mean() {
        let mut reference = Reference::new(3, 10.0, 0.001);
        assert_eq!(reference.first_plan().probabilities, [0.001; 3]);
        reference.close_interval(&[5, 100, 0], 1.0);
        for _ in 1..LONGEST {
            reference.close_interval(&[0, 100, 0], 1.0);
        }
        let plan = reference.close_interval(&[0, 100, 0], 1.0);
        assert_eq!(plan.probabilities, [1.0, 0.1, 0.1]);
    }

    #[test]
    fn everything_is_kept_when_nothing_fills_the_budget() {
        let mut reference = Reference::new(2, 10.0, 0.001);
        let plan = reference.close_interval(&[3, 0], 1.0);
        assert_eq!(plan.probabilities, [1.0, 1.0]);
    }
}
