//! Agents that restart, fall silent, queue, end and claim.

use super::super::fleet::{agent, count, counts, next, policy};
use super::*;
use weir::allocation::{Inputs, ServiceId, next_plan};
use weir::simulate::virtual_time::{AgentFaults, Claim, End, Loss, Restart};

fn faulty(mut run: VirtualRun, faults: AgentFaults) -> VirtualRun {
    run.faults.agents = faults;
    run
}

fn restarts(last: bool) -> AgentFaults {
    AgentFaults {
        restarts: vec![Restart {
            at: EVENT,
            agents: AGENTS,
            last,
        }],
        ..AgentFaults::default()
    }
}

#[test]
fn agents_that_restart_under_new_names_together_cost_no_budget() {
    for last in [false, true] {
        let seen = Seen::of(&faulty(steady(), restarts(last)));
        seen.assert_kept(EVENT + 5, &format!("a last report: {last}"));
        let (over, _) = seen.extremes(EVENT..EVENT + 10);
        assert!(over < 0.08, "{over}");
        let plan = seen.plans.last().unwrap();
        assert!(
            plan.agents
                .iter()
                .filter(|of| of.missing_windows > 0)
                .count()
                <= AGENTS
        );
    }
    let seen = Seen::of(&faulty(agents(steady(), exporting), restarts(false)));
    let mean = seen.mean(EVENT + 5);
    assert!(mean.abs() < 0.05, "{mean}");
}

#[test]
fn agents_that_restart_again_and_again_cost_no_budget() {
    let restarts = (0..4).map(|round| Restart {
        at: EVENT + 10 * round,
        agents: AGENTS,
        last: false,
    });
    let faults = AgentFaults {
        restarts: restarts.collect(),
        ..AgentFaults::default()
    };
    let seen = Seen::of(&faulty(steady(), faults));
    seen.assert_kept(EVENT + 5, "restarts every ten intervals");
    let missing = seen.plans.last().unwrap().fleet.completeness;
    assert!(missing > 0.99, "all were replaced: {missing}");
}

fn lost(agents: usize, count: usize, queued: bool) -> AgentFaults {
    AgentFaults {
        losses: vec![Loss {
            intervals: EVENT..EVENT + count,
            agents,
            queued,
        }],
        ..AgentFaults::default()
    }
}

#[test]
fn agents_that_are_unheard_for_long_raise_nothing_and_cut_little() {
    for unheard in [1, 2, 4, 7, 8] {
        let seen = Seen::of(&faulty(steady(), lost(unheard, 30, false)));
        let (over, under) = seen.extremes(EVENT..EVENT + 30);
        assert!(over < 0.08, "{unheard}: {over}");
        assert!(under > -0.30, "{unheard}: {under}");
        let missing = |plan: &Plan| {
            plan.agents
                .iter()
                .filter(|of| of.missing_windows > 0)
                .count()
        };
        assert_eq!(missing(&seen.plans[EVENT + 20]), unheard);
        let part = 1.0 - unheard as f64 / AGENTS as f64;
        let completeness = seen.plans[EVENT + 20].fleet.completeness;
        assert!(
            (completeness - part).abs() < 0.05,
            "{unheard}: {completeness}"
        );
        let back = seen.mean(EVENT + 35);
        assert!(back.abs() < 0.05, "{unheard}: {back}");
        assert_eq!(missing(seen.plans.last().unwrap()), 0);
    }
}

#[test]
fn traffic_that_climbs_is_not_that_of_agents_that_fell_silent() {
    let seen = Seen::of(&faulty(climbing(), lost(1, 40, false)));
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.08 && under > -0.08, "{under} to {over}");
    for plan in &seen.plans[EVENT + 1..INTERVALS - 1] {
        let heard = plan.fleet.completeness;
        assert!(heard < 0.9, "plan {}: {heard} heard", plan.number);
    }
}

#[test]
fn a_queue_that_comes_back_at_once_costs_no_budget() {
    let seen = Seen::of(&faulty(steady(), lost(4, 10, true)));
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.08 && under > -0.08, "{under} to {over}");
}

