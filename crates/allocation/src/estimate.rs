//! The offered rate of every operation, estimated window by window.
//!
//! Counts are taken before sampling, so an estimate does not depend on the served probabilities, and
//! nothing can oscillate. Learning goes by windows, not by seconds: what a count is worth depends on its
//! size, not on its duration.
//!
//! A scalar Kalman filter follows each operation's rate on a relative scale: an estimate, its variance,
//! and the gain that follows from both. The estimate of a new operation converges like the mean of its
//! counts and then settles at a steady gain. The common change of all operations is removed
//! [first](super::common). Whether an operation has traffic at all is tracked
//! [separately](super::presence), including its [period](super::rhythm).

use std::cell::LazyCell;

use super::common::{Common, Shift, Trend};
use super::completeness::Reading;
use super::defaults::Priors;
use super::presence::Presence;
use super::rhythm::Rhythm;
use super::tally::SortedCounts;
use super::{Belief, Hold, OperationCount, OperationId, OperationPlan, ServiceId};

/// The relative scatter of an operation's true rate between windows, as recorded request rates per
/// minute show it. The Poisson scatter of counts comes on top.
const NOISE: f64 = 0.15;

/// The steady gain for counts so large that only [`NOISE`] matters. The common change is followed faster,
/// so the rest may be smoothed more.
const GAIN_LARGE: f64 = 0.35;

/// How much a rate drifts for good from window to window, as a relative variance. In a random
/// walk seen through noise of variance r the steady gain K satisfies drift = r·K²/(1−K); this is
/// the drift at which the gain of large counts is [`GAIN_LARGE`].
const DRIFT: f64 = NOISE * NOISE * GAIN_LARGE * GAIN_LARGE / (1.0 - GAIN_LARGE);

/// No estimate weighs less than one from a single request.
const VARIANCE_MAX: f64 = 1.0 + NOISE * NOISE;

/// A deviation of more than this many standard deviations is a step, not noise.
const STEP_DEVIATIONS: f64 = 4.0;

/// The relative scatter that a step must stand out from: twice [`NOISE`], since the estimate and
/// the window both scatter, and tails are fatter than a normal distribution's. With
/// [`STEP_DEVIATIONS`] a large count steps when it changes by more than a factor of 2.2.
const STEP_NOISE: f64 = 2.0 * NOISE;

/// An empty window is empty by chance if the operation had traffic with at least this probability;
/// otherwise the operation is silent.
const PRESENT: f64 = 0.5;

/// The number of root requests a prior counts for when a new operation's own count is small.
const PRIOR_COUNT: f64 = 1.0;

/// The lowest rate, in root requests per second: a share divided by it is still a probability, and a
/// million such operations cost nothing.
const LEAST_RATE: f64 = 1e-12;

/// An operation, with its belief before and after a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub operation: OperationId,
    pub service: ServiceId,
    pub overflow: bool,
    /// The belief before the window; none if the operation was first seen in it.
    pub before: Option<Belief>,
    /// The belief after the window.
    pub belief: Belief,
    /// The trend of the fleet's traffic from the window on.
    pub trend: Trend,
    pub silent_windows: u32,
    pub window_offered: u64,
    pub window_sampled: u64,
}

impl Estimate {
    /// Reads an operation of a plan, of a fleet with this trend.
    pub(super) fn of(plan: &OperationPlan, trend: Trend) -> Self {
        Self {
            operation: plan.operation,
            service: plan.service,
            overflow: plan.overflow,
            before: plan.belief_before,
            belief: plan.belief,
            trend,
            silent_windows: plan.silent_windows,
            window_offered: plan.window_offered,
            window_sampled: plan.window_sampled,
        }
    }

    /// Whether the window was the first in which it was seen.
    pub(super) fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// The offered rate while it has traffic, when a plan made now is used, in root requests per
    /// second.
    pub(super) fn rate(&self) -> f64 {
        tame(self.belief.rate * self.trend.ahead())
    }

    /// The probability that it has traffic when a plan made now is used.
    pub(super) fn presence(&self) -> f64 {
        let presence = Presence::of(&self.belief);
        let has_requests = self.window_offered > 0;
        let rhythm = Rhythm::of(&self.belief);
        Presence::tame(rhythm.expected(has_requests, presence.stay, presence.expected()))
    }

    /// The offered rate that the next window is planned for, in root requests per second.
    pub(super) fn demand(&self) -> f64 {
        self.rate() * self.presence()
    }

    /// Whether it had no traffic in the window, and not by chance.
    pub(super) fn is_silent(&self) -> bool {
        self.window_offered == 0 && f64::from(self.belief.presence) < PRESENT
    }

    /// How much the mean of 1/estimate exceeds 1/mean, relative to it, while the rate stays constant: the
    /// estimate's relative variance.
    pub(super) fn inverse_excess(&self) -> f64 {
        if self.is_silent() {
            0.0
        } else {
            f64::from(self.belief.variance)
        }
    }
}

