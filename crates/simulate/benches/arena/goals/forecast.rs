//! Simple causal rules: a forecast of the whole traffic, shared out by equal filling.

/// How far ahead a plan is used on average, in intervals: SDKs poll it during the next interval and
/// use it for one more.
const AHEAD: f64 = 1.65;
/// No rate is forecast under this part of the smoothed one.
const LEAST: f64 = 0.02;

/// How the whole traffic is forecast.
#[derive(Debug, Clone, Copy)]
pub enum Forecast {
    /// An exponentially weighted mean; a gain of 1 is the last value.
    Mean { gain: f64 },
    /// A mean with a slope, which is damped.
    Holt { gain: f64, slope: f64 },
    /// A mean of the traffic without its season, times the season's factor. The period is in
    /// intervals.
    Seasonal { gain: f64, period: usize },
}

/// The state of a forecast.
#[derive(Debug, Clone)]
struct State {
    of: Forecast,
    level: f64,
    slope: f64,
    factors: Vec<f64>,
    seen: usize,
}

/// The part of a slope that is left an interval later.
const DAMPED: f64 = 0.9;
/// How fast a season's factors are learned.
const SEASON_GAIN: f64 = 0.2;

impl State {
    fn new(of: Forecast) -> Self {
        let period = match of {
            Forecast::Seasonal { period, .. } => period,
            _ => 1,
        };
        Self {
            of,
            level: 0.0,
            slope: 0.0,
            factors: vec![1.0; period],
            seen: 0,
        }
    }

    /// Takes an interval's requests and forecasts those of the time in which the plan is used.
    fn next(&mut self, total: f64) -> f64 {
        let number = self.seen;
        self.seen += 1;
        match self.of {
            Forecast::Mean { gain } => {
                self.level += if number == 0 {
                    total
                } else {
                    gain * (total - self.level)
                };
                self.level
            }
            Forecast::Holt { gain, slope } => {
                if number == 0 {
                    self.level = total;
                    return total;
                }
                let before = self.level;
                let expected = before + DAMPED * self.slope;
                self.level = expected + gain * (total - expected);
                self.slope = slope * (self.level - before) + (1.0 - slope) * DAMPED * self.slope;
                let ahead = self.level + (DAMPED + (AHEAD - 1.0) * DAMPED * DAMPED) * self.slope;
                ahead.max(LEAST * self.level)
            }
            Forecast::Seasonal { gain, period } => {
                let factor = &mut self.factors[number % period];
                let own = total / factor.max(LEAST);
                self.level += if number == 0 {
                    own
                } else {
                    gain * (own - self.level)
                };
                if number >= period.min(10) {
                    let seen = total / self.level.max(f64::MIN_POSITIVE);
                    *factor += SEASON_GAIN * (seen - *factor);
                }
                let [one, two] = [1, 2].map(|ahead| self.factors[(number + ahead) % period]);
                self.level * ((2.0 - AHEAD) * one + (AHEAD - 1.0) * two).max(LEAST)
            }
        }
    }
}

/// A rule: the forecast of the whole, and the gain with which each operation's part is followed.
#[derive(Debug, Clone)]
pub struct Rule {
    state: State,
    gain: f64,
    rates: Vec<f64>,
    budget: f64,
}

/// The gains with which operations' parts are followed.
const GAINS: [f64; 4] = [0.03, 0.1, 0.3, 1.0];

/// All rules, with their names.
pub fn all(budget: f64, operations: usize) -> Vec<(String, Rule)> {
    let mut forecasts = Vec::new();
    for gain in [1.0, 0.7, 0.5, 0.35, 0.2, 0.1] {
        let name = if gain < 1.0 {
            format!("mean, gain {gain}")
        } else {
            "last value".to_owned()
        };
        forecasts.push((name, Forecast::Mean { gain }));
    }
    for (gain, slope) in [(0.5, 0.1), (0.8, 0.2)] {
        let name = format!("slope, gains {gain} and {slope}");
        forecasts.push((name, Forecast::Holt { gain, slope }));
    }
    for (gain, period) in [(0.3, 60), (0.7, 60), (0.7, 1440)] {
        let name = format!("season of {period}, gain {gain}");
        forecasts.push((name, Forecast::Seasonal { gain, period }));
    }
    let mut rules = Vec::new();
    for (name, forecast) in forecasts {
        for gain in GAINS {
            let rule = Rule {
                state: State::new(forecast),
                gain,
                rates: vec![0.0; operations],
                budget,
            };
            rules.push((format!("{name}; parts {gain}"), rule));
        }
    }
    rules
}

impl Rule {
    /// The probabilities after an interval.
    pub fn next(&mut self, counts: &[u64], seconds: f64) -> Vec<f64> {
        let total = counts.iter().sum::<u64>() as f64 / seconds;
        let forecast = self.state.next(total);
        for (rate, &count) in self.rates.iter_mut().zip(counts) {
            let seen = count as f64 / seconds;
            // The first count is all that is known.
            *rate += if *rate > 0.0 {
                self.gain * (seen - *rate)
            } else {
                seen
            };
        }
        let sum: f64 = self.rates.iter().sum();
        let scale = if sum > 0.0 { forecast / sum } else { 0.0 };
        let demands: Vec<f64> = self.rates.iter().map(|rate| rate * scale).collect();
        let level = level(&demands, self.budget);
        let probability = |demand: &f64| {
            if *demand > level { level / demand } else { 1.0 }
        };
        demands.iter().map(probability).collect()
    }
}

/// The level at which demands fill a budget equally.
fn level(demands: &[f64], budget: f64) -> f64 {
    let mut level = budget / demands.len().max(1) as f64;
    loop {
        // What is under the level leaves the rest to the others.
        let (mut used, mut others) = (0.0, 0);
        for &demand in demands {
            if demand <= level {
                used += demand;
            } else {
                others += 1;
            }
        }
        if others == 0 {
            return f64::INFINITY;
        }
        let next = (budget - used) / f64::from(others);
        if next <= level * (1.0 + 1e-12) {
            return level;
        }
        level = next;
    }
}
