//! The constants of the [estimates](crate::tuning::Estimate).

use super::constants;

constants! {
    /// The rate of each operation.
    Operation {
        /// The relative scatter of an operation's true rate between windows, as recorded request rates per
        /// minute show it. The Poisson scatter of counts comes on top.
        noise: f64 = 0.15,
        /// The steady gain for counts so large that only [`Operation::noise`] matters. The common change is
        /// followed faster, so the rest may be smoothed more.
        gain_large: f64 = 0.35,
        /// A deviation of more than this many standard deviations is a step, not noise. Fewer makes steps of
        /// fat tails; with more, a renamed or exploding operation is followed late.
        step_deviations: f64 = 4.0,
        /// The relative scatter that a step must stand out from: twice [`Operation::noise`], since the estimate
        /// and the window both scatter. With four deviations, a large count steps when it changes by more than a
        /// factor of 2.2.
        step_noise: f64 = 0.3,
        /// A count of less than this part of what is expected of a whole window may be the edge of another window's:
        /// a report across the end of a window is spread evenly. Reports of a sixth of a window leave 3 to 4 % there.
        /// A second one in a row is believed, and each one of an operation that has not paused before. 0 believes
        /// each at once.
        edge: f64 = 0.1,
        /// The number of root requests a prior counts for when a new operation's own count is small.
        prior_count: f64 = 1.0,
        /// The exposure from which on an operation without a count had no traffic. Below it, its traffic may be
        /// where nothing has been reported yet.
        covered: f64 = 0.9,
        /// When a plan is used, in windows after the window it was learned from, on average. SDKs poll once an
        /// interval, so a plan serves the second half of the next window and the first half of the one after,
        /// both later by the grace. From 1 to 2.
        ahead: f64 = 1.65,
    }

    /// What all operations have in common.
    Common {
        /// The paces of the followers of the common course; see [`PACES`].
        paces: &'static [Pace] = &PACES,
        /// The number of windows over which errors are remembered: enough to tell the followers apart, few
        /// enough to notice within a quarter of an hour that traffic has begun to move. With 30, a ramp is
        /// followed 2 % worse and a steady fleet 1 % better.
        memory: f64 = 20.0,
        /// The common scatter assumed before any window has shown it, and the least that a jump must exceed.
        noise: f64 = 0.03,
        /// The number of windows that [`Common::noise`] counts for at the start.
        prior_windows: f64 = 5.0,
        /// A window further off than this many standard deviations is a jump, not noise: every follower
        /// restarts. Fewer restarts them by chance; with more, a step is followed like a ramp.
        jump_deviations: f64 = 5.0,
        /// A window is empty by chance less than once in a hundred if it is expected to hold this many root
        /// requests: ln 100.
        empty_by_chance: f64 = 4.6,
        /// The largest move of all estimates together, as a logarithm, that is taken out of their own gains; 0
        /// takes nothing out.
        own_most: f64 = 1.0,
        /// A squared error is cut to this many standard deviations, squared, so that one burst does not fill the
        /// memory.
        error_deviations: f64 = 4.0,
        /// The largest change of a fleet that is forecast per window, as a logarithm. Mornings change by 1 to
        /// 3 % a minute; more extrapolates a burst.
        trend_most: f64 = 0.05,
    }

    /// Whether an operation has traffic at all.
    Presence {
        /// The part by which one window moves the probability of staying: over about ten windows.
        learning: f64 = 0.1,
        /// The part by which one wake-up moves the probability of waking up: over about three silences. With more, one
        /// short pause counts for many long ones; with less, a new rhythm is learned late.
        waking: f64 = 0.3,
        /// The probability of waking up before any wake-up has been seen: an operation that was always on and
        /// falls silent has more likely been renamed or switched off than paused.
        wake: f64 = 0.02,
        /// However long an operation has been on without a gap, it is assumed to end in one window of a thousand.
        stay_most: f64 = 0.999,
        /// An operation that stays with less than this probability comes and goes: it has paused twice.
        pauses: f64 = 0.85,
        /// An empty window is empty by chance if the operation had traffic with at least this probability;
        /// otherwise the operation is silent.
        present: f64 = 0.5,
    }

    /// When an operation has traffic, if by the clock.
    Rhythm {
        /// The part by which the belief in a gap grows when an operation comes when due. Faster gains nothing:
        /// some operations that come by chance keep a gap for a while. 0 learns no gap.
        believed: f64 = 0.2,
        /// The factor on the belief when it does not come when due, or comes when not due.
        doubted: f64 = 0.8,
        /// Below this belief another gap is tried.
        tried: f64 = 0.5,
    }

    /// Names that never come again.
    Names {
        /// The part by which very many names of one window move what is known of how many come again.
        gain: f64 = 0.8,
        /// How many names count half of that: a single name says little.
        prior: f64 = 2.0,
        /// However many names never came again, the next one may, with this probability; 1 expects all of them.
        least: f64 = 0.001,
        /// If fewer of a service's new names than this come again, names with ids are among them: each keeps no
        /// more than its part of all traffic until it has come again.
        seldom: f64 = 0.5,
        /// The smoothing of what unseen operations cost: over about fifteen windows, because new operations come
        /// in deploys.
        unseen_gain: f64 = 0.07,
    }
}

/// How fast a follower of the common course follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The part of a window's deviation that the level takes up in the steady state.
    pub gain: f64,
    /// The part of the level's correction that the slope takes up; 0 for a level alone.
    pub slope_gain: f64,
    /// The factor that damps the slope from window to window.
    pub kept: f64,
}

const fn pace(gain: f64, slope_gain: f64, kept: f64) -> Pace {
    Pace {
        gain,
        slope_gain,
        kept,
    }
}

/// The number of followers.
pub const COURSES: usize = 3;

/// The paces of the followers: one for fleets that hardly change, one for steps, one for waves and ramps.
///
/// Chosen on synthetic fleets (steady, waves, steps) and on the table of agents among sets of two to seven paces. With
/// seven the mean errors are the same within 1 %. Without the slow one, fleets of agents have 12 % more error; without
/// the quick one, a return after a fade 17 %; without the slope, waves 82 %.
pub const PACES: [Pace; COURSES] = [
    pace(0.05, 0.0, 1.0),
    pace(0.75, 0.0, 1.0),
    pace(0.45, 0.29, 0.98),
];

impl Pace {
    /// The drift of the level per window, as a part of the noise's variance: the drift at which a
    /// random-walk filter has this steady gain.
    pub(crate) fn drift(&self) -> f64 {
        self.gain * self.gain / (1.0 - self.gain)
    }
}

impl Operation {
    /// How much a rate drifts for good from window to window, as a relative variance. In a random
    /// walk seen through noise of variance r the steady gain K satisfies drift = r·K²/(1−K); this is
    /// the drift at which the gain of large counts is [`Operation::gain_large`].
    pub(crate) fn drift(&self) -> f64 {
        self.noise * self.noise * self.gain_large * self.gain_large / (1.0 - self.gain_large)
    }

    /// No estimate weighs less than one from a single request.
    pub(crate) fn variance_most(&self) -> f64 {
        1.0 + self.noise * self.noise
    }

    /// The part of a plan's use that falls into the window after the next.
    pub(crate) fn later(&self) -> f64 {
        self.ahead - 1.0
    }
}
