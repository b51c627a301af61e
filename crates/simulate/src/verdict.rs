//! Judges whether a server met the budget as well as the traffic allows.
//!
//! # The measure
//! In an interval of `s` seconds the target is `min(budget, offered)`: what is not asked cannot be
//! sampled. The error is `(sampled − target) / budget`, each in traces per second.
//!
//! Part of the error is chance: SDKs flip coins. Given the probabilities that were applied, the
//! sampled count has the mean `Σ p` and the variance `Σ p·(1−p)` over the requests, both known here.
//! The *systematic* error is the error of that mean: what the probabilities did, without the coins.
//!
//! Part of the systematic error is the traffic's doing: nobody knows an interval's requests before
//! it is over. The [reference controller](super::reference) shows how much.
//!
//! # The criterion
//! After the warm-up, all of:
//! 1. **tracking**: mean |systematic error| ≤ 1.25 × the reference's + 2 %;
//! 2. **bias**: |mean error| ≤ |the reference's mean systematic error| + 2 % + 3 standard errors of
//!    sampling noise;
//! 3. **intervals**: |error| ≤ the interval's allowance in all but one interval in twenty (one miss
//!    is always allowed), where the allowance is the reference's |systematic error| in this interval
//!    or the one before, whichever is larger, + 2 % + 3 standard deviations of sampling noise. The
//!    interval before counts since a server hears of an interval only after it is over;
//! 4. **protocol**: no strategy that a client in the field would refuse, no refused report, and every
//!    request that was offered is in exactly one acknowledged report.
//!
//! The 2 % are the tracking error allowed for a steady fleet. The 1.25 is room for an estimator
//! that must smooth what the reference knows.

use serde::Serialize;

use super::fleet::{Sampled, Tally};
use super::wire::WireTally;

/// The allowed multiple of the reference's error.
pub const REFERENCE_FACTOR: f64 = 1.25;
/// The systematic error that is always allowed, as a part of the budget.
pub const SLACK: f64 = 0.02;
/// The allowed standard deviations of sampling noise.
pub const DEVIATIONS: f64 = 3.0;
/// One in this many intervals may miss its allowance.
pub const ONE_MISS_IN: usize = 20;
/// With fewer intervals after the warm-up, there is no verdict.
pub const FEWEST_INTERVALS: usize = 5;

/// An interval that was played.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// The recorded row where it began.
    pub label: String,
    /// Its length in seconds.
    pub seconds: f64,
    /// The factor by which operators have changed the run's budget.
    pub budget_factor: f64,
    /// What the fleet did in it.
    pub tally: Tally,
}

impl Interval {
    /// The offered rate, in root requests per second.
    #[must_use]
    pub fn offered(&self) -> f64 {
        self.tally.offered as f64 / self.seconds
    }

    /// The sampled rate, in traces per second.
    #[must_use]
    pub fn sampled(&self) -> f64 {
        self.tally.served.count as f64 / self.seconds
    }

    /// What the reference controller would have sampled but for chance, in traces per second.
    #[must_use]
    pub fn reference(&self) -> f64 {
        self.tally.reference.expected / self.seconds
    }

    /// The budget in force, of a run with this budget.
    #[must_use]
    pub fn budget(&self, budget: f64) -> f64 {
        budget * self.budget_factor
    }

    /// How far a sampled count is from the target, as a part of the budget.
    fn error_of(&self, count: f64, budget: f64) -> f64 {
        let budget = self.budget(budget);
        (count / self.seconds - budget.min(self.offered())) / budget
    }

    /// How far the sampled rate is from the target, as a part of the budget.
    #[must_use]
    pub fn error(&self, budget: f64) -> f64 {
        self.error_of(self.tally.served.count as f64, budget)
    }

    fn systematic_error(&self, sampled: &Sampled, budget: f64) -> f64 {
        self.error_of(sampled.expected, budget)
    }

    /// One standard deviation of sampling noise, as a part of the budget.
    fn deviation(&self, budget: f64) -> f64 {
        self.tally.served.variance.sqrt() / self.seconds / self.budget(budget)
    }
}

/// The errors of one controller over the judged intervals, each as a part of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Errors {
    /// Mean |error|, chance included.
    pub absolute: f64,
    /// Mean |systematic error|.
    pub systematic: f64,
    /// Mean error: above 0 means too many traces.
    pub bias: f64,
    /// Mean systematic error.
    pub systematic_bias: f64,
}

