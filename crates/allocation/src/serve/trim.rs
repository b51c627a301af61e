//! Corrects slowly what is kept too much or too little on average.
//!
//! Demand is reported before sampling, so the budget holds by forecast alone. What remains is a bias: bursts are
//! longer than lulls are deep, SDKs still hold the plan before, deadbands and holds leave something unspent. What
//! the counts would have kept under the plans that SDKs held ([`Due`]) shows it, without the chance of single traces.
//! That SDKs keep more or less than they are told is another bias: only sampled counts show it, and only as far as
//! it stands out from chance.

use crate::served::Due;
use crate::tally::SortedCounts;
use crate::tuning::Tuning;
use crate::tuning::serve::Trim as Constants;
use crate::{Plan, peaks};

/// The factor on the budget before it is shared, and its state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trim {
    /// The factor: balance and repayment, over what SDKs keep of what they are to keep.
    pub factor: f64,
    /// Windows still to be skipped after a change of the budget.
    pub rest_windows: u32,
    /// What makes up for forecasts that are wrong on average.
    pub balance: f64,
    /// What outlying windows kept too much, in windows of the budget; negative for too little.
    pub owed: f64,
    /// The traces that agents reported as sampled, fading with time.
    pub sampled: f64,
    /// The traces that SDKs were to keep of the same requests, fading alike.
    pub due: f64,
    /// What SDKs keep of what they are to keep, as it is corrected for.
    pub compliance: f64,
}

impl Default for Trim {
    fn default() -> Self {
        Self {
            factor: 1.0,
            rest_windows: 0,
            balance: 1.0,
            owed: 0.0,
            sampled: 0.0,
            due: 0.0,
            compliance: 1.0,
        }
    }
}

/// What the budget is multiplied by before it is shared, and what part of the shares is kept in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Correction {
    /// The factor on the budget.
    pub factor: f64,
    /// The part of the shares that is kept, as windows have shown: shares are of forecasts that may be too high on
    /// average, and SDKs may keep less than they are told.
    pub kept_part: f64,
}

/// A window's counts, and what its SDKs held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// The counts that are in.
    pub tally: &'a SortedCounts<'a>,
    /// What they were to keep by their probabilities,
    pub due: Due,
    /// and by their lower bound, in traces.
    pub lower_bound: f64,
    /// The part of the window's traffic that is in.
    pub part: f64,
    /// Whether counts in it are held apart.
    pub claimed: bool,
    /// Whether SDKs held something else than the plan decided.
    pub steered: bool,
    /// Whether from now on another part of the plans is served than of the plan before.
    pub turned: bool,
}

impl Kept<'_> {
    fn held(&self) -> f64 {
        self.due.held + self.lower_bound
    }

    /// By which part of what was kept the newest plan alone would have kept more or less.
    fn differs(&self) -> f64 {
        (self.due.newest - self.due.held).abs() / self.held().max(f64::MIN_POSITIVE)
    }
}

impl Trim {
    /// The correction of a plan that is used at a time when the clock multiplies the budget by `clock`.
    ///
    /// What outlying windows owe is no part of what is kept of the shares: it is meant to be kept, or not to be. Where SDKs
    /// are off by more than can be corrected, the balance says nothing of forecasts: it has gone to its bound.
    pub(crate) fn correction(&self, clock: f64, constants: &Constants) -> Correction {
        let wanted = 1.0 / self.compliance;
        let balance = if constants.bounded(wanted) == wanted {
            self.balance
        } else {
            1.0
        };
        let kept_part = self.compliance / (balance * clock);
        let is_sound = kept_part > 0.0 && kept_part.is_finite();
        Correction {
            factor: self.factor * clock,
            kept_part: if is_sound { kept_part } else { 1.0 },
        }
    }

    /// Learns from a window whose SDKs held `previous`; the budget from now on is `budget_now`.
    ///
    /// Late reports do not change what was learned: a window is scaled by the part that was reported. While
    /// reports are missing nothing is learned, and nothing is lost.
    pub(crate) fn after(
        self,
        previous: &Plan,
        kept: Kept<'_>,
        budget_now: f64,
        tuning: &Tuning,
    ) -> Self {
        let constants = &tuning.serve.trim;
        let this = self.tamed(constants);
        if previous.number == 0 || budget_now != previous.fleet.budget || kept.turned {
            // What SDKs hold was decided for another budget, kept as it was, or guessed.
            return Self {
                rest_windows: constants.rest_windows,
                ..this
            };
        }
        if kept.part < constants.covered || kept.claimed || kept.steered {
            return this;
        }
        if this.rest_windows > 0 {
            return Self {
                rest_windows: this.rest_windows - 1,
                ..this
            };
        }
        let compared = this.compared(previous, kept, constants);
        let binds = previous.fleet.level > 0.0 && !peaks::binds(previous, &tuning.share.peaks);
        let balanced = if binds {
            compared.balanced(previous, kept, tuning)
        } else {
            compared
        };
        balanced.combined(constants)
    }

