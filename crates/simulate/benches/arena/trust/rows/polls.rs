//! Agents that fall silent, and what the polls of their SDKs say.

use std::ops::Range;

use super::super::ask::Ask;
use super::super::case::{AGENTS, Case, EVENT, LONG, agents};
use super::{HOUR, Row};
use weir_simulate::faults::Faults;
use weir_simulate::virtual_time::{Agent, AgentFaults, End, Loss};

/// SDKs of each service behind each agent.
const SDKS: u32 = 50;

/// The agents to which something happens.
const HALF: usize = AGENTS / 2;

/// How long agents are missed at most if nothing is known of polls.
const DAY: usize = 1440;

pub(super) fn rows() -> Vec<Row> {
    vec![
        ended(),
        ended_unequal(),
        ended_with_few(),
        unheard_for_a_day(),
        cut_off(),
    ]
}

/// A fleet whose SDKs poll; those of the first half do not in some intervals.
fn polling(silent: Range<usize>) -> Vec<Agent> {
    agents(AGENTS, |place, agent| Agent {
        sdks: SDKS,
        sdks_silent: if place < HALF { silent.clone() } else { 0..0 },
        ..agent
    })
}

fn ends() -> Faults {
    Faults {
        agents: AgentFaults {
            ends: vec![End {
                at: EVENT,
                agents: HALF,
                last: false,
                moved: false,
            }],
            ..AgentFaults::default()
        },
        ..Faults::default()
    }
}

fn unheard(count: usize) -> Faults {
    Faults {
        agents: AgentFaults {
            losses: vec![Loss {
                intervals: EVENT..EVENT + count,
                agents: HALF,
                queued: false,
            }],
            ..AgentFaults::default()
        },
        ..Faults::default()
    }
}

fn never_over(to: usize) -> Ask {
    Ask::Over {
        from: EVENT,
        to,
        most: 0.05,
    }
}

fn released() -> [Ask; 2] {
    let from = EVENT + 35;
    let mean = Ask::Mean {
        from,
        to: HOUR,
        within: 0.10,
    };
    [mean, never_over(HOUR)]
}

fn ended() -> Row {
    let case = || Case {
        agents: polling(EVENT..usize::MAX),
        faults: ends(),
        ..Case::default()
    };
    Row::new(
        "half of the agents end with their traffic, and only their SDKs, which stop asking, say so",
        case,
        released(),
    )
}

fn ended_unequal() -> Row {
    let case = || {
        let mut case = Case {
            agents: polling(EVENT..usize::MAX),
            faults: ends(),
            ..Case::default()
        };
        for agent in &mut case.agents[..HALF] {
            agent.sdks = SDKS * 2 / 3;
        }
        case
    };
    let (from, to) = (EVENT + 35, HOUR);
    let under = Ask::Under {
        from,
        to,
        least: -0.30,
    };
    Row::new(
        "the same, with two thirds of the instances of the others",
        case,
        [under, never_over(HOUR)],
    )
}

fn ended_with_few() -> Row {
    let case = || {
        let mut case = Case {
            agents: polling(EVENT..usize::MAX),
            faults: ends(),
            ..Case::default()
        };
        for agent in &mut case.agents {
            agent.sdks = 2;
        }
        case
    };
    Row::new(
        "the same, with 16 SDKs of each service, which are too few to say it",
        case,
        [never_over(HOUR)],
    )
}

fn unheard_for_a_day() -> Row {
    let end = EVENT + DAY + 120;
    let case = move || Case {
        intervals: end + 30,
        agents: polling(0..0),
        faults: unheard(end - EVENT),
        ..Case::default()
    };
    let asks = [
        never_over(end),
        Ask::Under {
            from: EVENT,
            to: end,
            least: -0.30,
        },
        Ask::Mean {
            from: EVENT,
            to: end,
            within: 0.05,
        },
        Ask::Mean {
            from: end + 5,
            to: end + 30,
            within: 0.05,
        },
    ];
    Row::new(
        "half of the agents unheard for 26 hours; traffic and polls go on",
        case,
        asks,
    )
}

/// Nobody can tell this from traffic that ended.
fn cut_off() -> Row {
    let case = || Case {
        intervals: LONG,
        agents: polling(EVENT..HOUR),
        faults: unheard(60),
        ..Case::default()
    };
    let asks = [
        never_over(EVENT + 12),
        Ask::Over {
            from: EVENT,
            to: HOUR,
            most: 1.10,
        },
        Ask::Mean {
            from: HOUR + 5,
            to: LONG,
            within: 0.05,
        },
    ];
    Row::new(
        "half of the agents cut off with their SDKs for an hour; their traffic goes on (the price)",
        case,
        asks,
    )
}
