//! What is expected of an operation in a window, and whether the count is a step or noise.

use crate::OperationCount;
use crate::names_return::NamesReturn;
use crate::operation::{Estimate, Evidence, tame};
use crate::presence::Presence;
use crate::rhythm::Rhythm;

/// The relative scatter of an operation's true rate between windows, as recorded request rates per
/// minute show it. The Poisson scatter of counts comes on top.
pub(crate) const NOISE: f64 = 0.15;

/// The steady gain for counts so large that only [`NOISE`] matters. The common change is followed faster,
/// so the rest may be smoothed more.
const GAIN_LARGE: f64 = 0.35;

/// How much a rate drifts for good from window to window, as a relative variance. In a random
/// walk seen through noise of variance r the steady gain K satisfies drift = r·K²/(1−K); this is
/// the drift at which the gain of large counts is [`GAIN_LARGE`].
pub(crate) const DRIFT: f64 = NOISE * NOISE * GAIN_LARGE * GAIN_LARGE / (1.0 - GAIN_LARGE);

/// No estimate weighs less than one from a single request.
pub(crate) const VARIANCE_MAX: f64 = 1.0 + NOISE * NOISE;

/// A deviation of more than this many standard deviations is a step, not noise.
pub(crate) const STEP_DEVIATIONS: f64 = 4.0;

/// The relative scatter that a step must stand out from: twice [`NOISE`], since the estimate and
/// the window both scatter, and tails are fatter than a normal distribution's. With
/// [`STEP_DEVIATIONS`] a large count steps when it changes by more than a factor of 2.2.
const STEP_NOISE: f64 = 2.0 * NOISE;

/// The expectation for an operation in a window, and the count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    /// Root requests expected, if it has traffic.
    pub expected: f64,
    /// Root requests counted.
    pub counted: f64,
    /// The relative variance of what was expected: the rate may have drifted since.
    pub variance: f64,
    /// Its presence after the window.
    pub presence: Presence,
    /// Whether noise cannot explain the difference.
    pub step: bool,
}

impl Outlook {
    /// None if the window shows nothing of the operation: its reports are not in.
    pub(crate) fn of(
        old: &Estimate,
        count: Option<&OperationCount>,
        evidence: Evidence<'_>,
        (change, names): (f64, &NamesReturn),
    ) -> Option<Self> {
        let exposure = evidence.exposure(old.service);
        if exposure <= 0.0 || (count.is_none() && !evidence.is_covered(old.service)) {
            return None;
        }
        let expected = tame(old.belief.rate * change) * exposure;
        let counted = count.map_or(0.0, |count| count.offered as f64);
        let variance_before = f64::from(old.belief.variance);
        let variance = (variance_before + DRIFT * evidence.windows).clamp(0.0, VARIANCE_MAX);
        // A window within the gap of a periodic operation is not empty by chance.
        let by_chance = 1.0 - Rhythm::of(&old.belief).is_pausing();
        let empty = || by_chance * empty(expected, variance);
        let before = Presence::of(&old.belief);
        let before = if old.belief.once && !old.overflow {
            before.at_most(names.of_service(old.service))
        } else {
            before
        };
        Some(Self {
            expected,
            counted,
            variance,
            // What the whole service does says nothing of one of its operations.
            presence: if evidence.trust.is_silent(old.service, evidence.window) {
                before.present(before.after(Some(empty())).present)
            } else {
                before.after(count.is_none().then(empty))
            },
            step: count.is_some() && is_step(expected, counted),
        })
    }

    /// The part of a deviation that the estimate follows.
    pub(crate) fn gain(&self) -> f64 {
        self.presence.present * self.variance / (self.variance + self.noise())
    }

    /// The relative variance of a count around what is expected.
    pub(crate) fn noise(&self) -> f64 {
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

/// Whether noise explains the difference between an expected and a seen count.
///
/// The deviation is that of the smaller count, so a rise and the fall back are judged alike. One request
/// is added, so that a single request of a rare operation is not a step.
fn is_step(expected: f64, counted: f64) -> bool {
    let n = expected.min(counted) + 1.0;
    let deviation = (n + (STEP_NOISE * n).powi(2)).sqrt();
    (counted - expected).abs() > STEP_DEVIATIONS * deviation
}
