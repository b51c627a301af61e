//! Learns what repeats every hour, and plans for it.
//!
//! Timers fire together: at the full hour, at half past, every five minutes. The estimates see such a burst when
//! it is there, and overestimate the windows after it, hour by hour. What a plan would have kept of a window,
//! over what it was to keep, shows both. Its mean for each time of the hour is what the budget is divided by for
//! that time: the trim's brother for what comes back.
//!
//! Estimates do not know of it, so nothing can oscillate, and where nothing repeats it changes nothing. A time of
//! the hour counts only if it stands out from chance, and all of them only if they have lowered the error of
//! the last hours.

use crate::tuning::serve::Clock as Tuning;
use crate::{Plan, Timestamp, Window};

/// The most times of an hour that are told apart: those of windows of ten seconds. Of shorter windows, several
/// share one.
pub const SLOTS: usize = 360;

const HOUR_MILLISECONDS: i64 = 3_600_000;

/// What repeats every hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// The length of the windows it was learned from; 0 before the first.
    pub milliseconds: i64,
    /// How many windows it was learned from.
    pub windows: f64,
    /// The mean of what was kept over what was to be kept, over the last hour.
    pub usual: f64,
    /// The variance of a window around its slot's mean.
    pub scatter: f64,
    /// The mean squared error of the last hours with the slots, and without.
    pub error_with: f64,
    /// The same without the slots.
    pub error_without: f64,
    /// For each time of the hour, how far it deviates from the usual, as a part of it.
    pub slots: [f32; SLOTS],
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(0, &Tuning::DEFAULT)
    }
}

impl Clock {
    /// A clock that has learned nothing, of windows of this length.
    fn new(milliseconds: i64, tuning: &Tuning) -> Self {
        Self {
            milliseconds,
            windows: 0.0,
            usual: 1.0,
            scatter: 0.01,
            error_with: tuning.prior_error,
            error_without: tuning.prior_error,
            slots: [0.0; SLOTS],
        }
    }
}

impl Clock {
    /// Learns from a window that followed the one of `previous`: served that plan, it would have kept `due` of
    /// its counts, in traces per second. The counts are of the `part` of its traffic that is in.
    ///
    /// After a gap nothing is learned, and nothing is lost either, because slots go by the time of the hour. With
    /// another interval everything is learned again.
    pub(crate) fn after(
        self,
        previous: &Plan,
        window: Window,
        due: f64,
        part: f64,
        tuning: &Tuning,
    ) -> Self {
        let milliseconds = window.milliseconds();
        let this = if self.milliseconds == milliseconds && self.is_sound(tuning) {
            self
        } else {
            Self::new(milliseconds, tuning)
        };
        let fleet = &previous.fleet;
        let planned = previous.aimed_sampled() - fleet.lower_bound_cost;
        let follows = previous.number > 1 && previous.window.end == window.start;
        if !follows || milliseconds <= 0 || planned <= 0.0 || part < tuning.covered {
            return this;
        }
        let ratio = due / part / planned;
        if ratio.is_finite() {
            this.followed(window.end, ratio.clamp(0.0, tuning.ratio_most), tuning)
        } else {
            this
        }
    }

    /// What the budget is multiplied by for when a plan made after a window is used: `later` is the part of the
    /// use that falls into the window after the next.
    pub(crate) fn factor(&self, window: Window, later: f64, tuning: &Tuning) -> f64 {
        let milliseconds = window.milliseconds();
        if self.milliseconds != milliseconds || milliseconds <= 0 || !self.is_sound(tuning) {
            return 1.0;
        }
        let gate = self.gate(tuning);
        let expected = |windows: i64| {
            let end = window
                .end
                .0
                .saturating_add(milliseconds.saturating_mul(windows));
            self.expected(Timestamp(end), tuning).powf(gate)
        };
        1.0 / ((1.0 - later) * expected(1) + later * expected(2))
    }

    fn followed(mut self, end: Timestamp, ratio: f64, tuning: &Tuning) -> Self {
        let hour = self.windows_an_hour();
        self.usual += (ratio - self.usual) / (self.windows + 1.0).min(hour);
        let seen = ratio / self.usual.max(tuning.usual_least);
        let judged = self.windows - hour;
        let judged_most = tuning.judged_hours * hour;
        if judged >= 0.0 {
            let memory = (judged + 1.0 + tuning.prior_windows).min(judged_most);
            let squared = |off: f64| (off * off).min(tuning.squared_most);
            let with = squared(seen / self.expected(end, tuning) - 1.0);
            self.error_with += (with - self.error_with) / memory;
            self.error_without += (squared(seen - 1.0) - self.error_without) / memory;
        }
        let visits = self.visits(tuning);
        let slot = self.slot(end);
        let off = seen - 1.0 - f64::from(self.slots[slot]);
        if visits >= 1.0 {
            // Two hours have fewer windows than that if a window is longer than 12 minutes.
            let most = judged_most.max(tuning.prior_windows);
            let memory = (judged + tuning.prior_windows).clamp(tuning.prior_windows, most);
            let squared = (off * off).min(tuning.outlying * self.scatter.max(tuning.scatter_least));
            self.scatter += (squared - self.scatter) / memory;
        }
        self.slots[slot] += (off / (visits + 1.0).min(tuning.visits)) as f32;
        self.windows += 1.0;
        self
    }

