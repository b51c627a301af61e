//! What the leader has of the reports, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;

use super::super::{Claim, Delay, End, Loss, Restart};
use super::*;
use weir_allocation::{AgentId, OperationName, ServiceName};

const INTERVAL: u64 = 60;
const COUNT: u64 = 1000;

fn timing(report: u64) -> Timing {
    Timing {
        interval: Duration::from_secs(INTERVAL),
        grace: Duration::from_secs(10),
        poll_interval: Duration::from_secs(INTERVAL),
        report_interval: Duration::from_secs(report),
    }
}

fn traffic() -> Traffic {
    let row = |place: usize| {
        (
            ServiceName::parse(&format!("s{}", place / 2)).unwrap(),
            OperationName::parse(&format!("o{place}")).unwrap(),
            Vec::new(),
        )
    };
    Traffic::new(vec![String::new()], (0..6).map(row).collect()).unwrap()
}

/// Plays 30 intervals. Returns everything that was read of each window at last, and of the newest
/// window of each plan.
fn play(agents: &[Agent], faults: &AgentFaults) -> (Vec<WindowCounts>, Vec<WindowCounts>) {
    let traffic = traffic();
    let random = StdRng::seed_from_u64(7);
    let mut reports = Reports::new(&traffic, &timing(10), agents, faults, random);
    let (mut whole, mut first) = (BTreeMap::new(), Vec::new());
    for number in 0..30 {
        reports.close(number, &[COUNT; 6], &[COUNT / 10; 6]);
        let windows = reports.windows(Timestamp(0));
        assert!(windows.len() <= 16);
        first.push(windows.last().unwrap().clone());
        for window in windows {
            whole.insert(window.window.start, window.clone());
        }
    }
    let begin = reports.begin;
    let whole = whole.into_iter().filter(|(start, _)| start.0 >= begin);
    (whole.map(|(_, counts)| counts).collect(), first)
}

fn fleet(change: impl Fn(usize, Agent) -> Agent) -> Vec<Agent> {
    let agents = Agent::fleet(4, &timing(10)).into_iter().enumerate();
    agents.map(|(place, agent)| change(place, agent)).collect()
}

fn offered(counts: &WindowCounts) -> u64 {
    counts.operations.iter().map(|count| count.offered).sum()
}

fn is_nearly_all(counts: &WindowCounts) -> bool {
    offered(counts).abs_diff(6 * COUNT) < COUNT / 5
}

/// A window's operations and agents agree, and each key occurs once.
fn is_consistent(counts: &WindowCounts) {
    let mut services: BTreeMap<ServiceId, (u64, u64)> = BTreeMap::new();
    for count in &counts.operations {
        let sum = services.entry(count.service).or_default();
        *sum = (sum.0 + count.offered, sum.1 + count.sampled);
    }
    for count in &counts.agents {
        let sum = services.get_mut(&count.service.unwrap()).unwrap();
        *sum = (sum.0 - count.offered, sum.1 - count.sampled);
    }
    assert!(services.values().all(|sum| *sum == (0, 0)), "{services:?}");
    let keys = counts
        .agents
        .iter()
        .map(|count| (count.agent, count.service));
    assert!(keys.is_sorted_by(|one, other| one < other));
}

#[test]
fn a_fleet_on_time_is_known_exactly_when_its_window_closes() {
    let (_, first) = play(&fleet(|_, agent| agent), &AgentFaults::default());
    for counts in &first {
        assert_eq!(offered(counts), 6 * COUNT);
        is_consistent(counts);
        let reports: Vec<_> = counts.reports.iter().filter(|of| of.agent.0 == 1).collect();
        assert!((6..=7).contains(&reports.len()), "{reports:?}");
        for pair in reports.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence + 1);
            assert_eq!(pair[1].span.start, pair[0].span.end);
        }
    }
}

#[test]
fn whatever_the_agents_do_every_request_is_reported_once() {
    let delays = [0, 30, 75, 180].map(Duration::from_secs);
    let agents = fleet(|place, agent| Agent {
        period: Duration::from_secs([10, 60, 7, 130][place]),
        delay: Delay {
            least: Duration::ZERO,
            most: delays[place],
        },
        sparse: place % 2 == 0,
        busy: 0.5,
        reports: (place == 3).then_some(1),
        part: place as f64 + 1.0,
        ..agent
    });
    let faults = AgentFaults {
        losses: vec![Loss {
            intervals: 10..14,
            agents: 2,
            queued: true,
        }],
        restarts: vec![Restart {
            at: 8,
            agents: 4,
            last: true,
        }],
        ..AgentFaults::default()
    };
    let (whole, _) = play(&agents, &faults);
    whole.iter().for_each(is_consistent);
    // The last reports are on their way.
    let sum: u64 = whole.iter().take(26).map(offered).sum();
    let expected = 26 * 6 * COUNT;
    assert!(
        sum.abs_diff(expected) < expected / 50,
        "{sum} of {expected}"
    );
}

