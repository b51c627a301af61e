//! What is right in the next plan, and what new names and returns may cost.

use super::super::agents::World;
use super::{BUDGET, assert_kept, mean, of};

#[test]
fn from_cold_the_second_plan_keeps_the_budget() {
    let mut world = World::new(BUDGET);
    world.pass(|number| of(1..=4, number));
    assert_kept(world.pass(|number| of(1..=4, number)), 0.05);
    assert_kept(world.pass(|number| of(1..=4, number)), 0.05);
}

/// Names that hold an id come once, by a hundred a window.
#[test]
fn names_that_never_come_back_get_no_more_than_their_part_of_the_traffic() {
    for budget in [BUDGET, 0.5] {
        let mut world = World::settled(budget, 4, 6);
        let minted = |number: i64| {
            let mut traffic = of(1..=4, number);
            let first = 1_000 + 100 * number as u32;
            let names = (first..first + 100).map(|name| (1, name, 1));
            traffic[0].counts.extend(names);
            traffic
        };
        mean(&mut world, 10, minted);
        for _ in 0..20 {
            assert_kept(world.pass(minted), 0.05);
            let names = world.plan.operations.iter();
            let names = names.filter(|of| of.operation.0 >= 1_000);
            let share: f64 = names.clone().map(|of| of.share).sum();
            let offered: f64 = names.map(|of| of.offered).sum();
            let part = budget * offered / world.plan.fleet.offered;
            assert!(share <= 1.05 * part, "{share} of {part}");
        }
        let returned = world.plan.services[0].names_return;
        assert!(returned < 0.1, "{returned}");
    }
}

#[test]
fn a_deploy_of_many_real_names_is_ramped_within_two_windows() {
    let mut world = World::settled(BUDGET, 4, 6);
    let deployed = |number| {
        let mut traffic = of(1..=4, number);
        for sent in &mut traffic {
            sent.counts = (100..150).map(|name| (1, name, 132)).collect();
        }
        traffic
    };
    mean(&mut world, 2, deployed);
    for _ in 0..5 {
        assert_kept(world.pass(deployed), 0.05);
    }
}

/// Traffic fades to silence and comes back at once.
#[test]
fn a_return_after_a_fade_costs_what_was_set_aside_for_it() {
    for silent in [0, 1, 30] {
        let mut world = World::settled(4.0, 4, 12);
        for step in 1..=10 {
            let factor = 0.4_f64.powi(step);
            world.pass(|number| {
                of(1..=4, number)
                    .into_iter()
                    .map(|sent| sent.times(factor))
                    .collect()
            });
        }
        mean(&mut world, silent, |number| {
            of(1..=4, number)
                .into_iter()
                .map(|sent| sent.times(0.0))
                .collect()
        });
        let back = world.pass(|number| of(1..=4, number));
        // During the fade, the peak has faded a little as well.
        assert!(back <= 18.0, "{silent}: {back} budgets");
        let second = world.pass(|number| of(1..=4, number));
        assert!(
            back + second <= 30.0,
            "{silent}: {back} and {second} budgets"
        );
        world.pass(|number| of(1..=4, number));
        for _ in 0..5 {
            assert_kept(world.pass(|number| of(1..=4, number)), 0.05);
        }
    }
}

#[test]
fn ten_times_the_budget_is_served_in_the_next_plan() {
    let mut world = World::settled(2.0, 4, 6);
    world.policy.revision += 1;
    world.policy.budget = 20.0;
    world.pass(|number| of(1..=4, number));
    assert_kept(world.pass(|number| of(1..=4, number)), 0.02);
}