    /// What is expected of a window that ends then, over the usual.
    ///
    /// # Source
    /// The positive part of the estimator of W. James and C. Stein («Estimation with quadratic loss», 1961), slot
    /// by slot: of a deviation's square, only what exceeds its variance counts.
    fn expected(&self, end: Timestamp, tuning: &Tuning) -> f64 {
        let deviation = f64::from(self.slots[self.slot(end)]);
        let visits = self.visits(tuning).max(1.0);
        // The mean of the first visits, then a moving mean of that many.
        let visits = if visits < tuning.visits {
            visits
        } else {
            2.0 * tuning.visits - 1.0
        };
        let square = (deviation * deviation).max(f64::MIN_POSITIVE);
        let part = (1.0 - self.scatter / visits / square).max(0.0);
        (1.0 + part * deviation).max(tuning.expected_least)
    }

    /// How far the slots are believed, in [0, 1].
    fn gate(&self, tuning: &Tuning) -> f64 {
        let better = 1.0 - self.error_with / self.error_without;
        (better / tuning.open).clamp(0.0, 1.0)
    }

    /// How often each slot was visited, up to [`Tuning::visits`].
    fn visits(&self, tuning: &Tuning) -> f64 {
        (self.windows / self.windows_an_hour())
            .floor()
            .min(tuning.visits)
    }

    fn windows_an_hour(&self) -> f64 {
        self.slots_an_hour() as f64
    }

    fn slots_an_hour(&self) -> i64 {
        (HOUR_MILLISECONDS / self.milliseconds.max(1)).clamp(1, SLOTS as i64)
    }

    /// The slot of a window that ends then: the time of the hour at which it begins.
    fn slot(&self, end: Timestamp) -> usize {
        let start = end.0.saturating_sub(self.milliseconds);
        let passed = start.rem_euclid(HOUR_MILLISECONDS);
        (passed * self.slots_an_hour() / HOUR_MILLISECONDS) as usize
    }

