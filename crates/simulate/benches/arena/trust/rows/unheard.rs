//! Agents that restart, fall silent, end, and claim.

use std::time::Duration;

use super::super::ask::Ask;
use super::super::case::{AGENTS, Case, EVENT, LONG, SERVICES, agents, phase};
use super::{HOUR, Row, kept};
use weir_simulate::faults::Faults;
use weir_simulate::virtual_time::{Agent, AgentFaults, Claim, End, Loss, Restart};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = restarts();
    rows.extend([1, 2, 4, 7, 8].map(silent));
    rows.extend([1, 4, 7].map(silent_own));
    rows.extend([1, 4, 7].map(silent_climbing));
    rows.push(queue());
    rows.extend(ends());
    rows.extend(claims());
    rows
}

fn faults(agents: AgentFaults) -> Faults {
    Faults {
        agents,
        ..Faults::default()
    }
}

fn after_a_restart() -> Vec<Ask> {
    let (from, to) = (EVENT, HOUR);
    let mut asks = kept(EVENT + 5, HOUR);
    asks.push(Ask::Under {
        from,
        to,
        least: -0.15,
    });
    asks
}

fn restarts() -> Vec<Row> {
    let restart = |agents, at, last| Restart { at, agents, last };
    let with = |restarts: Vec<Restart>| {
        move || Case {
            faults: faults(AgentFaults {
                restarts: restarts.clone(),
                ..AgentFaults::default()
            }),
            ..Case::default()
        }
    };
    let otlp = move || Case {
        agents: agents(AGENTS, |place, agent| Agent {
            period: Duration::from_secs(60),
            phase: phase(place),
            ..agent
        }),
        ..with(vec![restart(AGENTS, EVENT, false)])()
    };
    let often: Vec<Restart> = (0..6)
        .map(|round| restart(AGENTS, EVENT + 10 * round, false))
        .collect();
    vec![
        Row::new(
            "all agents restart under new names in one window",
            with(vec![restart(AGENTS, EVENT, false)]),
            after_a_restart(),
        ),
        Row::new(
            "the same, after a last report",
            with(vec![restart(AGENTS, EVENT, true)]),
            after_a_restart(),
        ),
        Row::new(
            "the same, exports of 60 s at any phase, of which the begun ones are lost",
            otlp,
            kept(EVENT + 5, HOUR),
        ),
        Row::new(
            "half of the agents restart under new names",
            with(vec![restart(AGENTS / 2, EVENT, false)]),
            after_a_restart(),
        ),
        Row::new(
            "all agents restart under new names every ten intervals",
            with(often),
            kept(EVENT + 5, HOUR),
        ),
    ]
}

fn lost(agents: usize, queued: bool, count: usize) -> Faults {
    faults(AgentFaults {
        losses: vec![Loss {
            intervals: EVENT..EVENT + count,
            agents,
            queued,
        }],
        ..AgentFaults::default()
    })
}

/// What is asked while agents are unheard for an hour, and afterwards.
fn while_unheard() -> [Ask; 3] {
    let (from, to) = (EVENT, HOUR);
    [
        Ask::Over {
            from,
            to,
            most: 0.05,
        },
        Ask::Under {
            from,
            to,
            least: -0.30,
        },
        Ask::Mean {
            from: HOUR + 5,
            to: LONG,
            within: 0.05,
        },
    ]
}

fn silent(unheard: usize) -> Row {
    let case = move || Case {
        intervals: LONG,
        faults: lost(unheard, false, 60),
        ..Case::default()
    };
    let name = format!("{unheard} of 8 agents unheard for an hour; their traffic goes on");
    Row::new(name, case, while_unheard())
}

fn silent_own(unheard: usize) -> Row {
    let case = move || Case {
        intervals: LONG,
        agents: agents(AGENTS, |place, agent| Agent {
            services: Some((place..SERVICES).step_by(AGENTS).collect()),
            ..agent
        }),
        faults: lost(unheard, false, 60),
        ..Case::default()
    };
    let name = format!("the same, {unheard} of 8, each with services of its own");
    Row::new(name, case, while_unheard())
}