/// What a window shows, and how far it is trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub tally: &'a SortedCounts,
    pub reading: &'a Reading,
    /// Windows since the previous window; more than 1 after a gap.
    pub windows: f64,
}

impl Evidence<'_> {
    /// The seconds of traffic that the counts stand for.
    fn exposure(&self) -> f64 {
        self.tally.seconds * self.reading.part_counted()
    }
}

/// An operation known, counted, or both.
enum Match<'a> {
    Known(&'a Estimate, Option<&'a OperationCount>),
    New(&'a OperationCount),
}

/// Merges estimates and counts, both sorted by operation.
fn matches<'a>(
    known: &'a [Estimate],
    counts: &'a [OperationCount],
) -> impl Iterator<Item = Match<'a>> {
    let (mut known, mut counts) = (known.iter().peekable(), counts.iter().peekable());
    std::iter::from_fn(move || {
        let first = known.peek().map(|known| known.operation);
        let new = counts.next_if(|count| first.is_none_or(|first| count.operation < first));
        if let Some(count) = new {
            return Some(Match::New(count));
        }
        let known = known.next()?;
        let count = counts.next_if(|count| count.operation == known.operation);
        Some(Match::Known(known, count))
    })
}

/// Carries the estimates (sorted by operation) and their common course over a window. A frozen window
/// changes nothing and adds no operation.
pub(super) fn advance(
    known: &[Estimate],
    common: Common,
    trend: Trend,
    evidence: Evidence<'_>,
) -> (Vec<Estimate>, Common, Trend) {
    let counts = &evidence.tally.operations;
    let matched = || matches(known, counts);
    if evidence.reading.hold == Hold::Frozen {
        let kept = matched()
            .filter_map(|matched| match matched {
                Match::Known(old, count) => Some(still(old, count)),
                Match::New(_) => None,
            })
            .collect();
        return (kept, common, trend);
    }
    let outlooks = matched().filter_map(|matched| match matched {
        Match::Known(old, count) => Outlook::of(old, count, evidence, trend.step()),
        Match::New(_) => None,
    });
    let (next, shift, next_trend) = common.after(outlooks, trend, evidence.windows);
    let (common, shift, trend) = match evidence.reading.hold {
        Hold::None => (next, shift, next_trend),
        Hold::CutsOnly | Hold::Frozen => (common, shift.upwards(), trend),
    };
    let priors = LazyCell::new(|| Priors::of(known));
    let mut estimates = Vec::with_capacity(known.len().max(counts.len()));
    estimates.extend(matched().map(|matched| match matched {
        Match::Known(old, count) => match Outlook::of(old, count, evidence, shift.moment) {
            Some(outlook) => follow(old, count, &outlook, evidence, shift, trend),
            None => still(old, count),
        },
        Match::New(count) => first_seen(count, &priors, evidence, shift, trend),
    }));
    (estimates, common, trend)
}

/// The expectation for an operation in a window, and the count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    /// Root requests expected, if it has traffic.
    pub expected: f64,
    /// Root requests counted.
    pub counted: f64,
    /// The relative variance of the estimate before the window.
    pub variance_before: f64,
    /// The relative variance of what was expected: the rate may have drifted since.
    pub variance: f64,
    /// Its presence after the window.
    pub presence: Presence,
    /// Whether noise cannot explain the difference.
    pub step: bool,
}

impl Outlook {
    /// None if the operation's reports may be missing from the window.
    fn of(
        old: &Estimate,
        count: Option<&OperationCount>,
        evidence: Evidence<'_>,
        change: f64,
    ) -> Option<Self> {
        if count.is_none() && evidence.reading.hold == Hold::CutsOnly {
            return None;
        }
        let expected = tame(old.belief.rate * change) * evidence.exposure();
        let counted = count.map_or(0.0, |count| count.offered as f64);
        let variance_before = f64::from(old.belief.variance);
        let variance = (variance_before + DRIFT * evidence.windows).clamp(0.0, VARIANCE_MAX);
        // A window within the gap of a periodic operation is not empty by chance.
        let by_chance = 1.0 - Rhythm::of(&old.belief).is_pausing();
        let empty = || by_chance * empty(expected, variance);
        Some(Self {
            expected,
            counted,
            variance_before,
            variance,
            presence: Presence::of(&old.belief).after(count.is_none().then(empty)),
            step: count.is_some() && is_step(expected, counted),
        })
    }

    /// The part of a deviation that the estimate follows.
    pub(super) fn gain(&self) -> f64 {
        self.presence.present * self.variance / (self.variance + self.noise())
    }

    /// The relative variance of a count around what is expected.
    pub(super) fn noise(&self) -> f64 {
        1.0 / self.expected + NOISE * NOISE
    }
}

