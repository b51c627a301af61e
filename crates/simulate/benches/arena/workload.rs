//! Workloads: the traffic, its events, and what is asked of the contenders.

mod recorded;

use std::ops::Range;
use std::time::Duration;

use weir_allocation::{OperationName, ServiceName};
use weir_simulate::scenario::{EVENT, Noise, Scenario};
use weir_simulate::virtual_time::{Agent, AgentFaults, Timing};
use weir_simulate::{Schedule, Traffic};

const BUDGET: f64 = 500.0;
const LOW_BUDGET: f64 = 30.0;
const AGENTS: usize = 8;
/// Operations of the scenarios at a time.
const OPERATIONS: usize = 3000;
const SHOP_OPERATIONS: usize = 200;
const SHOP_INSTANCES: u64 = 1000;
const SHOP: &str = "shop";

/// The floors as a part of the budget, in the workload in which they are too high.
const FLOORS: f64 = 1.5;
/// The first interval of synthetic workloads that is judged. Before it, every contender has an hour
/// to learn the fleet.
pub const WARM_UP: usize = 60;

/// A span of time that is judged separately.
#[derive(Debug, Clone)]
pub struct Span {
    pub intervals: Range<usize>,
}

/// A workload with one seed.
pub struct Workload {
    /// What is judged.
    pub spans: Vec<Span>,
    pub traffic: Traffic,
    /// The rates behind the counts, if they are known.
    pub expected: Option<Vec<Vec<f64>>>,
    pub schedule: Schedule,
    pub timing: Timing,
    /// The budget, in traces per second.
    pub budget: f64,
    pub agents: Vec<Agent>,
    pub faults: AgentFaults,
    /// Operations with traffic at a time.
    pub operations: usize,
    /// SDK instances that each serve every operation, if a lower bound would cost something.
    pub instances: Option<u64>,
    /// The interval of a sudden event.
    pub event: Option<usize>,
    /// The floor of every operation, in traces per second; only Weir has floors.
    pub floor: f64,
    /// Whether SDKs that limit what they sample play too.
    pub enforced: bool,
}

/// A kind of workload.
pub struct Spec {
    pub name: &'static str,
    /// Describes what happens.
    pub says: &'static str,
    make: fn(u64) -> Workload,
}

/// The synthetic workloads.
pub const SYNTHETIC: &[Spec] = &[
    Spec {
        name: "steady",
        says: "nothing happens",
        make: |seed| scenario(Scenario::Steady, seed, Noise::Minute),
    },
    Spec {
        name: "steady, 10 s noise",
        says: "nothing happens",
        make: |seed| scenario(Scenario::Steady, seed, Noise::TenSeconds),
    },
    Spec {
        name: "steady, noise that persists",
        says: "nothing happens",
        make: |seed| scenario(Scenario::Steady, seed, Noise::Persistent),
    },
    Spec {
        name: "diurnal",
        says: "all rates rise and fall by 60 % within 240 minutes",
        make: |seed| scenario(Scenario::Diurnal, seed, Noise::Minute),
    },
    Spec {
        name: "diurnal, 10 s noise",
        says: "all rates rise and fall by 60 % within 240 minutes",
        make: |seed| scenario(Scenario::Diurnal, seed, Noise::TenSeconds),
    },
    Spec {
        name: "ramp",
        says: "all rates rise by 3 % a minute for 40 minutes and fall back as slowly",
        make: |seed| scenario(Scenario::Ramp, seed, Noise::Minute),
    },
    Spec {
        name: "ramp, 10 s noise",
        says: "all rates rise by 3 % a minute for 40 minutes and fall back as slowly",
        make: |seed| scenario(Scenario::Ramp, seed, Noise::TenSeconds),
    },
    Spec {
        name: "step",
        says: "all rates triple for an hour",
        make: |seed| scenario(Scenario::Step, seed, Noise::Minute),
    },
    Spec {
        name: "explode",
        says: "one small operation rises to 20,000 requests a second for half an hour",
        make: |seed| Workload {
            enforced: true,
            ..scenario(Scenario::Explode, seed, Noise::Minute)
        },
    },
    Spec {
        name: "rename",
        says: "three in ten operations are renamed",
        make: |seed| scenario(Scenario::Rename, seed, Noise::Minute),
    },
    Spec {
        name: "rename, 10 s noise",
        says: "three in ten operations are renamed",
        make: |seed| scenario(Scenario::Rename, seed, Noise::TenSeconds),
    },
    Spec {
        name: "loss",
        says: "the reports of half the agents are lost for five minutes",
        make: |seed| scenario(Scenario::Loss, seed, Noise::Minute),
    },
    Spec {
        name: "loss, 10 s noise",
        says: "the reports of half the agents are lost for five minutes",
        make: |seed| scenario(Scenario::Loss, seed, Noise::TenSeconds),
    },
    Spec {
        name: "lower bound",
        says: "200 operations with 1,000 instances each. Every instance of Jaeger's SDKs samples at \
               least one trace a minute of each operation; Weir's SDKs have no lower bound, or the \
               one from a reserve of 20 % of the budget",
        make: lower_bound,
    },
    Spec {
        name: "low budget",
        says: "like steady, but an equal share is one trace in 100 seconds",
        make: |seed| Workload {
            budget: LOW_BUDGET,
            ..scenario(Scenario::Steady, seed, Noise::Minute)
        },
    },
    Spec {
        name: "floors",
        says: "like steady, but with floors worth 1.5 budgets; no peer has floors",
        make: floors,
    },
];

