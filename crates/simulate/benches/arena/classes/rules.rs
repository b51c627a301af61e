//! The rules of other systems that know errors, slow traces or test accounts. They are played at their best: as one sampler
//! that sees the whole fleet and acts at once, with probabilities that everybody downstream knows.

use weir_allocation::Class;

use super::keys::{rates, weight};
use super::workload::{BUDGET, Entry, Fleet};

/// A rule that decides about traces of which it knows the class.
pub trait Rule {
    /// With which probability the traces of each entry are kept in the next second. `counts` are those traces.
    fn probabilities(&mut self, second: usize, counts: &[u64]) -> &[f64];

    /// Takes what was offered and kept in a minute.
    fn minute(&mut self, _number: usize, _counts: &[u64], _kept: &[u64]) {}
}

/// Probabilities by class that never change.
pub struct Constant(Vec<f64>);

impl Constant {
    fn new(fleet: &Fleet, of: impl Fn(Class) -> f64) -> Self {
        Self(fleet.entries.iter().map(|entry| of(entry.class)).collect())
    }

    /// Edgar's: all requests of test accounts, and a part of the others, whatever becomes of them: it is a head sampler.
    ///
    /// # Source
    /// Netflix Technology Blog, «Building Netflix's Distributed Tracing Infrastructure» and «Edgar: Solving Mysteries
    /// Faster with Observability» (2020): hybrid head-based sampling, all of a configurable set of requests and a random
    /// part of the rest.
    pub fn edgar(fleet: &Fleet, part: f64) -> Self {
        Self::new(fleet, |class| match class {
            Class::Tagged => 1.0,
            _ => part,
        })
    }

    /// The part with which that meets the budget in the mean.
    pub fn edgar_fits(fleet: &Fleet) -> f64 {
        let tagged = fleet.rate(&[Class::Tagged]);
        (BUDGET - tagged) / (fleet.rate(&Class::ALL) - tagged)
    }

    /// Tail sampling: what failed, what took more than 500 ms, and a part of the rest.
    ///
    /// # Source
    /// opentelemetry-collector-contrib v0.161.0, `processor/tailsamplingprocessor`, README.md: the policies `status_code`
    /// (ERROR), `latency` (`threshold_ms`) and `probabilistic`; a trace is kept if one of them says so.
    pub fn tail(fleet: &Fleet, part: f64) -> Self {
        Self::new(fleet, |class| match class {
            Class::Error | Class::Slow => 1.0,
            Class::Tagged | Class::Rest => part,
        })
    }

    /// The part with which that meets the budget in the mean.
    pub fn tail_fits(fleet: &Fleet) -> f64 {
        let always = fleet.rate(&[Class::Error, Class::Slow]);
        (BUDGET - always) / (fleet.rate(&Class::ALL) - always)
    }
}

impl Rule for Constant {
    fn probabilities(&mut self, _second: usize, _counts: &[u64]) -> &[f64] {
        &self.0
    }
}

/// Honeycomb's: every error, and 1 in `N` of the others in the mean, by a dynamic sampler with a key for each operation.
///
/// # Source
/// honeycombio/dynsampler-go v0.6.3: `emasamplerate.go` (every 15 s; the average of counts with weight ½, dropped below ½)
/// and `avgsamplerate.go` (every 30 s; the counts of that time); goal = the sum of counts / the goal rate, shared by the
/// logarithm of counts as in `keyCalculation.go`; a key without a rate is kept whole, and before the first rates every key
/// is kept at the goal rate.
///
/// Left out: burst detection, which needs twice the traffic of all keys.
pub struct Dynsampler {
    goal: f64,
    /// The weight of the newest counts, and how often rates are computed, in seconds.
    weight: f64,
    every: usize,
    /// The keys of the entries; errors have none.
    keys: Vec<Option<usize>>,
    /// The keys in the order of their names.
    order: Vec<usize>,
    counts: Vec<f64>,
    averages: Vec<f64>,
    served: Vec<f64>,
}

impl Dynsampler {
    pub fn ema(fleet: &Fleet, goal: f64) -> Self {
        Self::new(fleet, goal, (0.5, 15))
    }

    pub fn average(fleet: &Fleet, goal: f64) -> Self {
        Self::new(fleet, goal, (1.0, 30))
    }

    /// The goal rate that meets the budget in the mean.
    pub fn fits(fleet: &Fleet) -> f64 {
        let errors = fleet.rate(&[Class::Error]);
        ((fleet.rate(&Class::ALL) - errors) / (BUDGET - errors)).round()
    }

    fn new(fleet: &Fleet, goal: f64, (weight, every): (f64, usize)) -> Self {
        let key = |entry: &Entry| (entry.class != Class::Error).then_some(entry.operation);
        let keys: Vec<_> = fleet.entries.iter().map(key).collect();
        let operations = fleet.operations();
        let mut order: Vec<usize> = (0..operations).collect();
        order.sort_by_key(|operation| operation.to_string());
        Self {
            goal,
            weight,
            every,
            served: keys
                .iter()
                .map(|key| key.map_or(1.0, |_| 1.0 / goal))
                .collect(),
            keys,
            order,
            counts: vec![0.0; operations],
            averages: vec![0.0; operations],
        }
    }

    fn adjust(&mut self) {
        for (average, count) in self.averages.iter_mut().zip(&mut self.counts) {
            *average = self.weight * *count + (1.0 - self.weight) * *average;
            if *average < self.weight {
                *average = 0.0;
            }
            *count = 0.0;
        }
        let known = self.order.iter().copied();
        let known = known.filter(|&key| self.averages[key] > 0.0);
        let counts = known.clone().map(|key| self.averages[key]);
        let sum: f64 = counts.clone().map(|count| count.max(1.0)).sum();
        let ratio = sum / self.goal / weight(counts.clone());
        let mut served = vec![1.0; self.averages.len()];
        for (key, rate) in known.zip(rates(ratio, counts)) {
            served[key] = 1.0 / rate;
        }
        for (served_entry, key) in self.served.iter_mut().zip(&self.keys) {
            *served_entry = key.map_or(1.0, |key| served[key]);
        }
    }
}

impl Rule for Dynsampler {
    fn probabilities(&mut self, second: usize, counts: &[u64]) -> &[f64] {
        if second > 0 && second.is_multiple_of(self.every) {
            self.adjust();
        }
        for (key, count) in self.keys.iter().zip(counts) {
            if let Some(key) = key {
                self.counts[*key] += *count as f64;
            }
        }
        &self.served
    }
}
