//! What is expected of an operation in a window, and whether the count is a step or noise.

use crate::OperationCount;
use crate::names_return::NamesReturn;
use crate::operation::{Estimate, Evidence, tame};
use crate::presence::Presence;
use crate::rhythm::Rhythm;
use crate::tuning::estimate::Operation as Tuning;

/// The expectation for an operation in a window, and the count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    /// Root requests expected, if it has traffic.
    pub expected: f64,
    /// Root requests counted; none if they may be another window's.
    pub counted: f64,
    /// Whether it had requests of its own.
    pub comes: bool,
    /// Whether its requests may be another window's.
    pub edge: bool,
    /// The relative variance of what was expected: the rate may have drifted since.
    pub variance: f64,
    /// The relative variance of a count around what is expected.
    pub noise: f64,
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
        let tuning = evidence.tuning;
        let exposure = evidence.exposure(old.service);
        if exposure <= 0.0 {
            return None;
        }
        let expected = tame(old.belief.rate * change) * exposure;
        let counted = count.map_or(0.0, |count| count.offered as f64);
        let whole = expected * evidence.tally.seconds / exposure;
        let edge = count.is_some()
            && !old.belief.fell
            && (old.belief.once || f64::from(old.belief.stay) < tuning.presence.pauses)
            && is_edge(counted, whole, &tuning.operation)
            && is_step(expected, counted, &tuning.operation);
        let comes = count.is_some() && !edge;
        if !comes && !evidence.is_covered(old.service) {
            return None;
        }
        let counted = if comes { counted } else { 0.0 };
        let variance_before = f64::from(old.belief.variance);
        let variance = (variance_before + tuning.operation.drift() * evidence.windows)
            .clamp(0.0, tuning.operation.variance_most());
        // A window within the gap of a periodic operation is not empty by chance.
        let by_chance = 1.0 - Rhythm::of(&old.belief).is_pausing();
        let empty = || by_chance * empty(expected, variance, &tuning.operation);
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
            noise: 1.0 / expected + tuning.operation.noise * tuning.operation.noise,
            // What the whole service does says nothing of one of its operations.
            presence: if evidence.trust.is_silent(old.service, evidence.window) {
                before.present(before.after(Some(empty()), &tuning.presence).present)
            } else {
                before.after((!comes).then(empty), &tuning.presence)
            },
            step: comes && is_step(expected, counted, &tuning.operation),
            comes,
            edge,
        })
    }

    /// The part of a deviation that the estimate follows.
    pub(crate) fn gain(&self) -> f64 {
        self.presence.present * self.variance / (self.variance + self.noise)
    }
}

/// The probability that a window is empty by chance, of `expected` requests give or take.
///
/// # Source
/// The probability of 0 under a negative binomial distribution: a Poisson count whose mean is
/// known with a relative variance.
fn empty(expected: f64, variance: f64, tuning: &Tuning) -> f64 {
    let variance = variance + tuning.noise * tuning.noise;
    (-(expected * variance).ln_1p() / variance).exp()
}

/// Whether a count may be the edge of what another window holds.
pub(crate) fn is_edge(count: f64, of: f64, tuning: &Tuning) -> bool {
    count < tuning.edge * of && is_step(of, count, tuning)
}

/// Whether noise explains the difference between an expected and a seen count.
///
/// The deviation is that of the smaller count, so a rise and the fall back are judged alike. One request
/// is added, so that a single request of a rare operation is not a step.
fn is_step(expected: f64, counted: f64, tuning: &Tuning) -> bool {
    let n = expected.min(counted) + 1.0;
    let deviation = (n + (tuning.step_noise * n).powi(2)).sqrt();
    (counted - expected).abs() > tuning.step_deviations * deviation
}
