//! Which counts are believed: each state of an agent, and what leads from one to the next.

mod at_once;
mod claims;

use weir::allocation::{AgentId, Binding, Hold, OperationId, Plan};

use super::agents::{NEVER, Sent, World, sent};

const BUDGET: f64 = 10.0;

/// The mean of some windows of what four agents keep.
fn mean(world: &mut World, windows: u32, mut traffic: impl FnMut(i64) -> Vec<Sent>) -> f64 {
    let kept = (0..windows).map(|_| world.pass(&mut traffic));
    kept.sum::<f64>() / f64::from(windows)
}

/// The reports of these agents in time.
fn of(agents: impl IntoIterator<Item = u64>, number: i64) -> Vec<Sent> {
    let agents = agents.into_iter();
    agents.map(|agent| sent(agent, number)).collect()
}

/// Checks that the budget is kept, give or take this part of it.
#[track_caller]
fn assert_kept(kept: f64, within: f64) {
    assert!((kept - 1.0).abs() <= within, "{kept} of the budget");
}

fn probabilities(plan: &Plan) -> Vec<(OperationId, f64)> {
    let operations = plan.operations.iter();
    operations
        .map(|of| (of.operation, of.probability))
        .collect()
}

#[test]
fn an_agent_is_new_until_it_reports_again() {
    let mut world = World::new(BUDGET);
    world.pass(|number| of(1..=4, number));
    assert!(world.plan.agents.iter().all(|state| !state.returned));
    world.pass(|number| of(1..=4, number));
    assert!(world.plan.agents.iter().all(|state| state.returned));
    assert_eq!(world.plan.agents.len(), 4);
    let rates = world.plan.rates.iter().map(|of| of.rate);
    assert!(rates.clone().all(|rate| rate == 110.0), "{rates:?}");
}

#[test]
fn who_is_late_by_habit_is_waited_for_and_not_missing() {
    for windows in 1..=3 {
        let mut world = World::new(BUDGET);
        let late = |number| (1..=4).map(move |agent| sent(agent, number).late(windows));
        mean(&mut world, 6, |number| late(number).collect());
        for _ in 0..10 {
            assert_kept(world.pass(|number| late(number).collect()), 0.05);
            let figures = world.plan.fleet;
            assert_eq!((figures.hold, figures.completeness), (Hold::None, 1.0));
            assert_eq!(figures.covered, 0.0, "nothing of the newest window is in");
        }
        let state = world.agent(1).expect("is known");
        assert!(
            (f64::from(state.habit) - windows as f64).abs() < 0.1,
            "{state:?}"
        );
        assert_eq!(state.missing_windows, 0);
        let read = u32::try_from(windows).expect("is small") + 1;
        assert!((read..=read + 1).contains(&world.plan.fleet.windows_read));
        // Whatever changes is learned as late as it is told, and no later.
        let halved = |number| late(number).map(|sent| sent.times(0.5));
        let learned = windows as u32 + 2;
        mean(&mut world, learned, |number| halved(number).collect());
        assert_kept(world.pass(|number| halved(number).collect()), 0.1);
    }
}

#[test]
fn some_late_and_some_in_time_are_each_read_by_their_habit() {
    let mut world = World::new(BUDGET);
    let mixed = |number| (1..=4).map(move |agent| sent(agent, number).late(agent as i64 - 1));
    mean(&mut world, 8, |number| mixed(number).collect());
    for _ in 0..10 {
        assert_kept(world.pass(|number| mixed(number).collect()), 0.05);
        let figures = world.plan.fleet;
        assert_eq!((figures.hold, figures.completeness), (Hold::None, 1.0));
        assert!((figures.covered - 0.25).abs() < 0.02, "{figures:?}");
    }
}

#[test]
fn who_is_later_than_usual_is_missing_and_raises_nothing() {
    for silent in 1..=3 {
        let mut world = World::settled(BUDGET, 4, 6);
        let part = silent as f32 / 4.0;
        for windows in 1..=60 {
            let before = world.plan.clone();
            let kept = world.pass(|number| {
                let lost = (1..=silent).map(|agent| sent(agent, number).lost());
                lost.chain(of(silent + 1..=4, number)).collect()
            });
            assert_kept(kept, 0.05);
            let state = world.agent(1).expect("is known");
            assert_eq!(state.missing_windows, windows);
            let service = world.plan.services[0];
            assert!((service.heard - (1.0 - part)).abs() < 0.01, "{service:?}");
            assert_eq!(world.plan.fleet.hold, Hold::None);
            let rises = 1.0 / f64::from(part) * 1.01;
            for (new, old) in world.plan.operations.iter().zip(&before.operations) {
                assert!(new.probability <= rises * old.probability, "{new:?}");
            }
        }
    }
}

