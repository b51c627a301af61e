//! Zipkin's adaptive collector sampler: one rate for everything, changed when the store is off
//! target.

use std::collections::VecDeque;

use super::{Controller, INITIAL_PROBABILITY, Observed, Setting};

const WINDOW_SECONDS: f64 = 1800.0;
const SUFFICIENT_SECONDS: f64 = 600.0;
/// How long the store rate must be off target, and how long a change is left alone.
const OUTLIER_SECONDS: f64 = 300.0;
const OUTLIER: f64 = 0.15;
const DISCOUNT: f64 = 0.9;
/// A change smaller than this part of the rate is not made.
const CHANGE: f64 = 0.05;

/// The leader among the collectors.
///
/// # Source
/// openzipkin/zipkin 1.x, `zipkin-sampler`: `AdaptiveSampler.scala` at 12b6725 (window of 30
/// minutes, ten of them before the first change, average discounted by 0.9 a measurement, new rate
/// = rate · target / average, at most 1, five minutes of rest) and, of its successor in
/// `zipkin-sampler/zookeeper` at b3a4872, `SampleRateCalculatorInput.java` (a change only when all
/// measurements of the last five minutes are over 15 % off the target) and the threshold of 5 % of
/// the rate, where the older one never moves a rate below 0.05.
///
/// Transplanted: a measurement is an interval's kept traces, and SDKs apply the rate that
/// collectors would, at their polls. The initial rate is its operator's to set: with its default,
/// 1, the flood of the first minutes spoils the average for half an hour, so it is everybody's.
pub struct Zipkin {
    target: f64,
    operations: usize,
    /// Sampled traces per second, newest first.
    stored: VecDeque<f64>,
    rate: f64,
    rested: f64,
}

impl Zipkin {
    pub fn new(setting: &Setting<'_>) -> Self {
        Self {
            target: setting.budget,
            operations: setting.traffic.operations().len(),
            stored: VecDeque::new(),
            rate: INITIAL_PROBABILITY,
            rested: OUTLIER_SECONDS,
        }
    }

    /// The new rate according to the measurements, if it should change.
    fn wanted(&self, seconds: f64) -> Option<f64> {
        let measurements = |of: f64| (of / seconds).round().max(1.0) as usize;
        let off = |stored: &f64| (stored - self.target).abs() > OUTLIER * self.target;
        let outliers = measurements(OUTLIER_SECONDS);
        let sufficient = self.stored.len() >= measurements(SUFFICIENT_SECONDS);
        if !sufficient
            || self.rested < OUTLIER_SECONDS
            || self.stored.iter().any(|stored| *stored <= 0.0)
            || !self.stored.iter().take(outliers).all(off)
        {
            return None;
        }
        let mut weight = 1.0;
        let (mut sum, mut weights) = (0.0, 0.0);
        for stored in &self.stored {
            sum += weight * stored;
            weights += weight;
            weight *= DISCOUNT;
        }
        let rate = (self.rate * self.target * weights / sum).min(1.0);
        ((rate - self.rate).abs() >= CHANGE * self.rate).then_some(rate)
    }
}

impl Controller for Zipkin {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let kept: u64 = observed
            .heard()
            .operations
            .iter()
            .map(|of| of.sampled)
            .sum();
        self.stored.push_front(kept as f64 / observed.seconds);
        let window = (WINDOW_SECONDS / observed.seconds).round().max(1.0) as usize;
        self.stored.truncate(window);
        self.rested += observed.seconds;
        if let Some(rate) = self.wanted(observed.seconds) {
            self.rate = rate;
            self.rested = 0.0;
        }
        vec![self.rate; self.operations]
    }
}
