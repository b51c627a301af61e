//! The common course of all operations.

use weir::allocation::{Plan, Policy};

use super::fleet::{again, agent, count, counts, next, policy};

const OPERATIONS: u32 = 100;
const USUAL: f64 = 1_000.0;

/// A fleet whose operations all do the same.
struct Choir {
    policy: Policy,
    plan: Plan,
}

impl Choir {
    fn new() -> Self {
        let policy = policy(10.0);
        Self {
            plan: Plan::genesis(&policy),
            policy,
        }
    }

    /// Plays a window with this many times the usual traffic. Returns the planned traffic as a
    /// multiple of the usual.
    fn pass(&mut self, times: f64) -> f64 {
        let offered = (USUAL * times) as u64;
        let number = self.plan.number as i64;
        let operations = (1..=OPERATIONS).map(|id| count(id, offered)).collect();
        let all = u64::from(OPERATIONS) * offered;
        let window = counts(number, operations, vec![agent(1, all)]);
        self.plan = next(&self.plan, &self.policy, &window);
        self.planned()
    }

    fn planned(&self) -> f64 {
        self.plan.fleet.offered * 60.0 / (USUAL * f64::from(OPERATIONS))
    }

    /// Plays windows that scatter by this much, without a pattern that could be followed. Returns
    /// the largest deviation from the usual in the plans of the second half.
    fn scatter(&mut self, windows: u32, by: f64) -> f64 {
        let mut furthest = 0.0_f64;
        for window in 0..windows {
            // The golden ratio fills the interval evenly and never repeats.
            let place = (f64::from(window) * 0.618_033_988_75).fract();
            let planned = self.pass(1.0 + by * (2.0 * place - 1.0));
            if window >= windows / 2 {
                furthest = furthest.max((planned - 1.0).abs());
            }
        }
        furthest
    }
}

#[test]
fn a_fleet_at_rest_is_planned_for_steadily_however_much_it_scatters() {
    for by in [0.01, 0.05, 0.15] {
        let furthest = Choir::new().scatter(80, by);
        assert!(furthest < by / 5.0, "{furthest} of {by}");
    }
}

#[test]
fn a_fleet_that_scatters_and_then_moves_is_followed_within_a_few_windows() {
    for by in [0.01, 0.05] {
        let mut choir = Choir::new();
        choir.scatter(60, by);
        // A change that no single window can prove.
        let change = 1.0 + 2.0 * by;
        let planned: Vec<f64> = (0..12).map(|_| choir.pass(change)).collect();
        let off = |planned: f64| (planned / change - 1.0).abs() / (2.0 * by);
        assert!(off(planned[5]) < 0.35, "{by}: {planned:?}");
        assert!(off(planned[11]) < 0.2, "{by}: {planned:?}");
    }
}

#[test]
fn a_jump_is_followed_at_once_and_what_was_known_of_the_noise_stays() {
    let mut choir = Choir::new();
    choir.scatter(60, 0.05);
    let planned = choir.pass(1.5);
    assert!((planned / 1.5 - 1.0).abs() < 0.01, "{planned}");
    // After the second window, one window of the new level is half of what is known.
    let planned = choir.pass(1.5 * 1.05);
    assert!(planned > 1.5 * 1.01 && planned < 1.5 * 1.05, "{planned}");
}

#[test]
fn names_that_all_change_at_once_are_planned_for_as_they_count() {
    let mut choir = Choir::new();
    choir.scatter(40, 0.05);
    let renamed = (1..=OPERATIONS)
        .map(|id| count(1_000 + id, 1_000))
        .collect();
    let all = u64::from(OPERATIONS) * 1_000;
    let window = counts(choir.plan.number as i64, renamed, vec![agent(1, all)]);
    let plan = next(&choir.plan, &choir.policy, &window);
    let new = plan
        .operations
        .iter()
        .filter(|plan| plan.operation.0 > 1_000);
    for plan in new {
        assert!(
            (plan.offered * 60.0 / 1_000.0 - 1.0).abs() < 0.1,
            "{plan:?}"
        );
    }
}

#[test]
fn a_late_window_is_followed_as_if_it_had_come_in_time() {
    let mut choir = Choir::new();
    choir.scatter(30, 0.05);
    let number = choir.plan.number as i64;
    let all = |number, offered| {
        let operations = (1..=OPERATIONS).map(|id| count(id, offered)).collect();
        let total = u64::from(OPERATIONS) * offered;
        counts(number, operations, vec![agent(1, total)])
    };
    let (partly, whole, last) = (all(number, 900), all(number, 1_100), all(number + 1, 1_100));
    let in_time = next(&choir.plan, &choir.policy, &whole);
    let in_time = next(&in_time, &choir.policy, &last);
    let late = next(&choir.plan, &choir.policy, &partly);
    let late = again(&late, &choir.policy, &whole, &last);
    assert_eq!(late.fleet.common, in_time.fleet.common);
    assert_eq!(late.fleet.offered, in_time.fleet.offered);
}

#[test]
fn a_state_that_is_none_is_read_as_none() {
    let mut sound = Choir::new();
    sound.scatter(30, 0.05);
    for wrong in [f64::NAN, f64::INFINITY, -1e300, 1e300] {
        for place in 0..7 {
            let mut choir = Choir {
                policy: sound.policy.clone(),
                plan: sound.plan.clone(),
            };
            let common = &mut choir.plan.fleet.common;
            let course = &mut common.courses[1];
            match place {
                0 => common.windows = wrong,
                1 => common.sampling = wrong,
                2 => course.level = wrong,
                3 => course.slope = wrong,
                4 => course.variance = wrong,
                5 => course.later = wrong,
                _ => course.error = wrong,
            }
            let planned = choir.pass(1.0);
            let next = choir.plan.fleet.common;
            // A large variance does no harm.
            assert!((planned - 1.0).abs() < 0.1, "{wrong} at {place}: {planned}");
            assert!(next.courses.iter().all(|course| course.error.is_finite()));
        }
    }
}

#[test]
fn enormous_counts_and_none_leave_a_state_that_goes_on() {
    let mut choir = Choir::new();
    choir.scatter(30, 0.05);
    for times in [1e12, 0.0, 1.0, 1e-3, 1e12, 1e-3] {
        let planned = choir.pass(times);
        assert!(planned.is_finite() && planned >= 0.0, "{planned}");
    }
    for _ in 0..5 {
        choir.pass(1.0);
    }
    assert!((choir.planned() - 1.0).abs() < 0.05, "{}", choir.planned());
}

/// A hundred timers that fire together every fifth minute: their cost is planned for the windows in
/// which plans meet them.
#[test]
fn timers_that_fire_together_are_planned_for_when_they_are_due() {
    let policy = policy(10.0);
    let mut plan = Plan::genesis(&policy);
    let mut offered = Vec::new();
    for number in 0..250 {
        let mut operations = vec![count(1, 6_000)];
        if number % 5 == 0 {
            operations.extend((2..=101).map(|id| count(id, 1)));
        }
        let window = counts(number, operations, vec![agent(1, 6_000)]);
        plan = next(&plan, &policy, &window);
        let timers = plan.operations.iter().filter(|plan| plan.operation.0 > 1);
        offered.push(timers.map(|plan| plan.offered * 60.0).sum::<f64>());
    }
    let last = &offered[245..];
    // A plan is used by a third in the window after it, and by two thirds in the one after that.
    for (place, expected) in [0.0, 0.0, 0.0, 65.0, 35.0].into_iter().enumerate() {
        assert!((last[place] - expected).abs() < 5.0, "{last:?}");
    }
}
