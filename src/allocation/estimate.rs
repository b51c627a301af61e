//! The offered rate of every operation, estimated window by window.
//!
//! Counts come from before sampling, so an estimate does not depend on any probability served:
//! there is no feedback to oscillate. What is not here: a trend, the bias trim, the deadband.

use std::cell::LazyCell;

use super::completeness::{EMPTY_BY_CHANCE, Reading};
use super::defaults::Priors;
use super::tally::Tally;
use super::{Hold, OperationCount, OperationId, OperationPlan, ServiceId};

/// How much an operation's true rate scatters from window to window around its course, relative
/// to it. What recorded request rates per minute show; the Poisson scatter of counts comes on top.
const NOISE: f64 = 0.15;

/// The gain for counts so large that only [`NOISE`] blurs them: old and new weigh the same.
const GAIN_LARGE: f64 = 0.5;

/// How much a rate drifts for good from window to window, as a relative variance. In a random
/// walk seen through noise of variance r the best steady gain K satisfies drift = r·K²/(1−K);
/// this is the drift at which the gain of large counts is [`GAIN_LARGE`].
const DRIFT: f64 = NOISE * NOISE * GAIN_LARGE * GAIN_LARGE / (1.0 - GAIN_LARGE);

/// Seconds in which the estimate of a silent operation halves.
const HALF_LIFE_SECONDS: f64 = 600.0;

/// A jump of so many standard deviations is a step, not noise.
const STEP_DEVIATIONS: f64 = 4.0;

/// The relative scatter that a step must stand out from: twice [`NOISE`], since the estimate and
/// the window both scatter, and tails are fatter than a normal distribution's. With
/// [`STEP_DEVIATIONS`] a large count steps when it changes by more than a factor of 2.2.
const STEP_NOISE: f64 = 2.0 * NOISE;

/// An operation that should have had ln 10⁴ root requests by now and had none has stopped: chance
/// does that once in ten thousand times. One that only paused then costs its share unplanned when
/// it returns, but one that was renamed would keep its share idle for hours if nobody gave up.
const SURELY_STOPPED: f64 = 9.2;

/// No demand is believed in less than 2⁻³⁰: nothing to pay for, yet never a division by 0.
const HALVINGS_MAX: u32 = 30;

/// The root requests that a prior counts for, when a new operation's own count is small.
const PRIOR_COUNT: f64 = 1.0;

/// No estimate falls below this, in root requests per second: a share divided by it still is a
/// probability, and a million such operations cost nothing.
const LEAST_OFFERED: f64 = 1e-12;

/// An operation with its estimate before and after a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub operation: OperationId,
    pub service: ServiceId,
    pub overflow: bool,
    /// The estimate before the window; negative if it was first seen in it.
    pub before: f64,
    /// The estimate with the window.
    pub offered: f64,
    /// The part of [`Estimate::offered`] that the next window is planned for; less than the whole
    /// for an operation that has stopped, whose estimate is kept for its return.
    pub demand: f64,
    /// The relative variance that the chance in counting gives the estimate.
    pub chance: f64,
    pub silent_windows: u32,
    pub window_offered: u64,
    pub window_sampled: u64,
}

impl Estimate {
    /// Reads an operation of a plan as it stood after the plan's window of so many seconds.
    pub(super) fn of(plan: &OperationPlan, seconds: f64) -> Self {
        let offered = tame(plan.offered);
        Self {
            operation: plan.operation,
            service: plan.service,
            overflow: plan.overflow,
            before: plan.offered_before,
            offered,
            demand: demand(offered, plan.silent_windows, seconds),
            chance: 0.0,
            silent_windows: plan.silent_windows,
            window_offered: plan.window_offered,
            window_sampled: plan.window_sampled,
        }
    }

    /// Whether the window was the first in which it was seen.
    pub(super) fn is_new(&self) -> bool {
        self.before < 0.0
    }
}

/// What a window says, and how far to trust it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub tally: &'a Tally,
    pub reading: &'a Reading,
    /// Seconds since the end of the window before: more than the window's length after a gap.
    pub elapsed_seconds: f64,
}

impl Evidence<'_> {
    /// The seconds of traffic that the counts stand for.
    fn exposure(&self) -> f64 {
        self.tally.seconds * self.reading.part_counted()
    }
}

/// Carries estimates (sorted by operation) over a window. A frozen window changes no estimate
/// and adds no operation.
pub(super) fn advance(known: &[Estimate], evidence: Evidence<'_>) -> Vec<Estimate> {
    let priors = LazyCell::new(|| Priors::of(known));
    let frozen = evidence.reading.hold == Hold::Frozen;
    let counts = &evidence.tally.operations;
    let mut estimates = Vec::with_capacity(known.len().max(counts.len()));
    let mut counts = counts.iter().peekable();
    for old in known {
        while let Some(count) = counts.next_if(|count| count.operation < old.operation) {
            estimates.extend((!frozen).then(|| first_seen(count, &priors, evidence)));
        }
        let count = counts.next_if(|count| count.operation == old.operation);
        estimates.push(match count {
            _ if frozen => still(old, count),
            Some(count) => reported(old, count, evidence),
            None => silent(old, evidence),
        });
    }
    if !frozen {
        estimates.extend(counts.map(|count| first_seen(count, &priors, evidence)));
    }
    estimates
}

/// The part by which a slow average moves in so many seconds.
pub(super) fn slow_gain(seconds: f64) -> f64 {
    1.0 - halvings(seconds)
}