/// A measured value and its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Check {
    /// The measured value.
    pub measured: f64,
    /// The limit.
    pub allowed: f64,
}

impl Check {
    /// Whether it is within the limit.
    #[must_use]
    pub fn holds(self) -> bool {
        self.measured <= self.allowed
    }
}

/// The judgement over a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Intervals at the beginning that are not judged.
    pub warm_up: usize,
    /// The allowance of every interval, including the warm-up, as a part of the budget.
    pub allowances: Vec<f64>,
    /// The server's errors.
    pub served: Errors,
    /// The reference controller's.
    pub reference: Errors,
    /// Mean |systematic error| against the reference's.
    pub tracking: Check,
    /// |Mean error| against the reference's, with sampling noise.
    pub bias: Check,
    /// Intervals outside their allowance.
    pub misses: Check,
    /// Intervals judged.
    pub judged: usize,
    /// Whether all requests and answers were correct.
    pub protocol: bool,
}

impl Verdict {
    /// Judges a run by the criterion above; none if it is too short.
    ///
    /// # Units
    /// `budget` in traces per second.
    #[must_use]
    pub fn of(
        intervals: &[Interval],
        wire: &WireTally,
        budget: f64,
        warm_up: usize,
    ) -> Option<Self> {
        let judged = intervals.get(warm_up..)?;
        if judged.len() < FEWEST_INTERVALS {
            return None;
        }
        let served = errors(judged, budget, |tally| &tally.served);
        let reference = errors(judged, budget, |tally| &tally.reference);
        let count = judged.len() as f64;
        let variance: f64 = judged.iter().map(|i| i.deviation(budget).powi(2)).sum();
        let allowances = allowances(intervals, budget);
        let misses = judged
            .iter()
            .zip(&allowances[warm_up..])
            .filter(|(interval, allowance)| interval.error(budget).abs() > **allowance)
            .count();
        Some(Self {
            warm_up,
            tracking: Check {
                measured: served.systematic,
                allowed: REFERENCE_FACTOR * reference.systematic + SLACK,
            },
            bias: Check {
                measured: served.bias.abs(),
                allowed: reference.systematic_bias.abs()
                    + SLACK
                    + DEVIATIONS * variance.sqrt() / count,
            },
            misses: Check {
                measured: misses as f64,
                allowed: (judged.len() / ONE_MISS_IN).max(1) as f64,
            },
            judged: judged.len(),
            protocol: wire.is_clean(),
            allowances,
            served,
            reference,
        })
    }

    /// Whether the server did well enough.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.tracking.holds() && self.bias.holds() && self.misses.holds() && self.protocol
    }
}

fn errors(judged: &[Interval], budget: f64, of: impl Fn(&Tally) -> &Sampled) -> Errors {
    let mut sums = Errors::default();
    for interval in judged {
        let sampled = of(&interval.tally);
        let error = interval.error_of(sampled.count as f64, budget);
        let systematic = interval.systematic_error(sampled, budget);
        sums.absolute += error.abs();
        sums.bias += error;
        sums.systematic += systematic.abs();
        sums.systematic_bias += systematic;
    }
    let count = judged.len() as f64;
    Errors {
        absolute: sums.absolute / count,
        systematic: sums.systematic / count,
        bias: sums.bias / count,
        systematic_bias: sums.systematic_bias / count,
    }
}

