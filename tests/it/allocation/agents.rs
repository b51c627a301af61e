//! Agents that report as real ones do: in time, late, once, under new names, or no longer.
//!
//! Nothing is drawn: what SDKs keep is the probability times the requests.

use std::collections::BTreeMap;

use weir::allocation::{
    AgentCount, AgentId, AgentReport, AgentState, Basis, Inputs, OperationCount, OperationId, Plan,
    Policy, PollCount, PollState, ServiceId, Timestamp, WINDOWS_READ_MAX, Window, WindowCounts,
    next_plan,
};

use super::fleet::{WINDOW_MILLISECONDS, policy, window};

/// When a report arrives that never does.
pub const NEVER: i64 = i64::MAX;

/// One agent's report of one window, and the traffic behind it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub agent: u64,
    /// The number of the window that it covers.
    pub window: i64,
    pub sequence: u64,
    /// Where in the window the report begins and ends, in [0, 1].
    pub begins: f64,
    pub ends: f64,
    /// The window in whose plan it can be read first.
    pub arrives: i64,
    pub last: bool,
    /// The part of what was sampled that the report states.
    pub stated: f64,
    /// By what it was counted.
    pub basis: Basis,
    /// Service, operation, and root requests.
    pub counts: Vec<(u32, u32, u64)>,
}

/// A report that covers a window and comes in time: a hundred requests a second of service 1 and ten.
pub fn sent(agent: u64, window: i64) -> Sent {
    Sent {
        agent,
        window,
        sequence: window.unsigned_abs(),
        begins: 0.0,
        ends: 1.0,
        arrives: window,
        last: false,
        stated: 1.0,
        basis: Basis::Reports,
        counts: vec![(1, 1, 6_000), (1, 2, 600)],
    }
}

impl Sent {
    /// The same report, some windows later.
    pub fn late(self, windows: i64) -> Self {
        Self {
            arrives: self.window + windows,
            ..self
        }
    }

    /// The same traffic, of which nobody hears.
    pub fn lost(self) -> Self {
        Self {
            arrives: NEVER,
            ..self
        }
    }

    /// The same report of a part of the traffic.
    pub fn times(mut self, factor: f64) -> Self {
        for (.., offered) in &mut self.counts {
            *offered = (*offered as f64 * factor).round() as u64;
        }
        self
    }

    fn span(&self) -> Window {
        let start = window(self.window).start.0;
        let at = |part: f64| Timestamp(start + (WINDOW_MILLISECONDS as f64 * part) as i64);
        Window {
            start: at(self.begins),
            end: at(self.ends),
        }
    }

    fn report(&self) -> AgentReport {
        AgentReport {
            agent: AgentId(self.agent),
            epoch: 1,
            sequence: self.sequence,
            span: self.span(),
            last: self.last,
            basis: self.basis,
        }
    }
}

/// A fleet, what its agents sent, and the plan it runs under.
pub struct World {
    pub policy: Policy,
    pub plan: Plan,
    /// Each report, and how many requests of each count were sampled.
    sent: Vec<(Sent, Vec<u64>)>,
    /// The number of the next window.
    number: i64,
    /// The polls of service 1 in each window, where they are known.
    polls: BTreeMap<i64, u32>,
}

impl World {
    pub fn new(budget: f64) -> Self {
        let policy = policy(budget);
        Self {
            plan: Plan::genesis(&policy),
            policy,
            sent: Vec::new(),
            number: 0,
            polls: BTreeMap::new(),
        }
    }

    /// A fleet of agents that have reported in time for some windows.
    pub fn settled(budget: f64, agents: u64, windows: i64) -> Self {
        let mut world = Self::new(budget);
        for _ in 0..windows {
            world.pass(|number| (1..=agents).map(|agent| sent(agent, number)).collect());
        }
        world
    }

