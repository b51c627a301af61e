//! What is played for a row of the table: a small fleet, and what happens to it.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal, Poisson};

use weir_allocation::{OperationName, Policy, ServiceName};
use weir_simulate::Traffic;
use weir_simulate::faults::{Faults, Mint, Rename};
use weir_simulate::virtual_time::{Agent, Timing, budget_alone};

/// The fleet: services, operations of each, root requests per second of them all.
pub const SERVICES: usize = 10;
pub const OPERATIONS: usize = 30;
pub const PER_SECOND: f64 = 5000.0;
/// The budget, in traces per second: 1 % of the traffic.
pub const BUDGET: f64 = 50.0;
/// A small one.
pub const SMALL: f64 = 5.0;
pub const AGENTS: usize = 8;
/// The interval in which something happens; what is not there from the beginning.
pub const EVENT: usize = 30;
/// How long the rows of a silence of an hour are.
pub const LONG: usize = EVENT + 90;
/// How all rates scatter together, and each by itself. Small, so that three seeds show what a fault
/// does.
const COMMON_NOISE: f64 = 0.01;
const OWN_NOISE: f64 = 0.1;

/// What operators change.
pub type Change = fn(&mut Policy);

/// What is played.
pub struct Case {
    pub intervals: usize,
    /// The factor of the rates of an operation in an interval, by its place.
    pub course: Box<dyn Fn(usize, usize) -> f64 + Sync>,
    pub timing: Timing,
    pub agents: Vec<Agent>,
    pub faults: Faults,
    pub mint: Option<Mint>,
    pub rename: Option<Rename>,
    pub policy: Policy,
    /// What operators change, from which interval's plan on.
    pub change: Option<(usize, Change)>,
    /// The part of the usual traffic.
    pub scale: f64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            intervals: EVENT + 60,
            course: Box::new(|_, _| 1.0),
            timing: timing(),
            agents: Agent::fleet(AGENTS, &timing()),
            faults: Faults::default(),
            mint: None,
            rename: None,
            policy: budget_alone(BUDGET),
            change: None,
            scale: 1.0,
        }
    }
}

fn timing() -> Timing {
    Timing {
        interval: Duration::from_secs(60),
        grace: Duration::from_secs(10),
        poll_interval: Duration::from_secs(60),
        report_interval: Duration::from_secs(10),
    }
}

/// A fleet in which every agent is changed.
pub fn agents(count: usize, change: impl Fn(usize, Agent) -> Agent) -> Vec<Agent> {
    let agents = Agent::fleet(count, &timing()).into_iter().enumerate();
    agents.map(|(place, agent)| change(place, agent)).collect()
}

/// A number in [0, 1) that looks drawn.
pub fn phase(place: usize) -> f64 {
    (0.37 + 0.618_033_988_749 * place as f64).fract()
}

/// A case with a seed, ready to be played.
pub struct Scene {
    pub traffic: Traffic,
    /// The offered requests, interval by interval.
    pub counts: Vec<Vec<u64>>,
    /// The operations that were minted or renamed.
    pub new: Vec<usize>,
}

impl Case {
    /// The policy of the plan after an interval.
    pub fn policy(&self, interval: usize) -> Policy {
        let mut policy = self.faults.policy(&self.policy, interval);
        if let Some((at, change)) = self.change.filter(|(at, _)| interval >= *at) {
            change(&mut policy);
            policy.revision += at as u64;
        }
        policy
    }

    /// Draws the traffic.
    pub fn scene(&self, seed: u64) -> Scene {
        let mut traffic = self.traffic(seed);
        let known = traffic.operations().len();
        let names = |traffic: &Traffic| -> Vec<String> {
            let operations = traffic.operations().iter();
            operations.map(|of| of.name.as_str().to_owned()).collect()
        };
        let old = names(&traffic);
        let mut faults = self.faults.clone();
        if let Some(mint) = &self.mint {
            let (more, minted) = mint.mint(&traffic, 1, self.intervals);
            traffic = more;
            faults.minted.push(minted);
        }
        if let Some(rename) = self.rename {
            traffic = faults.rename(traffic, vec![rename], seed);
        }
        let counts = (0..self.intervals).map(|number| {
            let recorded = traffic.operations().iter();
            let mut counts: Vec<u64> = recorded.map(|of| u64::from(of.counts[number])).collect();
            faults.shape(&traffic, &self.agents, number, &mut counts);
            counts
        });
        let counts = counts.collect();
        let old: std::collections::HashSet<String> = old.into_iter().collect();
        let new = if traffic.operations().len() > known {
            let places = names(&traffic).into_iter().enumerate();
            places
                .filter(|(_, name)| !old.contains(name))
                .map(|(place, _)| place)
                .collect()
        } else {
            Vec::new()
        };
        Scene {
            traffic,
            counts,
            new,
        }
    }

    fn traffic(&self, seed: u64) -> Traffic {
        let mut random = StdRng::seed_from_u64(seed);
        let all = SERVICES * OPERATIONS;
        let sum: f64 = (1..=all).map(|rank| 1.0 / rank as f64).sum();
        let common = Normal::new(1.0, COMMON_NOISE).unwrap();
        let common: Vec<f64> = (0..self.intervals)
            .map(|_| common.sample(&mut random))
            .collect();
        let seconds = self.timing.interval.as_secs_f64();
        let own = Normal::new(1.0, OWN_NOISE).unwrap();
        // In the order of the traffic: service by service.
        let ranks = (0..SERVICES).flat_map(|service| (service..all).step_by(SERVICES));
        let row = |(place, rank): (usize, usize)| {
            let rate = self.scale * PER_SECOND / sum / (rank as f64 + 1.0);
            let mut count = |number: usize| {
                let scatter: f64 = common[number] * f64::max(own.sample(&mut random), 0.0);
                let mean = rate * seconds * scatter * (self.course)(place, number);
                let drawn: f64 = Poisson::new(mean).map_or(0.0, |it| it.sample(&mut random));
                drawn as u32
            };
            let counts = (0..self.intervals).map(&mut count).collect();
            let service = format!("service-{}", rank % SERVICES);
            (
                ServiceName::parse(&service).unwrap(),
                OperationName::parse(&format!("GET /resource-{rank}")).unwrap(),
                counts,
            )
        };
        let rows = ranks.enumerate().map(row).collect();
        let labels = (0..self.intervals).map(|row| row.to_string()).collect();
        Traffic::new(labels, rows).unwrap()
    }
}
