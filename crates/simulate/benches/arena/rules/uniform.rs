//! One probability for everything, which needs no knowledge of operations.

use super::{Controller, Observed, Setting};

/// Divides the budget by the offered rate of the last interval.
pub struct Uniform {
    budget: f64,
    operations: usize,
    probability: f64,
}

impl Uniform {
    pub fn new(setting: &Setting<'_>) -> Self {
        Self {
            budget: setting.budget,
            operations: setting.traffic.operations().len(),
            probability: super::INITIAL_PROBABILITY,
        }
    }
}

impl Controller for Uniform {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let offered: u64 = observed
            .heard()
            .operations
            .iter()
            .map(|of| of.offered)
            .sum();
        if offered > 0 {
            let per_second = offered as f64 / observed.seconds;
            self.probability = (self.budget / per_second).min(1.0);
        }
        vec![self.probability; self.operations]
    }
}