/// The allowed |error| of every interval, as a part of the budget.
fn allowances(intervals: &[Interval], budget: f64) -> Vec<f64> {
    let mut before = 0.0;
    intervals
        .iter()
        .map(|interval| {
            let reference = interval
                .systematic_error(&interval.tally.reference, budget)
                .abs();
            let worst = reference.max(before);
            before = reference;
            worst + SLACK + DEVIATIONS * interval.deviation(budget)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: f64 = 50.0;

    fn sampled(count: u64, expected: f64) -> Sampled {
        Sampled {
            count,
            expected,
            variance: expected * 0.99,
        }
    }

    fn interval(served: Sampled, reference: Sampled) -> Interval {
        Interval {
            label: String::new(),
            seconds: 2.0,
            budget_factor: 1.0,
            tally: Tally {
                offered: 10_000,
                served,
                reference,
            },
        }
    }

    fn judge(intervals: &[Interval]) -> Verdict {
        Verdict::of(intervals, &WireTally::default(), BUDGET, 2).unwrap()
    }

    #[test]
    fn chance_alone_passes() {
        let counts = [100, 112, 91, 103, 97, 108, 88, 100, 101, 95];
        let intervals = counts.map(|count| interval(sampled(count, 100.0), sampled(100, 100.0)));
        let verdict = judge(&intervals);
        assert!(verdict.passes(), "{verdict:?}");
        assert_eq!(verdict.judged, 8);
        assert!(verdict.served.systematic < 1e-12);
        assert!(
            (verdict.served.absolute - 0.05125).abs() < 1e-12,
            "{verdict:?}"
        );
    }

    #[test]
    fn the_warm_up_is_not_judged() {
        let mut intervals = vec![interval(sampled(100, 100.0), sampled(100, 100.0)); 12];
        intervals[0] = interval(sampled(0, 0.0), sampled(10, 10.0));
        intervals[1] = interval(sampled(5000, 5000.0), sampled(10, 10.0));
        assert!(judge(&intervals).passes());
    }

    #[test]
    fn a_steady_excess_fails_tracking_and_bias() {
        let intervals = vec![interval(sampled(130, 130.0), sampled(100, 100.0)); 40];
        let verdict = judge(&intervals);
        assert!(!verdict.tracking.holds() && !verdict.bias.holds());
        assert!(!verdict.passes());
    }

    #[test]
    fn errors_that_cancel_fail_tracking_alone() {
        let off = |count: u64| interval(sampled(count, count as f64), sampled(100, 100.0));
        let intervals: Vec<Interval> = (0..40)
            .map(|i| off(if i % 2 == 0 { 85 } else { 115 }))
            .collect();
        let verdict = judge(&intervals);
        assert!(
            verdict.bias.holds() && !verdict.tracking.holds(),
            "{verdict:?}"
        );
    }

    #[test]
    fn what_the_traffic_did_to_the_reference_is_allowed_and_one_interval_longer() {
        let mut intervals = vec![interval(sampled(100, 100.0), sampled(100, 100.0)); 42];
        intervals[20] = interval(sampled(300, 300.0), sampled(300, 300.0));
        intervals[21] = interval(sampled(220, 220.0), sampled(100, 100.0));
        let verdict = judge(&intervals);
        assert!(verdict.misses.measured < 1.0, "{verdict:?}");
        intervals[22] = interval(sampled(220, 220.0), sampled(100, 100.0));
        intervals[23] = interval(sampled(220, 220.0), sampled(100, 100.0));
        intervals[24] = interval(sampled(220, 220.0), sampled(100, 100.0));
        let verdict = judge(&intervals);
        assert_eq!(
            verdict.misses,
            Check {
                measured: 3.0,
                allowed: 2.0
            }
        );
        assert!(!verdict.passes());
    }

    #[test]
    fn what_is_not_asked_need_not_be_kept() {
        let mut quiet = interval(sampled(10, 10.0), sampled(10, 10.0));
        quiet.tally.offered = 10;
        assert_eq!(quiet.error(BUDGET), 0.0);
    }

    #[test]
    fn a_breach_of_protocol_fails_alone() {
        let intervals = vec![interval(sampled(100, 100.0), sampled(100, 100.0)); 12];
        for wire in [
            WireTally {
                violations: 1,
                ..WireTally::default()
            },
            WireTally {
                reports_rejected: 1,
                ..WireTally::default()
            },
            WireTally {
                offered: 10,
                offered_reported: 9,
                ..WireTally::default()
            },
        ] {
            let verdict = Verdict::of(&intervals, &wire, BUDGET, 2).unwrap();
            assert!(!verdict.passes());
        }
    }

    #[test]
    fn too_few_intervals_have_no_verdict() {
        let intervals = vec![interval(sampled(100, 100.0), sampled(100, 100.0)); 6];
        assert_eq!(
            Verdict::of(&intervals, &WireTally::default(), BUDGET, 2),
            None
        );
        assert_eq!(Verdict::of(&[], &WireTally::default(), BUDGET, 2), None);
    }
}
