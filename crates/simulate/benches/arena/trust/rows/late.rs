//! Agents that are late for ever, export seldom, send nothing when idle, or live for one report.

use std::time::Duration;

use super::super::ask::Ask;
use super::super::case::{Case, EVENT, SERVICES, agents, phase};
use super::{HOUR, Row, kept};
use weir_simulate::virtual_time::{Agent, Delay, Timing};

/// What is asked of a fleet whose agents behave the same from the beginning, once it has settled.
const SETTLED: usize = 8;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn late(late: u64) -> Delay {
    Delay::fixed(seconds(late))
}

/// 0, 0.5, 1.25 and 3 intervals of 60 s.
const MIXTURE: [u64; 4] = [0, 30, 75, 180];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![Row::new(
        "every report on time",
        Case::default,
        kept(SETTLED, HOUR),
    )];
    rows.extend([30, 75, 180].map(whole_windows));
    rows.extend([30, 75, 180].map(tens));
    rows.extend([
        one(),
        own_services(),
        mixture(),
        otlp(),
        otlp_mixture(),
        otlp_short(),
        many(),
    ]);
    rows.extend(idle());
    rows.extend(functions());
    rows.extend([75, 180].map(periodic));
    rows
}

fn whole_windows(delay: u64) -> Row {
    let case = move || Case {
        agents: agents(4, |_, agent| Agent {
            period: seconds(60),
            phase: 0.0,
            delay: late(delay),
            ..agent
        }),
        ..Case::default()
    };
    let name = format!("four agents, a report an interval, {delay} s late");
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn tens(delay: u64) -> Row {
    let case = move || Case {
        agents: agents(8, |_, agent| Agent {
            delay: late(delay),
            ..agent
        }),
        ..Case::default()
    };
    let name = format!("reports of 10 s, {delay} s late");
    Row::new(name, case, kept(SETTLED, HOUR))
}

/// The first agent alone is late.
fn one() -> Row {
    let case = || Case {
        agents: agents(8, |place, agent| Agent {
            delay: late(if place == 0 { 180 } else { 0 }),
            ..agent
        }),
        ..Case::default()
    };
    let name = "reports of 10 s, one of 8 agents 180 s late";
    Row::new(name, case, kept(SETTLED, HOUR))
}

/// What is late is not like the rest: services of their own.
fn own_services() -> Row {
    let case = || Case {
        agents: agents(8, |place, agent| Agent {
            services: Some((place..SERVICES).step_by(8).collect()),
            delay: late(if place == 0 { 75 } else { 0 }),
            ..agent
        }),
        ..Case::default()
    };
    let name = "each agent with services of its own, the busiest 75 s late";
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn mixture() -> Row {
    let case = || Case {
        agents: agents(8, |place, agent| Agent {
            delay: late(MIXTURE[place % 4]),
            ..agent
        }),
        ..Case::default()
    };
    let name = "reports of 10 s, agents 0, 30, 75 and 180 s late";
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn otlp_agents(count: usize, delay: impl Fn(usize) -> Delay) -> Vec<Agent> {
    agents(count, |place, agent| Agent {
        period: seconds(60),
        phase: phase(place),
        delay: delay(place),
        ..agent
    })
}

fn otlp() -> Row {
    let case = || Case {
        agents: otlp_agents(8, |_| late(0)),
        ..Case::default()
    };
    let name = "exports of 60 s at any phase";
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn otlp_mixture() -> Row {
    let case = || Case {
        agents: otlp_agents(8, |place| late(MIXTURE[place % 4])),
        ..Case::default()
    };
    let name = "exports of 60 s at any phase, 0, 30, 75 and 180 s late";
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn otlp_short() -> Row {
    let case = || Case {
        intervals: 120,
        timing: Timing {
            interval: seconds(10),
            grace: seconds(2),
            poll_interval: seconds(10),
            report_interval: seconds(10),
        },
        agents: otlp_agents(8, |_| late(1)),
        ..Case::default()
    };
    let name = "intervals of 10 s, exports of 60 s at any phase";
    Row::new(name, case, kept(20, 120))
}

fn many() -> Row {
    let case = || Case {
        agents: otlp_agents(200, |_| Delay {
            least: seconds(0),
            most: seconds(40),
        }),
        ..Case::default()
    };
    let name = "200 agents, exports of 60 s at any phase, 0 to 40 s late";
    Row::new(name, case, kept(SETTLED, HOUR))
}

fn idle() -> Vec<Row> {
    let sparse = |count: usize, period: u64, busy: f64, scale: f64, delay: u64| {
        move || {
            let mut case = Case {
                agents: agents(count, |_, agent| Agent {
                    period: seconds(period),
                    sparse: true,
                    busy,
                    delay: late(delay),
                    ..agent
                }),
                scale,
                ..Case::default()
            };
            case.policy.budget *= scale;
            case
        }
    };
    vec![
        Row::new(
            "agents that have requests in one of four reports of 10 s, and send no empty ones",
            sparse(8, 10, 0.25, 1.0, 0),
            kept(SETTLED, HOUR),
        ),
        Row::new(
            "the same, 75 s late",
            sparse(8, 10, 0.25, 1.0, 75),
            kept(SETTLED, HOUR),
        ),
        Row::new(
            "four agents that have requests in one of four seconds, and send no empty reports",
            sparse(4, 1, 0.25, 1.0, 0),
            kept(SETTLED, HOUR),
        ),
        Row::new(
            "16 agents with a request in five seconds each, reports of 1 s, no empty ones",
            sparse(16, 1, 1.0, 0.00064, 0),
            [Ask::NoHold {
                from: SETTLED,
                to: HOUR,
            }],
        ),
    ]
}

fn functions() -> Vec<Row> {
    let functions = || {
        agents(8, |place, agent| Agent {
            period: seconds(45),
            phase: phase(place),
            reports: Some(1),
            ..agent
        })
    };
    let steady = move || Case {
        agents: functions(),
        ..Case::default()
    };
    let falls = move || Case {
        agents: functions(),
        course: Box::new(|_, number| if number < EVENT { 1.0 } else { 0.3 }),
        ..Case::default()
    };
    vec![
        Row::new(
            "agents that live for one report of 45 s",
            steady,
            kept(SETTLED, HOUR),
        ),
        Row::new(
            "the same, traffic falls to 30 %",
            falls,
            [
                Ask::Settles {
                    at: EVENT,
                    within: 5,
                },
                Ask::Mean {
                    from: EVENT + 8,
                    to: HOUR,
                    within: 0.05,
                },
                Ask::NoHold {
                    from: EVENT + 8,
                    to: HOUR,
                },
            ],
        ),
    ]
}

/// A third of the operations fire in one of five intervals.
fn periodic(delay: u64) -> Row {
    let case = move || Case {
        course: Box::new(|place, number| {
            let fires = number % 5 == place / 3 % 5;
            match (place % 3, fires) {
                (0, true) => 5.0,
                (0, false) => 0.0,
                _ => 1.0,
            }
        }),
        agents: agents(8, |_, agent| Agent {
            delay: late(delay),
            ..agent
        }),
        ..Case::default()
    };
    let name =
        format!("a third of the operations fires every five intervals, reports {delay} s late");
    let (from, to) = (EVENT, HOUR);
    let asks = [
        Ask::Mean {
            from,
            to,
            within: 0.05,
        },
        Ask::OnTime {
            from,
            to,
            factor: 1.25,
        },
    ];
    Row::new(name, case, asks)
}
