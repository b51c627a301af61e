//! What happens seldom, and would cost much for long.

use std::time::Duration;

use super::super::ask::Ask;
use super::super::case::{AGENTS, Case, EVENT, OPERATIONS, agents, phase};
use super::{HOUR, Row, kept};
use weir_simulate::faults::Faults;
use weir_simulate::virtual_time::{Agent, AgentFaults, Delay, Loss};

pub(super) fn rows() -> Vec<Row> {
    vec![
        spike(),
        absurd_beginning(),
        scattered(),
        climbing(),
        outages(),
    ]
}

/// The budget is kept on average, and nearly so at any time.
fn nearly(from: usize) -> Vec<Ask> {
    let to = HOUR;
    vec![
        Ask::Mean {
            from,
            to,
            within: 0.05,
        },
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
    ]
}

/// No level that traffic returns to.
fn spike() -> Row {
    let case = || Case {
        course: Box::new(|_, number| {
            if (EVENT..EVENT + 3).contains(&number) {
                50.0
            } else {
                1.0
            }
        }),
        ..Case::default()
    };
    let name = "50 times the usual traffic for three intervals";
    Row::new(name, case, nearly(EVENT + 8))
}

/// As agents that deliver what they had queued.
fn absurd_beginning() -> Row {
    let case = || Case {
        course: Box::new(|_, number| if number < 3 { 100.0 } else { 1.0 }),
        ..Case::default()
    };
    let name = "the first three intervals have 100 times the usual traffic";
    Row::new(name, case, nearly(10))
}

fn scattered() -> Row {
    let case = || Case {
        agents: agents(AGENTS, |place, agent| Agent {
            period: Duration::from_secs(60),
            phase: phase(place),
            delay: Delay {
                least: Duration::ZERO,
                most: Duration::from_secs(180),
            },
            ..agent
        }),
        ..Case::default()
    };
    let name = "exports of 60 s at any phase, each 0 to 180 s late by chance";
    let (from, to) = (EVENT, HOUR);
    let mut asks = kept(10, HOUR);
    asks.push(Ask::Missing {
        from,
        to,
        most: 0.2,
    });
    Row::new(name, case, asks)
}

/// Faster than mornings, and the agent falls silent in the middle of it.
fn climbing() -> Row {
    let case = || Case {
        course: Box::new(|_, number| {
            1.03_f64.powi(number.saturating_sub(EVENT - 10).min(40) as i32)
        }),
        faults: Faults {
            agents: AgentFaults {
                losses: vec![Loss {
                    intervals: EVENT..HOUR,
                    agents: 1,
                    queued: false,
                }],
                ..AgentFaults::default()
            },
            ..Faults::default()
        },
        ..Case::default()
    };
    let name = "1 of 8 agents unheard for an hour, while traffic climbs by 3 % an interval";
    Row::new(name, case, nearly(EVENT))
}

/// All operations of the first service fall silent and come back together.
fn outages() -> Row {
    let outages = [
        EVENT..EVENT + 5,
        EVENT + 20..EVENT + 22,
        EVENT + 33..EVENT + 36,
    ];
    let case = move || {
        let outages = outages.clone();
        Case {
            course: Box::new(move |place, number| {
                let is_out = place < OPERATIONS && outages.iter().any(|of| of.contains(&number));
                if is_out { 0.0 } else { 1.0 }
            }),
            ..Case::default()
        }
    };
    let name = "the busiest service is gone for some intervals, three times within an hour";
    Row::new(
        name,
        case,
        [Ask::Mean {
            from: EVENT,
            to: HOUR,
            within: 0.10,
        }],
    )
}