/// Half of the agents are missing. What the others count falls to a tenth: nothing says that the rest did.
#[test]
fn a_raise_is_limited_by_what_the_missing_may_still_count() {
    let mut world = World::settled(BUDGET, 4, 6);
    let half = |number| {
        let lost = of(1..=2, number).into_iter().map(Sent::lost);
        let heard = of(3..=4, number).into_iter().map(|sent| sent.times(0.1));
        lost.chain(heard).collect()
    };
    // A fall is to be confirmed by a second window.
    world.pass(half);
    for _ in 0..2 {
        let before = probabilities(&world.plan);
        world.pass(half);
        for ((_, before), plan) in before.into_iter().zip(&world.plan.operations) {
            assert_eq!(plan.binding, Binding::RaiseLimit, "{plan:?}");
            let raised = plan.probability / before;
            assert!((raised / 2.0 - 1.0).abs() < 0.02, "{raised} {plan:?}");
        }
    }
}

#[test]
fn a_service_that_is_wholly_unheard_keeps_its_probabilities_and_the_rest_goes_on() {
    let mut world = World::new(BUDGET);
    let traffic = |number, heard: bool, factor: f64| {
        let other = Sent {
            counts: vec![(2, 3, 6_000)],
            arrives: if heard { number } else { NEVER },
            ..sent(2, number)
        };
        vec![sent(1, number).times(factor), other]
    };
    mean(&mut world, 6, |number| traffic(number, true, 1.0));
    let before = world.served(2, 3);
    for _ in 0..20 {
        world.pass(|number| traffic(number, false, 0.2));
        assert_eq!(world.served(2, 3), before);
        let services = &world.plan.services;
        assert_eq!((services[0].heard, services[1].heard), (1.0, 0.0));
    }
    let unheard = world.plan.operations.last().expect("is known");
    assert_eq!(unheard.binding, Binding::Hold);
    assert_kept(world.pass(|number| traffic(number, false, 0.2)), 0.05);
}

#[test]
fn a_queue_that_comes_back_at_once_counts_in_its_own_windows() {
    let mut world = World::settled(BUDGET, 4, 6);
    let until = 16;
    let traffic = |number| {
        let queued = Sent {
            arrives: until.max(number),
            ..sent(1, number)
        };
        [vec![queued], of(2..=4, number)].concat()
    };
    for number in 6..until {
        assert_kept(world.pass(traffic), 0.05);
        let missing = world.agent(1).expect("is known").missing_windows;
        assert_eq!(i64::from(missing), number - 5);
    }
    for _ in 0..4 {
        assert_kept(world.pass(traffic), 0.02);
        let state = world.agent(1).expect("is known");
        assert_eq!(state.missing_windows, 0);
        assert!(state.habit < 1.5, "one outage is no habit: {state:?}");
        assert_eq!(world.plan.fleet.completeness, 1.0);
    }
}

#[test]
fn who_comes_back_without_its_queue_is_heard_at_once() {
    let mut world = World::settled(BUDGET, 4, 6);
    mean(&mut world, 10, |number| {
        [vec![sent(1, number).lost()], of(2..=4, number)].concat()
    });
    assert_eq!(world.plan.fleet.completeness, 0.75);
    for _ in 0..4 {
        assert_kept(world.pass(|number| of(1..=4, number)), 0.02);
        assert_eq!(world.plan.fleet.completeness, 1.0);
    }
}

#[test]
fn agents_that_restart_under_new_names_replace_the_old_ones() {
    for renamed in [1, 2, 4] {
        let mut world = World::settled(BUDGET, 4, 6);
        for _ in 0..10 {
            let kept = world.pass(|number| {
                let new = of(11..11 + renamed, number);
                [new, of(renamed + 1..=4, number)].concat()
            });
            assert_kept(kept, 0.05);
            let figures = world.plan.fleet;
            assert_eq!((figures.hold, figures.completeness), (Hold::None, 1.0));
        }
        assert!(world.agent(1).is_none(), "{:?}", world.plan.agents);
        assert_eq!((world.plan.agents.len(), world.plan.rates.len()), (4, 4));
    }
}

/// A new agent takes over little by little, so its usual rate grows manyfold. That says nothing of the traffic of the
/// one that is gone: what is expected of it stays.
#[test]
fn who_is_missing_does_not_grow_with_its_successor() {
    let mut world = World::settled(BUDGET, 1, 30);
    let usual = |world: &World| {
        let rates = world.plan.rates.iter();
        let mut rates = rates.filter(|of| of.agent == AgentId(1));
        rates.next().expect("it is missing").rate
    };
    world.pass(|number| vec![sent(2, number).times(0.06)]);
    let before = usual(&world);
    for part in [0.12, 0.25, 0.5].into_iter().chain([1.0; 10]) {
        world.pass(|number| vec![sent(2, number).times(part)]);
        assert!(usual(&world) <= before, "{}", usual(&world));
    }
    let heard = world.plan.services[0].heard;
    assert!(heard > 0.45, "half of the service is there: {heard}");
}

