//! Weir, with edges in front of every service: the plans of the server's allocation, and what edges make of them.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use weir_allocation::{Class, Inputs, Plan, Policy, ServiceId, next_plan};
use weir_simulate::classes::{held, planned, with_defaults};
use weir_simulate::virtual_time::{
    Agent, AgentFaults, Reports, Timing, budget_alone, probabilities,
};

use super::rules::Rule;
use super::workload::{BUDGET, Fleet};

/// Edges. Each sees the same part of the traffic.
const EDGES: usize = 3;
/// A plan is made this many seconds after its window, and edges have it two seconds later.
const GRACE: usize = 10;
const KNOWN_AFTER: usize = GRACE + 2;
/// What edges keep before the first plan.
const INITIAL: f64 = 0.1;

/// What edges know of a plan.
struct Served {
    probabilities: Vec<f64>,
    /// The most traces per second that one edge keeps of a class of a service until the next plan.
    caps: BTreeMap<(usize, Class), f64>,
}

pub struct Weir<'f> {
    fleet: &'f Fleet,
    policy: Policy,
    plan: Plan,
    reports: Reports<'f>,
    served: Served,
    /// The next plan, and the second from which on edges have it.
    coming: Option<(usize, Served)>,
    rates: BTreeMap<(usize, Class), Rate>,
    applied: Vec<f64>,
}

impl<'f> Weir<'f> {
    pub fn new(fleet: &'f Fleet, seed: u64) -> Self {
        let timing = Timing {
            interval: Duration::from_secs(60),
            grace: Duration::from_secs(GRACE as u64),
            poll_interval: Duration::from_secs(60),
            report_interval: Duration::from_secs(10),
        };
        let policy = with_defaults(budget_alone(BUDGET), &fleet.traffic);
        Self {
            fleet,
            plan: Plan::genesis(&policy),
            policy,
            reports: Reports::new(
                &fleet.traffic,
                &timing,
                &Agent::fleet(EDGES, &timing),
                &AgentFaults::default(),
                StdRng::seed_from_u64(seed),
            ),
            served: Served {
                probabilities: vec![INITIAL; fleet.entries.len()],
                caps: BTreeMap::new(),
            },
            coming: None,
            rates: BTreeMap::new(),
            applied: vec![INITIAL; fleet.entries.len()],
        }
    }

    fn served(&self) -> Served {
        let traffic = &self.fleet.traffic;
        let planned = planned(&self.plan, traffic);
        let classes = (0..traffic.services().len())
            .flat_map(|service| Class::ALL.map(|class| (service, class)));
        let cap = |(service, class): (usize, Class)| {
            let of = planned.get(&(ServiceId(service as u32 + 1), class));
            let cap = held(class, of.copied().unwrap_or_default(), BUDGET);
            ((service, class), cap / EDGES as f64)
        };
        Served {
            probabilities: probabilities(&self.plan, traffic),
            caps: classes.map(cap).collect(),
        }
    }
}

impl Rule for Weir<'_> {
    fn probabilities(&mut self, second: usize, counts: &[u64]) -> &[f64] {
        if let Some((_, served)) = self.coming.take_if(|(at, _)| *at <= second) {
            self.served = served;
        }
        let entries = || {
            self.fleet
                .entries
                .iter()
                .zip(counts)
                .zip(&self.served.probabilities)
        };
        let mut about: BTreeMap<(usize, Class), f64> = BTreeMap::new();
        for ((entry, count), probability) in entries() {
            let kept = *count as f64 * probability / EDGES as f64;
            *about.entry((entry.service, entry.class)).or_default() += kept;
        }
        let factors: BTreeMap<_, f64> = about
            .into_iter()
            .map(|(key, kept)| {
                let cap = self.served.caps.get(&key).copied().unwrap_or(f64::INFINITY);
                (
                    key,
                    self.rates.entry(key).or_default().factor(second, cap, kept),
                )
            })
            .collect();
        self.applied = entries()
            .map(|((entry, _), probability)| probability * factors[&(entry.service, entry.class)])
            .collect();
        &self.applied
    }

    fn minute(&mut self, number: usize, counts: &[u64], kept: &[u64]) {
        self.reports.close(number, counts, kept);
        let windows = self.reports.windows(self.plan.settled);
        self.plan = next_plan(&self.plan, &self.policy, Inputs::new(1, windows));
        self.coming = Some(((number + 1) * 60 + KNOWN_AFTER, self.served()));
    }
}

/// What an edge was about to keep of a class and service lately.
#[derive(Default)]
struct Rate {
    window: usize,
    current: f64,
    previous: f64,
}

/// The time over which a rare class is counted, in seconds, and what its cap keeps in that time.
const LONGEST: f64 = 60.0;
const KEPT: f64 = 10.0;

impl Rate {
    /// The mean factor of the probabilities of the traces that come evenly over a second.
    ///
    /// # Source
    /// `crates/edge/src/core/caps.rs`, which divides what the cap keeps in a window by what was about to be kept in it, or
    /// in the one before, trace by trace; this is its integral over a second.
    fn factor(&mut self, second: usize, cap: f64, kept: f64) -> f64 {
        if kept <= 0.0 || cap.is_infinite() {
            return 1.0;
        }
        let length = (KEPT / cap).clamp(1.0, LONGEST);
        let window = (second as f64 / length) as usize;
        if window != self.window {
            let is_next = self.window + 1 == window;
            self.previous = if is_next { self.current } else { 0.0 };
            (self.window, self.current) = (window, 0.0);
        }
        let (from, to) = (self.current, self.current + kept);
        self.current = to;
        let allowed = cap * length;
        // The factor is the same until more than this is about to be kept.
        let even = allowed.max(self.previous);
        let (least, most) = (from.min(even), to.min(even));
        let above = allowed * (to.max(even).ln() - from.max(even).ln());
        (allowed / even * (most - least) + above) / kept
    }
}