fn halvings(seconds: f64) -> f64 {
    (-seconds.max(0.0) / HALF_LIFE_SECONDS).exp2()
}

/// Keeps an estimate through a window that says nothing.
fn still(old: &Estimate, count: Option<&OperationCount>) -> Estimate {
    Estimate {
        before: old.offered,
        window_offered: count.map_or(0, |count| count.offered),
        window_sampled: count.map_or(0, |count| count.sampled),
        ..*old
    }
}

fn reported(old: &Estimate, count: &OperationCount, evidence: Evidence<'_>) -> Estimate {
    let counted = count.offered as f64;
    let exposure = evidence.exposure();
    let expected = old.offered * exposure;
    let gain = if is_step(expected, counted) {
        1.0
    } else {
        gain(expected, slow_gain(evidence.tally.seconds))
    };
    let followed = old.offered + gain * (counted / exposure - old.offered);
    let offered = match evidence.reading.hold {
        // Reports are missing, and nobody knows whose: such a window can show that there is more
        // traffic than was thought, not that there is less.
        Hold::CutsOnly => followed.max(old.offered),
        Hold::None | Hold::Frozen => followed,
    };
    let offered = tame(offered);
    Estimate {
        offered,
        demand: offered,
        chance: chance(gain, offered * exposure),
        silent_windows: 0,
        ..still(old, Some(count))
    }
}

/// Whether noise explains the difference of two counts, one expected and one seen.
///
/// The deviation is taken of the smaller of the two, so that a rise and the fall back are judged
/// alike, and with one request more, so that a single request of a rare operation is no step.
fn is_step(expected: f64, counted: f64) -> bool {
    let n = expected.min(counted) + 1.0;
    let deviation = (n + (STEP_NOISE * n).powi(2)).sqrt();
    (counted - expected).abs() > STEP_DEVIATIONS * deviation
}

/// The gain for an operation of which a window is expected to hold `expected` requests.
///
/// It depends on what is expected, not on what came, else windows that hold more by chance would
/// also count for more. It is never under `slowest`, the part that a silent operation loses.
///
/// # Source
/// The steady-state gain of the Kalman filter for a random walk with drift variance q seen
/// through noise of variance r: with s = q/r, K = (√(s² + 4s) − s)/2. Here r is the relative
/// variance of a count, `1/expected + NOISE²`.
fn gain(expected: f64, slowest: f64) -> f64 {
    let s = DRIFT / (1.0 / expected + NOISE * NOISE);
    let steady = f64::midpoint((s * s + 4.0 * s).sqrt(), -s);
    steady.max(slowest)
}

/// The relative variance of an estimate from the chance in counting alone: 1/expected for one
/// count, `gain/(2 − gain)` of it for an average with that gain.
fn chance(gain: f64, expected: f64) -> f64 {
    gain / ((2.0 - gain) * expected.max(f64::MIN_POSITIVE))
}

fn silent(old: &Estimate, evidence: Evidence<'_>) -> Estimate {
    if evidence.reading.hold == Hold::CutsOnly {
        // Its reports may be among those missing.
        return still(old, None);
    }
    let expected = old.offered * evidence.exposure();
    let kept = if expected < EMPTY_BY_CHANCE {
        // An ordinary empty window: a count like any other, or the estimate would be biased.
        let gap = evidence.elapsed_seconds - evidence.tally.seconds;
        (1.0 - gain(expected, slow_gain(evidence.tally.seconds))) * halvings(gap)
    } else {
        halvings(evidence.elapsed_seconds)
    };
    let offered = tame(old.offered * kept);
    let silent_windows = old.silent_windows.saturating_add(1);
    Estimate {
        offered,
        demand: demand(offered, silent_windows, evidence.tally.seconds),
        silent_windows,
        ..still(old, None)
    }
}

/// How much of an estimate to plan for after so many silent windows in a row.
///
/// All of it while the silence may be chance. Else half as much with each silent window: what
/// [`GAIN_LARGE`] makes of counts of 0.
fn demand(offered: f64, silent_windows: u32, seconds: f64) -> f64 {
    if silent_windows == 0 || seconds <= 0.0 {
        return offered;
    }
    // The estimate halved on the way here; what was missed, it was before that.
    let growth = 1.0 / halvings(seconds);
    let grown = 1.0 / halvings(seconds * f64::from(silent_windows));
    let missed = offered * seconds * growth * (grown - 1.0) / (growth - 1.0);
    if missed < SURELY_STOPPED {
        return offered;
    }
    offered * (-f64::from(silent_windows.min(HALVINGS_MAX))).exp2()
}

/// Starts an operation from its first count.
///
/// A small count says little, and the operation may have begun late in the window, so the median
/// of its like weighs in with [`PRIOR_COUNT`]: no further up than the count allows, and never
/// down, since the budget has to hold for what was seen.
fn first_seen<F: FnOnce() -> Priors>(
    count: &OperationCount,
    priors: &LazyCell<Priors, F>,
    evidence: Evidence<'_>,
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
    let offered = tame((counted * seen + PRIOR_COUNT * prior) / (counted + PRIOR_COUNT));
    Estimate {
        operation: count.operation,
        service: count.service,
        overflow: count.overflow,
        before: -1.0,
        offered,
        demand: offered,
        chance: chance(1.0, counted),
        silent_windows: 0,
        window_offered: count.offered,
        window_sampled: count.sampled,
    }
}

/// Cuts an estimate to what can be divided by.
fn tame(offered: f64) -> f64 {
    super::solve::amount(offered).max(LEAST_OFFERED)
}
