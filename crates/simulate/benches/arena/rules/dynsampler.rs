//! Honeycomb's dynsampler-go: a goal shared over the keys of the last interval.
//!
//! Its rates are whole: one in n. A key it does not know is kept whole, whatever its traffic.

use super::{Controller, Observed, Setting};
use crate::classes::keys::{rates, weight};

/// The goal split equally over the keys of the last interval.
///
/// # Source
/// honeycombio/dynsampler-go v0.6.3, `totalthroughput.go`: throughput per key = goal · interval /
/// keys, rate = ⌊count / throughput per key⌋ and at least 1, counts cleared every interval, a key
/// without a rate is kept whole.
///
/// Transplanted: a key is an operation, `ClearFrequency` is the interval, and the goal is the whole
/// budget, since one central sampler sees everything.
pub struct Total {
    budget: f64,
}

impl Total {
    pub fn new(setting: &Setting<'_>) -> Self {
        Self {
            budget: setting.budget,
        }
    }
}

impl Controller for Total {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let offered = observed.offered();
        let keys = offered.iter().filter(|&&count| count > 0).count();
        let per_key = self.budget * observed.seconds / keys.max(1) as f64;
        offered
            .iter()
            .map(|&count| 1.0 / (count as f64 / per_key).floor().max(1.0))
            .collect()
    }
}

/// The goal split by the logarithm of a moving average.
///
/// # Source
/// honeycombio/dynsampler-go v0.6.3, `emathroughput.go` and `keyCalculation.go`: average over
/// intervals with weight ½, dropped below ½; a key's goal = its part of Σ log₁₀(average), at least
/// 1, what a small key leaves over handed on in the order of the keys; rate = ⌈average / goal⌉.
///
/// Transplanted: a key is an operation, `AdjustmentInterval` is the interval, and the goal is the
/// whole budget. Its burst detection recomputes inside an interval, where the loop does not look,
/// and is left out.
pub struct Ema {
    budget: f64,
    averages: Vec<f64>,
    /// The places of the operations in the order of their names.
    order: Vec<usize>,
}

const WEIGHT: f64 = 0.5;
const AGE_OUT: f64 = WEIGHT;

impl Ema {
    pub fn new(setting: &Setting<'_>) -> Self {
        let operations = setting.traffic.operations();
        let services = setting.traffic.services();
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|&place| {
            let operation = &operations[place];
            (
                services[operation.service].name.as_str(),
                operation.name.as_str(),
            )
        });
        Self {
            budget: setting.budget,
            averages: vec![0.0; operations.len()],
            order,
        }
    }
}

impl Controller for Ema {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        for (average, count) in self.averages.iter_mut().zip(observed.offered()) {
            *average = WEIGHT * count as f64 + (1.0 - WEIGHT) * *average;
            if *average < AGE_OUT {
                *average = 0.0;
            }
        }
        let known = self.order.iter().copied();
        let known = known.filter(|&place| self.averages[place] > 0.0);
        let counts = known.clone().map(|place| self.averages[place]);
        let ratio = self.budget * observed.seconds / weight(counts.clone());
        let mut served = vec![1.0; self.averages.len()];
        for (place, rate) in known.zip(rates(ratio, counts)) {
            served[place] = 1.0 / rate;
        }
        served
    }
}
