//! A fleet in virtual time: seeded traffic, agents that report it, SDKs that apply the plan.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution, Normal, Poisson};
use weir::allocation::{
    AgentCount, AgentId, AgentReport, Inputs, OperationCount, OperationId, Plan, Policy, ServiceId,
    Timestamp, Window, WindowCounts, next_plan,
};

pub const WINDOW_MILLISECONDS: i64 = 60_000;

/// A policy with a budget and nothing else.
pub fn policy(budget: f64) -> Policy {
    Policy::of_budget(budget)
}

/// The window of this number, a minute long.
pub fn window(number: i64) -> Window {
    Window {
        start: Timestamp(number * WINDOW_MILLISECONDS),
        end: Timestamp((number + 1) * WINDOW_MILLISECONDS),
    }
}

/// The counts of one named operation of service 1.
pub fn count(operation: u32, offered: u64) -> OperationCount {
    OperationCount {
        operation: OperationId(operation),
        service: ServiceId(1),
        overflow: false,
        offered,
        sampled: 0,
    }
}

/// What one agent reports of a window.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    pub agent: u64,
    pub offered: u64,
    /// How much of the window its report covers, from the beginning on.
    pub covered_milliseconds: i64,
}

/// The report of one agent for a whole minute.
pub fn agent(agent: u64, offered: u64) -> Heard {
    Heard {
        agent,
        offered,
        covered_milliseconds: WINDOW_MILLISECONDS,
    }
}

/// The counts of a window, as these agents reported them.
pub fn counts(number: i64, operations: Vec<OperationCount>, agents: Vec<Heard>) -> WindowCounts {
    let mut counts = WindowCounts {
        window: window(number),
        operations,
        ..WindowCounts::default()
    };
    hear(&mut counts, &agents);
    counts
}

/// Sets the agents that were heard in a window. No report follows directly on another, so the time
/// between two is unknown.
pub fn hear(counts: &mut WindowCounts, agents: &[Heard]) {
    let window = counts.window;
    let report = |heard: &Heard| AgentReport {
        agent: AgentId(heard.agent),
        epoch: 1,
        sequence: window.start.0.unsigned_abs(),
        span: Window {
            start: window.start,
            end: Timestamp(window.start.0 + heard.covered_milliseconds),
        },
        last: false,
        basis: Default::default(),
    };
    let count = |heard: &Heard| AgentCount {
        agent: AgentId(heard.agent),
        service: None,
        offered: heard.offered,
        sampled: 0,
    };
    counts.reports = agents.iter().map(report).collect();
    counts.agents = agents.iter().map(count).collect();
}

/// Computes the next plan from a window that goes on where the plan's ended.
pub fn next(plan: &Plan, policy: &Policy, counts: &WindowCounts) -> Plan {
    next_plan(plan, policy, Inputs::new(1, std::slice::from_ref(counts)))
}

/// Computes the next plan, and reads the window before again.
pub fn again(plan: &Plan, policy: &Policy, before: &WindowCounts, counts: &WindowCounts) -> Plan {
    next_plan(
        plan,
        policy,
        Inputs::new(1, &[before.clone(), counts.clone()]),
    )
}

/// One operation of a simulated fleet.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub operation: OperationId,
    pub service: ServiceId,
    pub overflow: bool,
    /// Root requests per second.
    pub rate: f64,
}

/// A simulated fleet and the plan it runs under.
pub struct Fleet {
    pub sources: Vec<Source>,
    pub agents: u64,
    /// How many of the agents' reports arrive, from the first on.
    pub heard: u64,
    /// How SDKs apply the probabilities that they are served: 1 if exactly.
    pub applied: f64,
    /// The relative scatter of every operation's rate per window.
    pub noise: f64,
    pub policy: Policy,
    pub plan: Plan,
    /// The counts of the plan's window.
    pub before: Option<WindowCounts>,
    random: StdRng,
}

impl Fleet {
    pub fn new(sources: Vec<Source>, policy: Policy, seed: u64) -> Self {
        Self {
            sources,
            agents: 10,
            heard: 10,
            applied: 1.0,
            noise: 0.0,
            plan: Plan::genesis(&policy),
            before: None,
            policy,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Operations of ten services whose rates fall by Zipf's law with exponent 1.6.
    pub fn zipf(operations: u32, rate: f64) -> Vec<Source> {
        let weight = |rank: u32| f64::from(rank).powf(-1.6);
        let total: f64 = (1..=operations).map(weight).sum();
        (1..=operations)
            .map(|rank| Source {
                operation: OperationId(100 + rank),
                service: ServiceId(1 + rank % 10),
                overflow: false,
                rate: rate * weight(rank) / total,
            })
            .collect()
    }

    /// The probability that an operation is served: its own, else its service's default.
    pub fn served(&self, source: &Source) -> f64 {
        let plan = &self.plan;
        let listed = plan
            .operations
            .binary_search_by_key(&source.operation, |plan| plan.operation);
        match listed {
            Ok(index) if !source.overflow => plan.operations[index].probability,
            _ => plan.default_probability(source.service),
        }
    }

    /// Plays a window and computes its plan. Returns the traces per second that the whole fleet
    /// sampled, reported or not.
    pub fn pass(&mut self) -> f64 {
        let (counts, kept) = self.counts();
        let seconds = counts.window.seconds();
        self.plan = match self.before.take() {
            Some(before) => again(&self.plan, &self.policy, &before, &counts),
            None => next(&self.plan, &self.policy, &counts),
        };
        self.before = Some(counts);
        kept as f64 / seconds
    }

    /// Draws a window's traffic and samples it with the current plan.
    pub fn counts(&mut self) -> (WindowCounts, u64) {
        let window = window(self.plan.number as i64);
        let heard_part = self.heard as f64 / self.agents as f64;
        let (mut operations, mut kept) = (Vec::new(), 0);
        for source in self.sources.clone() {
            let probability = (self.served(&source) * self.applied).min(1.0);
            let scatter = Normal::new(1.0, self.noise).expect("noise is finite");
            let rate = source.rate * scatter.sample(&mut self.random).max(0.0);
            let expected = rate * window.seconds();
            let offered = self.poisson(expected * heard_part);
            let sampled = self.binomial(offered, probability);
            let unheard = self.poisson(expected * (1.0 - heard_part));
            kept += sampled + self.binomial(unheard, probability);
            if offered > 0 {
                operations.push(OperationCount {
                    operation: source.operation,
                    service: source.service,
                    overflow: source.overflow,
                    offered,
                    sampled,
                });
            }
        }
        let offered: u64 = operations.iter().map(|count| count.offered).sum();
        let agents = (0..self.heard).map(|id| agent(id, offered / self.heard));
        let number = window.start.0 / WINDOW_MILLISECONDS;
        (counts(number, operations, agents.collect()), kept)
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        let counts = Poisson::new(mean).expect("the mean is positive");
        counts.sample(&mut self.random) as u64
    }

    fn binomial(&mut self, trials: u64, probability: f64) -> u64 {
        let kept = Binomial::new(trials, probability).expect("a plan serves probabilities");
        kept.sample(&mut self.random)
    }
}
