//! Whether the fleet's SDKs apply what they are served, and when what was kept shows that they do not.
//!
//! The alerts `WeirProbabilitiesNotApplied` and `WeirBudgetMissed` have the same bounds, so the console, Weir's own alerts and Prometheus say the
//! same of the same windows.

/// The windows that are looked at.
pub const WINDOWS: usize = 15;

/// With fewer windows, nothing is said.
pub const WINDOWS_LEAST: usize = 10;

/// The part of what was due that does not matter.
const PART: f64 = 0.25;

/// The part of the budget that does not matter.
const PART_OF_BUDGET: f64 = 0.2;

/// How many standard deviations chance may explain. What is kept of `n` traces has one of `√n` at most.
const DEVIATIONS: f64 = 4.0;

/// Traces that do not matter, where a few were due.
const FEW: f64 = 10.0;

/// What was kept over several windows, and what was due by the probabilities that SDKs were served.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Kept {
    /// Windows of which both are known.
    pub windows: usize,
    /// Traces that were kept.
    pub kept: f64,
    /// Traces that were due.
    pub due: f64,
}

impl Kept {
    /// Adds a window.
    pub fn add(&mut self, kept: f64, due: f64) {
        self.windows += 1;
        self.kept += kept;
        self.due += due;
    }

    /// The part of what was due that was kept.
    #[must_use]
    pub fn part(&self) -> f64 {
        self.kept / self.due
    }

    /// Whether SDKs apply what they are served. None if too few windows say it, or nothing was due.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        let shows = self.windows >= WINDOWS_LEAST && self.due > 0.0;
        shows.then(|| self.is_within(PART))
    }

    /// Whether the budget was kept, if what was due is the budget.
    #[must_use]
    pub fn is_budget_kept(&self) -> bool {
        self.is_within(PART_OF_BUDGET)
    }

    /// Whether what was kept is within this part of what was due, and what chance explains.
    fn is_within(&self, part: f64) -> bool {
        let far = part * self.due + DEVIATIONS * self.due.sqrt() + FEW;
        (self.kept - self.due).abs() <= far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(windows: usize, kept: f64, due: f64) -> Kept {
        let mut of = Kept::default();
        (0..windows).for_each(|_| of.add(kept, due));
        of
    }

    #[test]
    fn one_window_says_nothing_and_chance_is_not_blamed_on_sdks() {
        assert_eq!(kept(1, 790.0, 1000.0).verdict(), None);
        assert_eq!(kept(WINDOWS_LEAST - 1, 0.0, 1000.0).verdict(), None);
        assert_eq!(kept(15, 790.0, 1000.0).verdict(), Some(true));
        assert_eq!(kept(15, 700.0, 1000.0).verdict(), Some(false));
        assert_eq!(kept(15, 1300.0, 1000.0).verdict(), Some(false));
        // Of 15 traces that were due, 30 may be chance.
        assert_eq!(kept(15, 2.0, 1.0).verdict(), Some(true));
        assert_eq!(kept(15, 4.0, 1.0).verdict(), Some(false));
        assert_eq!(kept(15, 5.0, 0.0).verdict(), None);
    }
}
