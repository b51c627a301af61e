//! Contenders that know what nobody can know. They show how much of an error is due to the traffic.

use ::weir_allocation::solve::{Entry, solve};
use ::weir_simulate::Reference;

use super::{Controller, INITIAL_PROBABILITY, Observed, Setting};

/// Knows an interval's counts before it begins. Its errors are due to the coins alone.
pub struct Oracle {
    budget: f64,
    seconds: f64,
}

impl Oracle {
    pub fn new(setting: &Setting<'_>) -> Self {
        Self {
            budget: setting.budget,
            seconds: setting.seconds,
        }
    }
}

impl Controller for Oracle {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        vec![INITIAL_PROBABILITY; observed.counts.len()]
    }

    fn foresee(&mut self, _number: usize, counts: &[u64]) -> Option<Vec<f64>> {
        let rates = counts.iter().map(|&count| count as f64 / self.seconds);
        Some(shared(&rates.collect::<Vec<_>>(), self.budget))
    }
}

/// Knows the rates behind an interval's counts, including its events, but not the scatter that is
/// drawn for every interval. Nobody can do better without seeing the future, and nobody who does
/// not know the rates does as well.
pub struct Expecting<'a> {
    budget: f64,
    expected: &'a [Vec<f64>],
}

impl<'a> Expecting<'a> {
    pub fn new(setting: &Setting<'a>) -> Option<Self> {
        setting.expected.map(|expected| Self {
            budget: setting.budget,
            expected,
        })
    }
}

impl Controller for Expecting<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        vec![INITIAL_PROBABILITY; observed.counts.len()]
    }

    fn foresee(&mut self, number: usize, _counts: &[u64]) -> Option<Vec<f64>> {
        let rates: Vec<f64> = self.expected.iter().map(|rates| rates[number]).collect();
        Some(shared(&rates, self.budget))
    }
}

/// Knows every count exactly when its interval is over, and waits for polls like all others.
pub struct Late(Reference);

impl Late {
    pub fn new(setting: &Setting<'_>) -> Self {
        let operations = setting.traffic.operations().len();
        Self(Reference::new(
            operations,
            setting.budget,
            INITIAL_PROBABILITY,
        ))
    }
}

impl Controller for Late {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let plan = self.0.close_interval(observed.counts, observed.seconds);
        plan.probabilities
    }
}

/// The probabilities that fill a budget equally over known rates.
fn shared(rates: &[f64], budget: f64) -> Vec<f64> {
    let entry = |&demand: &f64| Entry {
        demand,
        ..Entry::default()
    };
    let level = solve(&rates.iter().map(entry).collect::<Vec<_>>(), budget).level;
    rates
        .iter()
        .map(|rate| if *rate > level { level / rate } else { 1.0 })
        .collect()
}
