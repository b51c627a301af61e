//! The constants of what is [served](crate::tuning::Serve).

use super::constants;

constants! {
    /// Probabilities that stay.
    Deadband {
        /// A probability within this relative distance of its target stays. It matches the scatter of an
        /// operation's rate between windows, so most of what would move is noise. Shares that scatter within it
        /// have a fairness (Jain) of 0.99 or more. 0 lets every probability move.
        band: f64 = 0.15,
        /// The relative uncertainty of an operation with n requests in a window is this many times 1/√n.
        deviations: f64 = 0.5,
        /// The widest band, whatever the uncertainty.
        band_most: f64 = 0.5,
        /// How much less than their targets the kept probabilities may spend together, as a part of the budget.
        /// They never spend more.
        unspent_most: f64 = 0.003,
    }

    /// The correction of a lasting bias.
    Trim {
        /// The part of a window's relative error by which it moves the balance: half of a bias is corrected in 40
        /// windows. Each window's scatter moves it too: with twice of it, a recording that scatters by 16 % is held
        /// 1 % worse. 0 corrects nothing.
        step: f64 = 1.0 / 60.0,
        /// A window that kept more than the budget by this many times the usual error of forecasts is cut to it,
        /// and one that kept less alike; the rest is owed. So a step of all traffic moves the balance of a steady
        /// fleet by next to nothing, and a fleet with bursts learns from its bursts.
        outlying_deviations: f64 = 6.0,
        /// The least of that cut, as a part of the budget.
        outlying_least: f64 = 0.25,
        /// The most of it.
        outlying_most: f64 = 5.0,
        /// A window whose SDKs held plans that differ by more than this part of what they kept shows what a change of
        /// traffic costs, and no bias: all of its error is owed. A fade by half in each window differs by a half, a
        /// return by nearly all. With less, bursts teach nothing.
        changing: f64 = 0.4,
        /// What is owed is made up for over this many windows. With fewer, less is kept for hours after a step; not
        /// at all, and a recording with spikes keeps 1.5 % too much.
        owed_windows: f64 = 600.0,
        /// The most that can be owed, in windows of the budget: that is 3 % of the budget at a time.
        owed_most: f64 = 20.0,
        /// For how many windows what SDKs keep is remembered, beside what they are to keep. A change of theirs is
        /// seen later with more, and chance weighs more with fewer.
        remembered_windows: f64 = 120.0,
        /// A window tells what SDKs keep only if the newest plan alone would have kept this part more or less of it
        /// at most. With more, what SDKs are thought to hold in a step is taken for what they keep.
        unclear: f64 = 0.1,
        /// SDKs are corrected for when they are off by three standard deviations: by this many variances, squared.
        /// Infinite corrects nothing.
        chance: f64 = 9.0,
        /// How far the correction for it moves in one window at most. With more, an agent that says for some windows
        /// that it samples nothing moves the whole fleet.
        compliance_pace: f64 = 0.0035,
        /// A window that is further off than this from what SDKs kept before, and from chance, is cut to it. As much
        /// as the factor corrects: more is seen later, and with less the last of it is.
        compliance_outlying: f64 = 0.25,
        /// The correction assumes that SDKs keep at most twice what they are to keep, and at least half. Further off,
        /// the factor is at its bound anyway.
        compliance_most: f64 = 2.0,
        /// A window that was to sample this many traces samples none by chance in less than one of 10,000.
        none_by_chance: f64 = 10.0,
        /// The least factor. At a bound, SDKs do not apply what they are served.
        least: f64 = 0.8,
        /// The largest factor.
        most: f64 = 1.25,
        /// The number of windows to skip after a change of the budget: until SDKs have polled the answer to it.
        rest_windows: u32 = 3,
        /// A window of which less is in teaches nothing.
        covered: f64 = 0.3,
    }

    /// What repeats every hour.
    Clock {
        /// The number of visits that a slot's mean is made of: the hours that are remembered.
        visits: f64 = 6.0,
        /// The number of hours by which the gate judges.
        judged_hours: f64 = 2.0,
        /// The squared error that the gate begins with, so that evidence opens it.
        prior_error: f64 = 0.002,
        /// How many windows that error counts for.
        prior_windows: f64 = 10.0,
        /// The gate is open if the slots have lowered the squared error by this part. By chance they raise it.
        /// Infinite keeps it closed.
        open: f64 = 0.05,
        /// A window that keeps more than this many times what it was to keep counts as if it kept this.
        ratio_most: f64 = 10.0,
        /// The usual ratio is at least this; further off, SDKs do not apply what they are served.
        usual_least: f64 = 0.1,
        /// The most that a squared error counts for in the gate, so that one burst does not decide.
        squared_most: f64 = 1.0,
        /// The most that one counts for in the scatter, as a multiple of the usual.
        outlying: f64 = 25.0,
        /// The least usual squared error, for [`Clock::outlying`]: a scatter of 2 %.
        scatter_least: f64 = 4e-4,
        /// The least that a slot may expect, as a part of the usual.
        expected_least: f64 = 0.1,
        /// Less than this part of a window says nothing of it.
        covered: f64 = 0.3,
    }
}
