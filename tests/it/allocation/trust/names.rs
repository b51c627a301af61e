//! Names that never come back, and names that stay.

use super::*;
use weir::simulate::faults::{Mint, Rename};

/// The part of the traffic, and of the budget, that is new names'.
fn minted(names: usize, part: f64, budget: f64) -> (f64, f64, Seen) {
    let mint = Mint {
        names,
        part,
        intervals: EVENT..INTERVALS,
    };
    let mut run = steady();
    let (traffic, minted) = mint.mint(&run.traffic, 1, INTERVALS);
    run.traffic = Arc::new(traffic);
    run.faults.minted = vec![minted];
    run.policy = budget_alone(budget);
    run.warm_up = EVENT + 5;
    let played = play(&run, |_, _, _| {});
    let is_new = |place: usize| {
        let name = run.traffic.operations()[place].name.as_str();
        name.contains("minted")
    };
    let (mut offered, mut kept) = ((0, 0), (0, 0));
    for (place, (requests, sampled)) in played.operations.iter().enumerate() {
        offered.1 += requests;
        kept.1 += sampled;
        if is_new(place) {
            offered.0 += requests;
            kept.0 += sampled;
        }
    }
    let part = |(new, all): (u64, u64)| new as f64 / all as f64;
    (part(offered), part(kept), Seen::of(&run))
}

#[test]
fn names_that_never_come_back_take_no_more_than_their_part_of_the_traffic() {
    for (names, part) in [(10, 0.001), (100, 0.01)] {
        for budget in [BUDGET, 0.1 * BUDGET] {
            let (offered, kept, seen) = minted(names, part, budget);
            let mean = seen.mean(EVENT + 10);
            assert!(mean.abs() < 0.05, "{names} at {budget}: {mean}");
            assert!(
                kept < 1.5 * offered + 0.01,
                "{names} at {budget}: {kept} of {offered}"
            );
        }
    }
}

#[test]
fn a_deploy_of_new_names_is_right_after_two_plans() {
    for part in [0.3, 1.0] {
        let mut run = steady();
        let traffic = (*run.traffic).clone();
        let renames = vec![Rename { part, at: EVENT }];
        run.traffic = Arc::new(run.faults.rename(traffic, renames, 3));
        let seen = Seen::of(&run);
        let (over, under) = seen.extremes(EVENT..INTERVALS);
        assert!(over < 0.2 && under > -0.3, "{part}: {under} to {over}");
        seen.assert_kept(EVENT + 4, &format!("{part} renamed"));
        // A deploy says nothing of names that come later.
        let reserve = seen.plans[EVENT + 2].fleet.unseen_reserve;
        assert!(reserve < 0.03 * BUDGET, "{part}: {reserve} reserved");
    }
}

/// Two thousand names come once. That they fall silent says nothing of the traffic that goes on.
#[test]
fn names_that_come_once_do_not_pull_the_others_down() {
    use super::super::fleet::{again, agent, count, counts, next, policy};
    let policy = policy(BUDGET);
    let (busy, steady) = (900_000, 60_000);
    let window = |number: i64| {
        let mut operations = vec![count(1, steady), count(2, busy)];
        if number == 5 {
            operations.extend((0..2_000).map(|name| count(10 + name, 180)));
        }
        let offered = operations.iter().map(|count| count.offered).sum();
        counts(number, operations, vec![agent(1, offered)])
    };
    let mut plan = next(&Plan::genesis(&policy), &policy, &window(0));
    for number in 1..20 {
        plan = again(&plan, &policy, &window(number - 1), &window(number));
        let kept =
            |at: usize, offered: u64| plan.operations[at].probability * offered as f64 / 60.0;
        let kept = kept(0, steady) + kept(1, busy);
        assert!(kept < 1.05 * BUDGET, "window {number}: {kept}");
        assert!(plan.fleet.trend > -0.005, "{}", plan.fleet.trend);
    }
}