    /// Moves the balance against the window's error, and sets aside what exceeds the usual.
    ///
    /// # Source
    /// An integral controller of the error, in the logarithm of the factor. It does not use the logarithm of the
    /// error, which would leave a bias where errors are skewed.
    fn balanced(self, previous: &Plan, kept: Kept<'_>, tuning: &Tuning) -> Self {
        let constants = &tuning.serve.trim;
        let fleet = &previous.fleet;
        let budget = kept.part * kept.tally.seconds * fleet.budget;
        let compliance = self.compliance;
        // Where the budget does not bind, only the plan before can have kept less than all that may be kept.
        let most = if fleet.level.is_finite() {
            kept.tally.offered
        } else {
            compliance * (kept.due.newest + kept.lower_bound)
        };
        let repayment = self.repayment(constants);
        let wanted = budget.min(most) * repayment;
        let error = (compliance * kept.held() - wanted) / budget;
        if !error.is_finite() {
            return self;
        }
        let outlying = constants.outlying_deviations * fleet.common.deviation(&tuning.estimate);
        let outlying = outlying.clamp(constants.outlying_least, constants.outlying_most);
        let taught = if kept.differs() > constants.changing {
            0.0
        } else {
            error.clamp(-outlying / (1.0 + outlying), outlying)
        };
        let repaid = (repayment - 1.0) * wanted / budget;
        let owed = self.owed + repaid + error - taught;
        Self {
            balance: constants.bounded(self.balance * (-constants.step * taught).exp()),
            owed: owed.clamp(-constants.owed_most, constants.owed_most),
            ..self
        }
    }

    /// Remembers what SDKs kept beside what they were to keep. A window that was to keep more than the budget counts
    /// no more than one that was to keep the budget, so a burst does not decide. One for which it matters which plan
    /// an SDK held says nothing of SDKs. SDKs behind a replica that is cut off hold an old plan, which nobody sees:
    /// so one window adds a bounded part to what is known.
    fn compared(self, previous: &Plan, kept: Kept<'_>, constants: &Constants) -> Self {
        let sampled = (kept.tally.sampled - kept.due.sampled_of_rest).max(0.0);
        let held = kept.held();
        if kept.differs() > constants.unclear {
            return self;
        }
        // What was sampled of the other requests is not known, or shows nothing.
        let due = held * kept.due.shown;
        if sampled <= 0.0 && (self.sampled <= 0.0 || due > constants.none_by_chance) {
            // Agents that report no sampled counts say nothing of a bias.
            return self;
        }
        let budget = kept.part * kept.tally.seconds * previous.fleet.budget;
        let weight = if held > budget { budget / held } else { 1.0 };
        let sampled = self.believed(sampled, due, constants);
        let remembered = 1.0 - 1.0 / constants.remembered_windows;
        let this = Self {
            sampled: remembered * self.sampled + weight * sampled,
            due: remembered * self.due + weight * due,
            ..self
        };
        let pace = constants.compliance_pace;
        let most = constants.compliance_most;
        let wanted = this.told(constants).clamp(1.0 / most, most) - self.compliance;
        Self {
            compliance: self.compliance + wanted.clamp(-pace, pace),
            ..this
        }
    }

    /// What a window says was sampled, cut to what is known of SDKs, give or take a part and chance.
    fn believed(&self, sampled: f64, due: f64, constants: &Constants) -> f64 {
        let known = if self.due > 0.0 {
            self.sampled / self.due
        } else {
            1.0
        };
        let chance = (constants.chance * due).sqrt();
        let least = due * (known - constants.compliance_outlying) - chance;
        let most = due * (known + constants.compliance_outlying) + chance;
        sampled.max(least).min(most)
    }

    /// The part that SDKs keep of what they are to keep. A deviation counts only where it exceeds chance.
    ///
    /// # Source
    /// The positive part of the estimator of W. James and C. Stein («Estimation with quadratic loss», 1961): of the
    /// deviation's square, only what exceeds its variance counts. Sampled counts scatter like a Poisson process.
    fn told(&self, constants: &Constants) -> f64 {
        if self.due <= 0.0 {
            return 1.0;
        }
        let off = self.sampled / self.due - 1.0;
        let variances = (self.due * off * off).max(f64::MIN_POSITIVE);
        1.0 + off * (1.0 - constants.chance / variances).max(0.0)
    }

    /// The factor by which outlying windows are made up for.
    fn repayment(&self, constants: &Constants) -> f64 {
        (-self.owed / constants.owed_windows).exp()
    }

    fn combined(self, constants: &Constants) -> Self {
        let whole = self.balance * self.repayment(constants);
        Self {
            factor: constants.bounded(whole / self.compliance),
            ..self
        }
    }

    /// Falls back to the default if the stored values are out of range, as in a damaged plan.
    fn tamed(self, constants: &Constants) -> Self {
        let count = |count: f64| count >= 0.0 && count.is_finite();
        let factor = |factor: f64| constants.bounded(factor) == factor;
        let sound = factor(self.factor)
            && factor(self.balance)
            && self.owed.abs() <= constants.owed_most
            && count(self.sampled)
            && count(self.due)
            && (1.0 / constants.compliance_most..=constants.compliance_most)
                .contains(&self.compliance);
        if sound { self } else { Self::default() }
    }
}

impl Constants {
    fn bounded(&self, factor: f64) -> f64 {
        factor.clamp(self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_known_at_the_bounds_too_and_a_damaged_trim_changes_nothing() {
        let kept_part = |balance, compliance, clock| {
            let trim = Trim {
                balance,
                compliance,
                ..Trim::default()
            };
            trim.correction(clock, &Constants::DEFAULT).kept_part
        };
        assert_eq!(kept_part(1.0, 1.0, 1.0), 1.0);
        assert_eq!(kept_part(1.25, 1.0, 0.5), 1.6);
        assert_eq!(kept_part(1.0, 0.85, 1.0), 0.85);
        assert_eq!(kept_part(1.25, 0.6, 1.0), 0.6);
        assert_eq!(kept_part(0.8, 2.0, 1.0), 2.0);
        for damaged in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(kept_part(damaged, 1.0, 1.0), 1.0, "{damaged}");
        }
        assert_eq!(kept_part(1.0, f64::NAN, 1.0), 1.0);
    }
}