#[test]
fn agents_that_end_release_what_they_used() {
    for (last, moved) in [(true, false), (true, true), (false, true)] {
        let ends = AgentFaults {
            ends: vec![End {
                at: EVENT,
                agents: AGENTS / 2,
                last,
                moved,
            }],
            ..AgentFaults::default()
        };
        let seen = Seen::of(&faulty(steady(), ends));
        seen.assert_kept(
            EVENT + 8,
            &format!("a last report: {last}, traffic moves: {moved}"),
        );
    }
}

#[test]
fn agents_that_vanish_with_their_traffic_raise_nothing() {
    let ends = AgentFaults {
        ends: vec![End {
            at: EVENT,
            agents: AGENTS / 2,
            last: false,
            moved: false,
        }],
        ..AgentFaults::default()
    };
    let seen = Seen::of(&faulty(steady(), ends));
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    // Nobody says whether their traffic goes on.
    assert!(over < 0.08 && under > -0.60, "{under} to {over}");
}

const CLAIMED: u64 = 1_000_000_000_000;

fn climbing() -> VirtualRun {
    with(fleet(|interval| {
        1.0 + 0.5 * interval.saturating_sub(EVENT).min(20) as f64 / 20.0
    }))
}

#[test]
fn an_unknown_sender_cannot_freeze_or_cut_the_fleet() {
    let mut run = climbing();
    run.agents.push(Agent {
        part: 0.0,
        lives: EVENT..EVENT + 5,
        ..Agent::regular(0, 1, &timing())
    });
    run.faults.agents.claims = vec![Claim {
        agent: AGENTS,
        intervals: EVENT..EVENT + 5,
        offered: CLAIMED,
    }];
    let seen = Seen::of(&run);
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.12 && under > -0.12, "{under} to {over}");
    let claims = &seen.plans[EVENT + 1].claims;
    assert_eq!(claims.len(), 1, "{claims:?}");
    assert!(claims[0].offered >= CLAIMED, "{claims:?}");
    assert!(seen.plans[EVENT + 15].claims.is_empty());
}

#[test]
fn a_known_agent_that_claims_out_of_all_proportion_is_held_apart() {
    let mut run = climbing();
    run.faults.agents = AgentFaults {
        claims: vec![Claim {
            agent: 0,
            intervals: EVENT..EVENT + 5,
            offered: CLAIMED,
        }],
        losses: vec![Loss {
            intervals: EVENT + 5..INTERVALS,
            agents: 1,
            queued: false,
        }],
        ..AgentFaults::default()
    };
    let seen = Seen::of(&run);
    let (over, under) = seen.extremes(EVENT..INTERVALS);
    assert!(over < 0.12 && under > -0.12, "{under} to {over}");
    assert_eq!(seen.plans[EVENT + 1].claims.len(), 1);
}

/// It was late, or no plan was made after its window: it is held apart all the same, so it is listed.
#[test]
fn a_claim_of_an_earlier_window_is_listed() {
    let policy = policy(100.0);
    let window = |number, offered| {
        let mut counts = counts(number, vec![count(1, offered)], vec![agent(1, offered)]);
        for agent in &mut counts.agents {
            agent.service = Some(ServiceId(1));
        }
        counts
    };
    let mut before = next(&Plan::genesis(&policy), &policy, &window(0, 60_000));
    before = next(&before, &policy, &window(1, 60_000));
    let windows = [window(2, CLAIMED), window(3, 60_000)];
    let plan = next_plan(&before, &policy, Inputs::new(1, &windows));
    let claimed = plan.claims.iter().map(|claim| claim.offered);
    assert_eq!(claimed.collect::<Vec<_>>(), [CLAIMED]);
    assert!(plan.fleet.offered < 2000.0, "{}", plan.fleet.offered);
    // Two windows of one agent are one claim.
    let windows = [window(2, CLAIMED), window(3, 2 * CLAIMED)];
    let plan = next_plan(&before, &policy, Inputs::new(1, &windows));
    let claimed = plan.claims.iter().map(|claim| claim.offered);
    assert_eq!(claimed.collect::<Vec<_>>(), [2 * CLAIMED]);
}