fn silent_climbing(unheard: usize) -> Row {
    let case = move || Case {
        intervals: LONG,
        course: Box::new(|_, number| {
            let since = number.saturating_sub(EVENT).min(60);
            1.0 + 0.5 * since as f64 / 60.0
        }),
        faults: lost(unheard, false, 60),
        ..Case::default()
    };
    let name = format!("the same, {unheard} of 8, while traffic climbs by half");
    Row::new(name, case, while_unheard())
}

fn queue() -> Row {
    let case = || Case {
        faults: lost(4, true, 10),
        ..Case::default()
    };
    Row::new(
        "4 of 8 agents queue for ten intervals, then all comes at once",
        case,
        kept(EVENT + 9, HOUR),
    )
}

fn ends() -> Vec<Row> {
    let end = |last: bool, moved: bool| {
        move || Case {
            faults: faults(AgentFaults {
                ends: vec![End {
                    at: EVENT,
                    agents: AGENTS / 2,
                    last,
                    moved,
                }],
                ..AgentFaults::default()
            }),
            ..Case::default()
        }
    };
    let (from, to) = (EVENT, HOUR);
    let over = Ask::Over {
        from,
        to,
        most: 0.05,
    };
    let settles = Ask::Settles {
        at: EVENT,
        within: 5,
    };
    let settled = Ask::Mean {
        from: EVENT + 8,
        to: HOUR,
        within: 0.05,
    };
    vec![
        Row::new(
            "half of the agents end with their traffic, with a last report",
            end(true, false),
            [settles, settled, over],
        ),
        Row::new(
            "half of the agents end with their traffic, and nothing says so",
            end(false, false),
            [over],
        ),
        Row::new(
            "half of the agents end, with a last report; the others get their traffic",
            end(true, true),
            [settles, settled, over],
        ),
        Row::new(
            "half of the agents end, and nothing says so; the others get their traffic",
            end(false, true),
            [settles, settled, over],
        ),
    ]
}

const CLAIMED: u64 = 1_000_000_000_000;

fn claims() -> Vec<Row> {
    let rises = |place: usize, number: usize| {
        let _ = place;
        1.0 + 0.5 * (number.saturating_sub(EVENT).min(20)) as f64 / 20.0
    };
    let unknown = move || {
        let mut case = Case {
            course: Box::new(rises),
            faults: faults(AgentFaults {
                claims: vec![Claim {
                    agent: AGENTS,
                    intervals: EVENT..EVENT + 5,
                    offered: CLAIMED,
                }],
                ..AgentFaults::default()
            }),
            ..Case::default()
        };
        case.agents.push(Agent {
            part: 0.0,
            lives: EVENT..EVENT + 5,
            ..Agent::regular(0, 1, &case.timing)
        });
        case
    };
    let known = move || Case {
        course: Box::new(rises),
        faults: faults(AgentFaults {
            claims: vec![Claim {
                agent: 0,
                intervals: EVENT..EVENT + 5,
                offered: CLAIMED,
            }],
            losses: vec![Loss {
                intervals: EVENT + 5..usize::MAX,
                agents: 1,
                queued: false,
            }],
            ..AgentFaults::default()
        }),
        ..Case::default()
    };
    let asks = || {
        let (from, to) = (EVENT, HOUR);
        let mut asks = vec![
            Ask::Over {
                from,
                to,
                most: 0.10,
            },
            Ask::Under {
                from,
                to,
                least: -0.10,
            },
        ];
        asks.extend(kept(EVENT + 25, HOUR));
        asks
    };
    vec![
        Row::new(
            "an unknown sender claims 10¹² requests in each of five intervals and falls silent; \
             traffic rises by half meanwhile",
            unknown,
            asks(),
        ),
        Row::new("the same, one of the 8 agents", known, asks()),
    ]
}