#[test]
fn traffic_that_moved_to_the_other_agents_is_not_missed() {
    let mut world = World::settled(BUDGET, 4, 6);
    for window in 0..10 {
        let kept = world.pass(|number| {
            let others = of(3..=4, number).into_iter();
            others.map(|sent| sent.times(2.0)).collect()
        });
        if window >= 2 {
            assert_kept(kept, 0.02);
            assert_eq!(world.plan.fleet.completeness, 1.0);
        }
    }
    assert!(world.agent(1).is_none(), "{:?}", world.plan.agents);
}

#[test]
fn who_says_that_a_report_is_its_last_takes_its_traffic_with_it() {
    let mut world = World::settled(BUDGET, 4, 6);
    world.pass(|number| {
        let mut traffic = of(1..=4, number);
        traffic[..2].iter_mut().for_each(|sent| sent.last = true);
        traffic
    });
    for window in 0..8 {
        let kept = world.pass(|number| of(3..=4, number));
        let figures = world.plan.fleet;
        assert_eq!((figures.hold, figures.completeness), (Hold::None, 1.0));
        if window >= 2 {
            assert_kept(kept, 0.05);
        }
    }
    assert!(world.agent(1).is_none(), "{:?}", world.plan.agents);
}

#[test]
fn who_is_missing_for_a_day_is_forgotten() {
    let mut world = World::settled(BUDGET, 2, 6);
    mean(&mut world, 1440, |number| of(1..=1, number));
    assert_eq!(world.plan.fleet.completeness, 0.5);
    mean(&mut world, 5, |number| of(1..=1, number));
    assert!(world.agent(2).is_none(), "{:?}", world.plan.agents);
    assert_eq!(world.plan.fleet.completeness, 1.0);
    assert_kept(world.pass(|number| of(1..=1, number)), 0.05);
}

#[test]
fn agents_that_report_once_only_leave_no_hole() {
    let mut world = World::new(BUDGET);
    let functions = |number: i64, factor: f64| -> Vec<Sent> {
        let first = 100 + 20 * number.unsigned_abs();
        let each = of(first..first + 20, number).into_iter();
        each.map(|sent| sent.times(factor)).collect()
    };
    mean(&mut world, 10, |number| functions(number, 1.0));
    for _ in 0..10 {
        assert_kept(world.pass(|number| functions(number, 1.0)), 0.05);
        assert_eq!(world.plan.fleet.hold, Hold::None);
    }
    assert!(world.plan.agents.len() <= 60, "{}", world.plan.agents.len());
    mean(&mut world, 3, |number| functions(number, 0.3));
    for _ in 0..5 {
        assert_kept(world.pass(|number| functions(number, 0.3)), 0.1);
    }
}

/// The reports of four agents whose requests all come in one quarter of the window.
fn quarters(begins: f64, number: i64) -> Vec<Sent> {
    let quarter = |sent| Sent {
        begins,
        ends: begins + 0.25,
        ..sent
    };
    of(1..=4, number).into_iter().map(quarter).collect()
}

/// Timers that fire at the full minute, and nothing else.
#[test]
fn agents_that_report_only_the_first_quarter_of_each_minute_are_heard_whole() {
    let mut world = World::new(BUDGET);
    mean(&mut world, 8, |number| quarters(0.0, number));
    for _ in 0..10 {
        assert_kept(world.pass(|number| quarters(0.0, number)), 0.05);
        assert_eq!(world.plan.fleet.hold, Hold::None);
    }
}

#[test]
fn an_unbroken_sequence_says_that_nothing_happened_in_between() {
    let mut world = World::new(BUDGET);
    // Requests come in a quarter of each minute, and only then is there anything to report.
    let sparse = |number: i64| {
        let begins = [0.0, 0.5, 0.25, 0.75][number.unsigned_abs() as usize % 4];
        quarters(begins, number)
    };
    mean(&mut world, 8, sparse);
    let mut kept = Vec::new();
    for _ in 0..12 {
        kept.push(world.pass(sparse));
        assert_eq!(world.plan.fleet.hold, Hold::None);
        assert_eq!(world.plan.fleet.completeness, 1.0);
    }
    assert_kept(kept.iter().sum::<f64>() / 12.0, 0.05);
    assert!(
        kept.iter().all(|kept| (0.85..1.15).contains(kept)),
        "{kept:?}"
    );
}