    /// Whether every value is in range; in a damaged plan one may not be.
    fn is_sound(&self, tuning: &Tuning) -> bool {
        let ratio_most = tuning.ratio_most;
        let error = |error: f64| error > 0.0 && error <= tuning.squared_most;
        (0.0..f64::INFINITY).contains(&self.windows)
            && (0.0..=ratio_most).contains(&self.usual)
            && (0.0..=tuning.outlying * ratio_most * ratio_most).contains(&self.scatter)
            && error(self.error_with)
            && error(self.error_without)
            && self.slots.iter().all(|slot| slot.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inputs, OperationCount, OperationId, Policy, ServiceId, WindowCounts, next_plan};

    const LATER: f64 = 0.65;
    const BUDGET: f64 = 10.0;
    const OPERATIONS: u32 = 20;

    fn window(number: i64, milliseconds: i64) -> Window {
        Window {
            start: Timestamp(number * milliseconds),
            end: Timestamp((number + 1) * milliseconds),
        }
    }

    #[test]
    fn windows_that_are_longer_than_a_slot_are_followed_too() {
        let policy = Policy::of_budget(BUDGET);
        for milliseconds in [720_000, 900_000, HOUR_MILLISECONDS, 24 * HOUR_MILLISECONDS] {
            let mut plan = Plan::genesis(&policy);
            for number in 0..20 {
                let operation = OperationCount {
                    operation: OperationId(1),
                    service: ServiceId(1),
                    overflow: false,
                    offered: milliseconds as u64,
                    sampled: milliseconds as u64 / 100,
                };
                let counts = WindowCounts {
                    window: window(number, milliseconds),
                    operations: vec![operation],
                    ..WindowCounts::default()
                };
                plan = next_plan(&plan, &policy, Inputs::new(1, &[counts]));
            }
            let factor = plan
                .fleet
                .clock
                .factor(plan.window, LATER, &Tuning::DEFAULT);
            assert!((0.5..2.0).contains(&factor), "{milliseconds}: {factor}");
        }
    }

    /// Each window's error of what is kept, as a part of the budget, where the plan before a window serves 35 % of
    /// it and the one before that the rest; and the last plan.
    fn played(windows: i64, count: impl Fn(i64) -> u64) -> (Vec<f64>, Plan) {
        let policy = Policy::of_budget(BUDGET);
        let mut plan = Plan::genesis(&policy);
        let mut served = [policy.initial_probability; 2];
        let mut errors = Vec::new();
        for number in 0..windows {
            let window = window(number, 60_000);
            let offered = count(number);
            let probability = (1.0 - LATER) * served[0] + LATER * served[1];
            let kept = probability * (offered * u64::from(OPERATIONS)) as f64;
            errors.push(kept / 60.0 / BUDGET - 1.0);
            let operations = (1..=OPERATIONS).map(|id| OperationCount {
                operation: OperationId(id),
                service: ServiceId(1),
                overflow: false,
                offered,
                sampled: (probability * offered as f64) as u64,
            });
            let counts = WindowCounts {
                window,
                operations: operations.collect(),
                ..WindowCounts::default()
            };
            plan = next_plan(&plan, &policy, Inputs::new(1, &[counts]));
            served = [plan.operations[0].probability, served[0]];
        }
        (errors, plan)
    }

    #[test]
    fn timers_that_fire_on_the_hour_are_foreseen_after_a_few_hours() {
        let (errors, _) = played(480, |number| match number % 60 {
            0 => 9000,
            30 => 6000,
            _ => 3000,
        });
        let square = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>();
        let worst = |errors: &[f64]| errors.iter().copied().fold(0.0, f64::max);
        let (first, last) = (&errors[10..70], &errors[420..]);
        assert!(square(last) < 0.4 * square(first), "{first:?} {last:?}");
        assert!(worst(last) < 0.5 * worst(first), "{first:?} {last:?}");
    }

    #[test]
    fn where_nothing_repeats_it_changes_nothing() {
        // A period of 47 windows shifts from hour to hour.
        let (_, plan) = played(480, |number| if number % 47 < 3 { 6000 } else { 3000 });
        for ahead in 480..540 {
            let factor = plan
                .fleet
                .clock
                .factor(window(ahead, 60_000), LATER, &Tuning::DEFAULT);
            assert!((factor - 1.0).abs() < 0.02, "{factor}");
        }
    }

    /// A clock that has learned for hours that the first window of an hour keeps three times its budget.
    fn learned() -> Clock {
        let mut clock = Clock {
            milliseconds: 60_000,
            ..Clock::default()
        };
        for number in 0..480 {
            let ratio = if number % 60 == 0 { 3.0 } else { 1.0 };
            clock = clock.followed(window(number, 60_000).end, ratio, &Tuning::DEFAULT);
        }
        clock
    }

    #[test]
    fn a_gap_shifts_nothing_and_another_interval_begins_anew() {
        let clock = learned();
        // The plan after the last window but one of an hour serves the first of the next in its later part.
        assert!(clock.factor(window(58, 60_000), LATER, &Tuning::DEFAULT) < 0.5);
        let after_a_gap = window(6000 * 60 + 58, 60_000);
        let previous = Plan {
            number: 7,
            window: window(100, 60_000),
            ..Plan::default()
        };
        let skipped = clock.after(&previous, after_a_gap, 1.0, 1.0, &Tuning::DEFAULT);
        assert_eq!(skipped, clock);
        assert_eq!(
            skipped.factor(after_a_gap, LATER, &Tuning::DEFAULT),
            clock.factor(window(58, 60_000), LATER, &Tuning::DEFAULT)
        );
        let changed = clock.after(&previous, window(1000, 30_000), 1.0, 1.0, &Tuning::DEFAULT);
        assert_eq!(changed.windows, 0.0);
        assert_eq!(
            clock.factor(window(117, 30_000), LATER, &Tuning::DEFAULT),
            1.0
        );
    }

    #[test]
    fn what_a_damaged_plan_holds_is_not_believed() {
        let sound = learned();
        let mut slots = sound.slots;
        slots[7] = f32::NAN;
        let damaged = [
            Clock { slots, ..sound },
            Clock {
                error_with: f64::NAN,
                ..sound
            },
            Clock {
                scatter: -1.0,
                ..sound
            },
            Clock {
                windows: f64::INFINITY,
                ..sound
            },
        ];
        for clock in damaged {
            assert_eq!(
                clock.factor(window(58, 60_000), LATER, &Tuning::DEFAULT),
                1.0
            );
            let next = clock.after(
                &Plan::default(),
                window(59, 60_000),
                1.0,
                1.0,
                &Tuning::DEFAULT,
            );
            assert_eq!(next.windows, 0.0);
        }
    }

    #[test]
    fn any_length_of_window_has_a_slot() {
        for milliseconds in [
            1,
            999,
            5_000,
            10_000,
            60_000,
            3_600_000,
            90_000_000,
            i64::MAX,
        ] {
            let clock = Clock {
                milliseconds,
                ..Clock::default()
            };
            for end in [i64::MIN, -1, 0, 1_234_567_890, i64::MAX] {
                assert!(clock.slot(Timestamp(end)) < SLOTS);
                let window = Window {
                    start: Timestamp(end.saturating_sub(milliseconds)),
                    end: Timestamp(end),
                };
                assert_eq!(clock.factor(window, LATER, &Tuning::DEFAULT), 1.0);
            }
        }
    }
}
