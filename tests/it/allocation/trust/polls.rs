//! Agents that fall silent, and SDKs that still ask or have stopped asking.

use super::*;
use crate::allocation::agents::{Sent, World, sent};
use weir::simulate::virtual_time::{AgentFaults, End, Loss};

/// SDKs of each service behind each agent.
const SDKS: u32 = 50;

const HALF: usize = AGENTS / 2;

/// A fleet whose SDKs poll; those of the first half do not from an interval on.
fn polling(silent_from: usize) -> VirtualRun {
    agents(steady(), |place, agent| {
        agent.sdks = SDKS;
        if place < HALF {
            agent.sdks_silent = silent_from..usize::MAX;
        }
    })
}

fn half_ends(mut run: VirtualRun) -> VirtualRun {
    run.faults.agents = AgentFaults {
        ends: vec![End {
            at: EVENT,
            agents: HALF,
            last: false,
            moved: false,
        }],
        ..AgentFaults::default()
    };
    run
}

fn half_is_unheard(mut run: VirtualRun) -> VirtualRun {
    run.faults.agents = AgentFaults {
        losses: vec![Loss {
            intervals: EVENT..INTERVALS,
            agents: HALF,
            queued: false,
        }],
        ..AgentFaults::default()
    };
    run
}

#[test]
fn traffic_whose_sdks_have_stopped_asking_is_no_longer_waited_for() {
    let seen = Seen::of(&half_ends(polling(EVENT)));
    let (over, _) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.08, "{over}");
    let (_, under) = seen.extremes(EVENT + 3..EVENT + 10);
    assert!(
        under < -0.4,
        "nothing is released in the first ten windows: {under}"
    );
    let last = seen.mean(EVENT + 34);
    assert!(last.abs() < 0.10, "{last}");
    let half_way = seen.errors[EVENT + 20];
    assert!((-0.4..-0.1).contains(&half_way), "slowly: {half_way}");
}

#[test]
fn traffic_whose_sdks_still_ask_is_waited_for() {
    let seen = Seen::of(&half_is_unheard(polling(usize::MAX)));
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.08 && under > -0.10, "{under} to {over}");
    for plan in &seen.plans {
        let released = plan.services.iter().map(|of| of.polls.released);
        assert_eq!(released.fold(0.0, f32::max), 0.0, "plan {}", plan.number);
    }
    let stood = seen.plans[INTERVALS - 1].services.iter();
    assert!(stood.clone().count() > 0 && stood.clone().all(|of| of.polls.stood < 5));
}

#[test]
fn a_few_sdks_show_nothing() {
    let few = |run| agents(run, |_, agent| agent.sdks = 2);
    for (run, what) in [
        (half_ends(few(polling(EVENT))), "two SDKs"),
        (half_ends(steady()), "nobody counts polls"),
    ] {
        let seen = Seen::of(&run);
        let (over, _) = seen.extremes(EVENT..INTERVALS);
        let last = seen.mean(INTERVALS - 5);
        assert!(over < 0.08 && last < -0.4, "{what}: {over}, {last}");
    }
}

/// SDKs that all poll in the same second: six times as many in one window, and none in five.
#[test]
fn sdks_that_poll_together_show_nothing() {
    let mut world = World::new(50.0);
    let polls = |number: i64| if number % 6 == 0 { 6000 } else { 0 };
    for number in 0..30 {
        world.pass_polled(polls(number), |number| all(4, number));
    }
    for number in 30..60 {
        world.pass_polled(polls(number), |number| all(2, number));
        assert_eq!(world.polls().released, 0.0, "window {number}");
    }
}

fn all(agents: u64, number: i64) -> Vec<Sent> {
    (1..=agents).map(|agent| sent(agent, number)).collect()
}

/// A fleet of four agents and 1,000 polls a window, in which two agents have been missing for as long as it takes to
/// be asked after.
fn two_missing() -> World {
    let mut world = World::new(50.0);
    for _ in 0..20 {
        world.pass_polled(1000, |number| all(4, number));
    }
    while world.agent(3).is_none_or(|of| of.missing_windows < 10) {
        world.pass_polled(1000, |number| all(2, number));
    }
    assert_eq!(world.polls().released, 0.0);
    world
}

fn missing_heard(world: &World) -> f32 {
    let service = world.plan.service(weir::allocation::ServiceId(1));
    service.unwrap().heard
}

