//! Operators that change the budget, cold starts, and traffic that fades and comes back.

use std::time::Duration;

use super::super::ask::Ask;
use super::super::case::{AGENTS, Case, EVENT, SMALL, agents, phase};
use super::{HOUR, Row};
use weir_allocation::{Bounds, ServiceId};
use weir_simulate::faults::{BudgetChange, Fade, Faults};
use weir_simulate::virtual_time::{Agent, AgentFaults, Delay, Loss, budget_alone};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = cold();
    rows.extend(changes());
    rows.extend(fades());
    rows
}

fn cold() -> Vec<Row> {
    let high = || Case {
        policy: budget_alone(1000.0),
        ..Case::default()
    };
    let otlp = || Case {
        agents: agents(AGENTS, |place, agent| Agent {
            period: Duration::from_secs(60),
            phase: phase(place),
            ..agent
        }),
        ..Case::default()
    };
    let late = || Case {
        agents: agents(AGENTS, |_, agent| Agent {
            delay: Delay::fixed(Duration::from_secs(75)),
            ..agent
        }),
        ..Case::default()
    };
    vec![
        Row::new(
            "from an empty database",
            Case::default,
            [Ask::Plan { after: 1 }],
        ),
        Row::new(
            "the same, a budget of 20 % of the traffic",
            high,
            [Ask::Plan { after: 1 }],
        ),
        Row::new(
            "the same, exports of 60 s at any phase",
            otlp,
            [Ask::Plan { after: 2 }],
        ),
        Row::new(
            "the same, reports 75 s late",
            late,
            [Ask::Plan { after: 3 }],
        ),
    ]
}

fn changed(factor: f64, unheard: usize) -> impl Fn() -> Case + Sync + 'static {
    move || Case {
        faults: Faults {
            agents: AgentFaults {
                losses: vec![Loss {
                    intervals: EVENT - 10..EVENT + 20,
                    agents: unheard,
                    queued: false,
                }],
                ..AgentFaults::default()
            },
            budgets: vec![BudgetChange { factor, at: EVENT }],
            ..Faults::default()
        },
        ..Case::default()
    }
}

fn changes() -> Vec<Row> {
    let next = [Ask::Plan { after: EVENT }, Ask::Plan { after: EVENT + 1 }];
    let pinned = || Case {
        change: Some((EVENT, |policy| {
            for service in 1..=super::super::case::SERVICES as u32 {
                let bounds = Bounds {
                    pin: Some(0.0),
                    ..Bounds::default()
                };
                policy.services.insert(ServiceId(service), bounds.into());
            }
        })),
        ..changed(1.0, AGENTS)()
    };
    vec![
        Row::new("an operator's budget × 10", changed(10.0, 0), next),
        Row::new("an operator's budget × 0.1", changed(0.1, 0), next),
        Row::new(
            "a budget × 0.1 while nobody is heard",
            changed(0.1, AGENTS),
            next,
        ),
        Row::new(
            "a budget of 0 while nobody is heard",
            changed(0.0, AGENTS),
            next,
        ),
        Row::new(
            "a budget × 2 while nobody is heard",
            changed(2.0, AGENTS),
            next,
        ),
        Row::new(
            "every service pinned to 0 while nobody is heard",
            pinned,
            [Ask::Nothing { after: EVENT }],
        ),
        Row::new(
            "a budget × 0.1 while 4 of 8 agents are unheard",
            changed(0.1, 4),
            next,
        ),
    ]
}

/// The halves until the silence, and how long that is.
const HALVES: usize = 10;
const SILENT: usize = 15;
const BACK: usize = EVENT + HALVES + SILENT;

fn fades() -> Vec<Row> {
    let fade = |halves: usize, service: Option<&str>| Faults {
        fades: vec![Fade {
            fades: BACK - SILENT - halves..BACK - SILENT,
            silent: SILENT,
            service: service.map(|name| weir_allocation::ServiceName::parse(name).unwrap()),
        }],
        ..Faults::default()
    };
    let with = move |halves: usize, service: Option<&'static str>, budget: f64, sparse: bool| {
        move || Case {
            faults: fade(halves, service),
            policy: budget_alone(budget),
            agents: agents(AGENTS, |_, agent| Agent { sparse, ..agent }),
            ..Case::default()
        }
    };
    let (from, to) = (BACK, HOUR);
    let back = vec![
        Ask::Excess {
            from,
            to,
            most: 30.0,
        },
        Ask::Settles {
            at: BACK,
            within: 3,
        },
    ];
    let service = vec![
        Ask::Excess {
            from,
            to,
            most: 30.0,
        },
        Ask::Settles {
            at: BACK,
            within: 2,
        },
    ];
    let large = super::super::case::BUDGET;
    vec![
        Row::new(
            "traffic fades to silence and is back at once",
            with(HALVES, None, large, false),
            back.clone(),
        ),
        Row::new(
            "the same, 0.1 % kept",
            with(HALVES, None, SMALL, false),
            back.clone(),
        ),
        Row::new(
            "traffic is silent at once, and back at once",
            with(0, None, large, false),
            back.clone(),
        ),
        Row::new(
            "the same, agents send no empty reports",
            with(0, None, large, true),
            back.clone(),
        ),
        Row::new(
            "traffic fades, agents send no empty reports, 0.1 % kept",
            with(HALVES, None, SMALL, true),
            back.clone(),
        ),
        Row::new(
            "the busiest service fades to silence and is back at once",
            with(HALVES, Some("service-0"), large, false),
            service.clone(),
        ),
        Row::new(
            "the busiest service is idle, then back at once",
            with(0, Some("service-0"), large, false),
            service.clone(),
        ),
        Row::new(
            "the same, 0.1 % kept",
            with(0, Some("service-0"), SMALL, false),
            service,
        ),
    ]
}