#[test]
fn late_reports_come_in_by_the_plans_that_follow() {
    for (late, seen) in [(0, 0), (30, 0), (75, 1), (180, 3)] {
        let delay = Delay::fixed(Duration::from_secs(late));
        let agents = fleet(|_, agent| Agent { delay, ..agent });
        let (whole, first) = play(&agents, &AgentFaults::default());
        // A report across the end of a window is split evenly.
        assert!(whole.iter().take(26).all(is_nearly_all));
        assert_eq!(offered(&first[20]) > 0, seen == 0, "{late} s");
        let told = whole[20].late.len();
        assert_eq!(told > 0, late > INTERVAL, "{late} s");
    }
}

#[test]
fn what_is_lost_leaves_a_gap_in_the_sequence_and_what_is_queued_comes_at_once() {
    let faults = |queued| AgentFaults {
        losses: vec![Loss {
            intervals: 10..12,
            agents: 1,
            queued,
        }],
        ..AgentFaults::default()
    };
    let agents = fleet(|_, agent| agent);
    let (lost, _) = play(&agents, &faults(false));
    let of = |counts: &WindowCounts| -> Vec<u64> {
        let own = counts.reports.iter().filter(|of| of.agent == AgentId(1));
        own.map(|report| report.sequence).collect()
    };
    assert!(offered(&lost[11]) < 6 * COUNT);
    let (before, after) = (of(&lost[9]), of(&lost[12]));
    assert_eq!(
        after.iter().min().unwrap() - before.iter().max().unwrap(),
        13
    );
    let (queued, first) = play(&agents, &faults(true));
    assert!(offered(&first[11]) < 6 * COUNT);
    assert!(is_nearly_all(&queued[11]));
}

#[test]
fn agents_restart_end_and_claim() {
    let faults = AgentFaults {
        restarts: vec![Restart {
            at: 5,
            agents: 1,
            last: true,
        }],
        ends: vec![End {
            at: 20,
            agents: 2,
            last: true,
            moved: true,
        }],
        claims: vec![Claim {
            agent: 3,
            intervals: 10..11,
            offered: 1_000_000,
        }],
        ..AgentFaults::default()
    };
    let (whole, _) = play(&fleet(|_, agent| agent), &faults);
    let names = |number: usize| {
        let mut names: Vec<u64> = whole[number].agents.iter().map(|of| of.agent.0).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    assert_eq!(names(4), [1, 2, 3, 4]);
    assert_eq!(names(5), [1, 2, 3, 4, 5]);
    assert_eq!(names(6), [2, 3, 4, 5]);
    assert_eq!(names(25), [3, 4]);
    let last = whole.iter().flat_map(|counts| &counts.reports);
    assert_eq!(last.filter(|report| report.last).count(), 3);
    assert_eq!(offered(&whole[10]), 6 * COUNT + 1_000_000);
    assert_eq!(offered(&whole[25]), 6 * COUNT);
}

#[test]
fn an_agent_without_requests_sends_nothing_if_it_is_sparse() {
    let agents = fleet(|_, agent| Agent {
        sparse: true,
        busy: 0.25,
        ..agent
    });
    let (whole, _) = play(&agents, &AgentFaults::default());
    let reports: Vec<usize> = whole.iter().take(28).map(|of| of.reports.len()).collect();
    let mean = reports.iter().sum::<usize>() as f64 / 28.0;
    // A quarter of 4 × 6 reports, and those that are in two windows.
    assert!((5.0..9.0).contains(&mean), "{mean}");
    for counts in &whole {
        let of = |agent| counts.reports.iter().filter(move |of| of.agent == agent);
        for agent in counts.agents.iter().map(|count| count.agent) {
            assert!(of(agent).count() > 0, "{agent:?} has counts and no report");
        }
    }
}

#[test]
fn agents_may_report_services_of_their_own() {
    let agents = fleet(|place, agent| Agent {
        services: Some(vec![place]),
        ..agent
    });
    let (whole, _) = play(&agents, &AgentFaults::default());
    for counts in &whole {
        let own = |count: &AgentCount| count.service == Some(ServiceId(count.agent.0 as u32));
        assert!(counts.agents.iter().all(own));
        assert_eq!(offered(counts), 6 * COUNT);
    }
}