/// The probability that a window is empty by chance, of `expected` requests give or take.
///
/// # Source
/// The probability of 0 under a negative binomial distribution: a Poisson count whose mean is
/// known with a relative variance.
fn empty(expected: f64, variance: f64) -> f64 {
    let variance = variance + NOISE * NOISE;
    (-(expected * variance).ln_1p() / variance).exp()
}

/// Keeps a belief through a window without information.
fn still(old: &Estimate, count: Option<&OperationCount>) -> Estimate {
    Estimate {
        before: Some(old.belief),
        window_offered: count.map_or(0, |count| count.offered),
        window_sampled: count.map_or(0, |count| count.sampled),
        ..*old
    }
}

/// Follows a window.
///
/// The gain depends on the expectation, not on the count; otherwise windows that hold more by chance
/// would also weigh more. An empty window counts with the probability that it is empty by chance.
///
/// # Source
/// The Kalman filter of a random walk: with the variance p before and r of the noise, the gain is
/// p/(p+r) and the variance after is (1−gain)·p.
fn follow(
    old: &Estimate,
    count: Option<&OperationCount>,
    outlook: &Outlook,
    evidence: Evidence<'_>,
    shift: Shift,
    trend: Trend,
) -> Estimate {
    let Outlook {
        expected, variance, ..
    } = *outlook;
    let (gain, variance) = if outlook.step {
        (1.0, 1.0 / outlook.counted + NOISE * NOISE)
    } else {
        (outlook.gain(), (1.0 - outlook.gain()) * variance)
    };
    let followed = (expected + gain * (outlook.counted - expected)) / evidence.exposure();
    let followed = followed * shift.lasting() / if outlook.step { 1.0 } else { shift.own };
    let rate = match evidence.reading.hold {
        // Reports are missing, and nobody knows whose. Such a window can show more traffic than expected, not
        // less.
        Hold::CutsOnly => followed.max(old.belief.rate),
        Hold::None | Hold::Frozen => followed,
    };
    let (comes, was_silent) = (count.is_some(), old.silent_windows > 0);
    let rhythm = Rhythm::of(&old.belief).after(comes, was_silent, evidence.windows);
    Estimate {
        belief: belief(rate, variance, outlook.presence, rhythm),
        trend,
        silent_windows: match count {
            Some(_) => 0,
            None => old.silent_windows.saturating_add(1),
        },
        ..still(old, count)
    }
}

/// Whether noise explains the difference between an expected and a seen count.
///
/// The deviation is that of the smaller count, so a rise and the fall back are judged alike. One request
/// is added, so that a single request of a rare operation is not a step.
fn is_step(expected: f64, counted: f64) -> bool {
    let n = expected.min(counted) + 1.0;
    let deviation = (n + (STEP_NOISE * n).powi(2)).sqrt();
    (counted - expected).abs() > STEP_DEVIATIONS * deviation
}

/// Starts an operation from its first count.
///
/// A small count says little, and the operation may have begun late in the window. So the median of
/// comparable operations is mixed in with the weight [`PRIOR_COUNT`]: upwards at most as far as the count
/// allows, and never downwards, because the budget must hold for what was counted.
fn first_seen<F: FnOnce() -> Priors>(
    count: &OperationCount,
    priors: &LazyCell<Priors, F>,
    evidence: Evidence<'_>,
    shift: Shift,
    trend: Trend,
) -> Estimate {
    let counted = count.offered as f64;
    let exposure = evidence.exposure();
    let seen = counted / exposure;
    let prior = if count.overflow {
        None
    } else {
        priors.of_service(count.service)
    };
    let most = (counted + STEP_DEVIATIONS * (counted + 1.0).sqrt()) / exposure;
    let prior = prior.map_or(seen, |prior| prior.clamp(seen, most));
    let rate =
        (counted * seen + PRIOR_COUNT * prior) / (counted + PRIOR_COUNT) * shift.lasting().max(1.0);
    Estimate {
        operation: count.operation,
        service: count.service,
        overflow: count.overflow,
        before: None,
        belief: belief(
            rate,
            1.0 / counted + NOISE * NOISE,
            Presence::NEW,
            Rhythm::NEW,
        ),
        trend,
        silent_windows: 0,
        window_offered: count.offered,
        window_sampled: count.sampled,
    }
}

fn belief(rate: f64, variance: f64, presence: Presence, rhythm: Rhythm) -> Belief {
    Belief {
        rate: tame(rate),
        variance: variance as f32,
        presence: presence.present as f32,
        stay: presence.stay as f32,
        wake: presence.wake as f32,
        gap: rhythm.gap,
        since: rhythm.since,
        regular: rhythm.regular as f32,
    }
}

/// Cuts a rate to what can be divided by.
fn tame(rate: f64) -> f64 {
    super::solve::amount(rate).max(LEAST_RATE)
}