#[test]
fn agents_are_forgotten_once_all_of_their_traffic_is_released() {
    let mut world = two_missing();
    let heard = missing_heard(&world);
    assert!((heard - 0.5).abs() < 0.01, "{heard}");
    let mut before = 0.0;
    for window in 0..30 {
        world.pass_polled(500, |number| all(2, number));
        let released = world.polls().released;
        assert!(
            released - before <= 0.051,
            "window {window}: {before} to {released}"
        );
        before = released;
        if world.agent(3).is_none() {
            assert!(window > 20, "after {window} windows");
            assert_eq!(missing_heard(&world), 1.0);
            return;
        }
    }
    panic!("they are still there: {:?}", world.polls());
}

#[test]
fn sdks_that_ask_again_bring_the_whole_reserve_back() {
    let mut world = two_missing();
    for _ in 0..10 {
        world.pass_polled(500, |number| all(2, number));
    }
    assert!(world.polls().released > 0.4, "{:?}", world.polls());
    for _ in 0..2 {
        world.pass_polled(1000, |number| all(2, number));
    }
    assert_eq!(world.polls().released, 0.0);
    let heard = missing_heard(&world);
    assert!((heard - 0.5).abs() < 0.01, "{heard}");
}

/// Three of ten missing SDKs still ask.
#[test]
fn no_more_is_released_than_has_stopped_asking() {
    let mut world = two_missing();
    for _ in 0..40 {
        world.pass_polled(1000 - 350, |number| all(2, number));
    }
    let released = world.polls().released;
    assert!((0.65..0.95).contains(&released), "{released}");
    assert!(world.agent(3).is_some());
}

/// Fewer instances for less traffic, as at night.
#[test]
fn instances_that_go_with_the_traffic_of_the_others_release_nothing() {
    let mut world = two_missing();
    for step in 0..40 {
        let left = 1.0 - 0.5 * (f64::from(step) / 20.0).min(1.0);
        let polls = (1000.0 * left) as u32;
        world.pass_polled(polls, |number| {
            let all = all(2, number).into_iter();
            all.map(|sent| sent.times(left)).collect()
        });
        assert_eq!(
            world.polls().released,
            0.0,
            "step {step}: {:?}",
            world.polls()
        );
    }
}

#[test]
fn windows_in_which_a_replica_did_not_count_release_nothing() {
    let mut world = two_missing();
    for _ in 0..30 {
        world.pass(|number| all(2, number));
    }
    assert_eq!(world.polls().released, 0.0);
    assert!(world.agent(3).is_some());
}

#[test]
fn agents_that_fall_silent_later_are_not_released_with_the_first() {
    let mut world = two_missing();
    for _ in 0..12 {
        world.pass_polled(500, |number| all(2, number));
    }
    let before = world.polls().released;
    // Agent 2 falls silent; its SDKs ask for ten windows, and stop.
    for _ in 0..14 {
        world.pass_polled(500, |number| all(1, number));
    }
    let heard = missing_heard(&world);
    assert!(heard < 0.8, "agent 2 is waited for: {heard}, {before}");
}

#[test]
fn an_agent_whose_sdks_still_ask_is_not_forgotten_after_a_day() {
    let missed_for_a_day = |polls: bool| {
        let mut world = two_missing();
        for agent in &mut world.plan.agents {
            if agent.missing_windows > 0 {
                agent.missing_windows = 1440;
            }
        }
        for _ in 0..3 {
            if polls {
                world.pass_polled(1000, |number| all(2, number));
            } else {
                world.pass(|number| all(2, number));
            }
        }
        missing_heard(&world)
    };
    let heard = missed_for_a_day(true);
    assert!((heard - 0.5).abs() < 0.01, "{heard}");
    // What polls have shown within the day before still counts.
    let heard = missed_for_a_day(false);
    assert!((heard - 0.5).abs() < 0.01, "{heard}");
    let mut unpolled = World::settled(50.0, 4, 20);
    while unpolled.agent(3).is_none_or(|of| of.missing_windows < 10) {
        unpolled.pass(|number| all(2, number));
    }
    for agent in &mut unpolled.plan.agents {
        if agent.missing_windows > 0 {
            agent.missing_windows = 1440;
        }
    }
    for _ in 0..2 {
        unpolled.pass(|number| all(2, number));
    }
    assert_eq!(missing_heard(&unpolled), 1.0);
}

#[test]
fn another_interval_begins_to_learn_again() {
    use weir::allocation::{Inputs, PollState, Timestamp, Window, WindowCounts, next_plan};
    let world = two_missing();
    assert!(world.polls().windows >= 10);
    let start = world.plan.window.end;
    let counts = WindowCounts {
        window: Window {
            start,
            end: Timestamp(start.0 + 1000),
        },
        ..WindowCounts::default()
    };
    let plan = next_plan(&world.plan, &world.policy, Inputs::new(1, &[counts]));
    let polls = plan.services[0].polls;
    assert_eq!(
        (polls.windows, polls.usual),
        (0, PollState::default().usual)
    );
}