impl Spec {
    /// Generates the workload. Equal seeds give equal workloads.
    pub fn make(&self, seed: u64) -> Workload {
        (self.make)(seed)
    }
}

pub use recorded::{REPORTING, RecordedWorkload, SPANS, recordings};

fn timing() -> Timing {
    Timing {
        interval: Duration::from_secs(60),
        grace: Duration::from_secs(10),
        poll_interval: Duration::from_secs(60),
        report_interval: Duration::from_secs(10),
    }
}

fn plain(traffic: Traffic, expected: Option<Vec<Vec<f64>>>, budget: f64) -> Workload {
    Workload {
        spans: vec![Span {
            intervals: WARM_UP..traffic.rows(),
        }],
        schedule: Schedule::new(traffic.rows(), 0, 1.0, None),
        operations: traffic.operations().len(),
        traffic,
        expected,
        timing: timing(),
        budget,
        agents: Agent::fleet(AGENTS, &timing()),
        faults: AgentFaults::default(),
        instances: None,
        event: None,
        floor: 0.0,
        enforced: false,
    }
}

fn scenario(scenario: Scenario, seed: u64, noise: Noise) -> Workload {
    let at_once = matches!(
        scenario,
        Scenario::Step | Scenario::Explode | Scenario::Rename | Scenario::Loss
    );
    Workload {
        operations: OPERATIONS,
        faults: AgentFaults {
            losses: scenario.loss(AGENTS).into_iter().collect(),
            ..AgentFaults::default()
        },
        event: at_once.then_some(EVENT),
        ..plain(
            scenario.traffic_with(seed, noise),
            Some(scenario.expected_with(seed, noise)),
            BUDGET,
        )
    }
}

/// The busiest operations of a steady fleet, as one service.
fn lower_bound(seed: u64) -> Workload {
    let fleet = Scenario::Steady.traffic(seed);
    let mut busiest: Vec<_> = Scenario::Steady
        .expected(seed)
        .into_iter()
        .enumerate()
        .collect();
    busiest.sort_by(|(_, one), (_, other)| other[0].total_cmp(&one[0]));
    busiest.truncate(SHOP_OPERATIONS);
    let service = ServiceName::parse(SHOP).unwrap();
    let (mut rows, mut expected) = (Vec::new(), Vec::new());
    for (rank, (place, rates)) in busiest.into_iter().enumerate() {
        let name = OperationName::parse(&format!("GET /resource-{rank}")).unwrap();
        let counts = fleet.operations()[place].counts.clone();
        rows.push((service.clone(), name, counts));
        expected.push(rates);
    }
    let traffic = Traffic::new(fleet.labels().to_vec(), rows).unwrap();
    Workload {
        instances: Some(SHOP_INSTANCES),
        ..plain(traffic, Some(expected), BUDGET)
    }
}

/// A steady fleet in which the floor of every operation makes all floors together too high.
fn floors(seed: u64) -> Workload {
    let workload = scenario(Scenario::Steady, seed, Noise::Minute);
    let rates: Vec<f64> = workload
        .expected
        .iter()
        .flatten()
        .map(|rates| rates[0])
        .collect();
    let worth = |floor: f64| rates.iter().map(|rate| rate.min(floor)).sum::<f64>();
    let (mut low, mut high) = (0.0, FLOORS * BUDGET);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if worth(middle) < FLOORS * BUDGET {
            low = middle;
        } else {
            high = middle;
        }
    }
    Workload {
        floor: high,
        ..workload
    }
}