    /// Plays a window and computes its plan. Returns what was kept, as a multiple of the budget that
    /// was served.
    pub fn pass(&mut self, traffic: impl FnOnce(i64) -> Vec<Sent>) -> f64 {
        let budget = self.plan.fleet.budget;
        let traffic = traffic(self.number);
        let kept_of = |(service, operation, offered): &(u32, u32, u64)| {
            self.served(*service, *operation) * *offered as f64
        };
        let each = traffic.iter().flat_map(|sent| &sent.counts);
        let kept: f64 = each.map(kept_of).sum();
        let sampled = |sent: &Sent| {
            let stated = |of| (kept_of(of) * sent.stated).round() as u64;
            sent.counts.iter().map(stated).collect()
        };
        let traffic: Vec<_> = traffic
            .into_iter()
            .map(|sent| (sent.clone(), sampled(&sent)))
            .collect();
        self.sent.extend(traffic);
        let windows = self.windows();
        self.plan = next_plan(&self.plan, &self.policy, Inputs::new(1, &windows));
        self.number += 1;
        kept / (WINDOW_MILLISECONDS as f64 / 1000.0) / budget
    }

    /// The same for a window in which SDKs of service 1 polled.
    pub fn pass_polled(&mut self, polls: u32, traffic: impl FnOnce(i64) -> Vec<Sent>) -> f64 {
        self.polls.insert(self.number, polls);
        self.pass(traffic)
    }

    /// The probability that an operation is served.
    pub fn served(&self, service: u32, operation: u32) -> f64 {
        let found = self.plan.operations.iter();
        let mut found = found.filter(|plan| plan.operation == OperationId(operation));
        found.next().map_or_else(
            || self.plan.default_probability(ServiceId(service)),
            |plan| plan.probability,
        )
    }

    /// What is known of an agent.
    pub fn agent(&self, agent: u64) -> Option<AgentState> {
        let known = self.plan.agents.iter();
        known.copied().find(|state| state.agent == AgentId(agent))
    }

    /// What is known of the polls of service 1.
    pub fn polls(&self) -> PollState {
        let service = self.plan.service(ServiceId(1));
        service.map_or_else(PollState::default, |service| service.polls)
    }

    /// The windows that the next plan is made from, with what has arrived.
    fn windows(&self) -> Vec<WindowCounts> {
        let settled = self.plan.settled.0 / WINDOW_MILLISECONDS;
        let first = settled.max(self.number + 1 - WINDOWS_READ_MAX as i64);
        (first.min(self.number)..=self.number)
            .map(|number| self.counts(number))
            .collect()
    }

    fn counts(&self, number: i64) -> WindowCounts {
        let arrived = self.sent.iter();
        let arrived = arrived.filter(|(sent, _)| sent.arrives <= self.number);
        let mut operations: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
        let mut agents: BTreeMap<(u64, u32), (u64, u64)> = BTreeMap::new();
        let (mut reports, mut late) = (Vec::new(), Vec::new());
        for (sent, sampled) in arrived {
            if sent.arrives == number && sent.window + 1 < number {
                late.push(sent.report());
            }
            if sent.window != number {
                continue;
            }
            reports.push(sent.report());
            for ((service, operation, offered), sampled) in sent.counts.iter().zip(sampled) {
                let sum = operations.entry((*operation, *service)).or_default();
                *sum = (sum.0 + offered, sum.1 + sampled);
                let sum = agents.entry((sent.agent, *service)).or_default();
                *sum = (sum.0 + offered, sum.1 + sampled);
            }
        }
        let operation = |((operation, service), (offered, sampled))| OperationCount {
            operation: OperationId(operation),
            service: ServiceId(service),
            overflow: false,
            offered,
            sampled,
        };
        let agent = |((agent, service), (offered, sampled))| AgentCount {
            agent: AgentId(agent),
            service: Some(ServiceId(service)),
            offered,
            sampled,
        };
        WindowCounts {
            window: window(number),
            operations: operations.into_iter().map(operation).collect(),
            services: vec![],
            reports,
            agents: agents.into_iter().map(agent).collect(),
            late,
            polls: self.polls.get(&number).map(|&polls| {
                let service = ServiceId(1);
                vec![PollCount { service, polls }]
            }),
        }
    }
}
