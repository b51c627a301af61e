//! A fleet whose SDKs apply a lower bound, instance by instance and operation by operation.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution, Poisson, Uniform};
use weir::allocation::{
    OperationCount, OperationId, Plan, Policy, ServiceCount, ServiceId, WindowCounts,
};

use super::fleet::{WINDOW_MILLISECONDS, again, agent, count, counts, next};

const SECONDS: f64 = WINDOW_MILLISECONDS as f64 / 1000.0;

/// The number of agents. Each has the same number of instances.
const AGENTS: u64 = 100;

/// How SDKs treat the lower bound that they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdks {
    /// As OpenTelemetry's for Go and Jaeger's own do.
    ApplyIt,
    /// As those for Java, JavaScript and Rust do.
    IgnoreIt,
}

/// The part of an operation's requests that one of these instances gets.
pub type Split = fn(operation: usize, instance: usize, instances: usize) -> f64;

/// One service's instances, each of which serves every operation.
pub struct Fleet {
    pub instances: usize,
    /// Root requests per second, operation by operation.
    pub rates: Vec<f64>,
    /// Which instance gets which part.
    pub split: Split,
    pub sdks: Sdks,
    pub policy: Policy,
    pub plan: Plan,
    /// The credit of each limiter, operation by operation and instance by instance.
    credits: Vec<f64>,
    before: Option<WindowCounts>,
    random: StdRng,
}

/// The sampled traces of a window, in traces per second.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// By the probabilities.
    pub sampled: f64,
    /// By the lower bound alone.
    pub guaranteed: f64,
}

impl Kept {
    pub fn all(&self) -> f64 {
        self.sampled + self.guaranteed
    }
}

impl Fleet {
    /// Instances that have been running for long: each limiter has some part of a credit. (One that
    /// has just started has a whole one, whatever it is served.)
    pub fn new(instances: usize, rates: Vec<f64>, policy: Policy, sdks: Sdks) -> Self {
        let mut random = StdRng::seed_from_u64(7);
        let part = Uniform::new(0.0, 1.0).expect("a range");
        let limiters = instances * rates.len();
        Self {
            instances,
            split: |_, _, instances| 1.0 / instances as f64,
            sdks,
            plan: Plan::genesis(&policy),
            policy,
            credits: (0..limiters).map(|_| part.sample(&mut random)).collect(),
            before: None,
            random,
            rates,
        }
    }

    /// Plays a window under the current plan, and computes the next plan.
    pub fn pass(&mut self) -> Kept {
        let (mut operations, mut by_bound) = (Vec::new(), 0);
        for operation in 0..self.rates.len() {
            let (count, extra) = self.operation(operation);
            by_bound += extra;
            operations.push(count);
        }
        let offered: u64 = operations.iter().map(|count| count.offered).sum();
        let sampled: u64 = operations.iter().map(|count| count.sampled).sum();
        let agents = (1..=AGENTS).map(|id| agent(id, offered / AGENTS)).collect();
        let window = WindowCounts {
            services: vec![seen(self.instances as u64)],
            ..counts(self.plan.number as i64, operations, agents)
        };
        self.plan = match self.before.take() {
            Some(before) => again(&self.plan, &self.policy, &before, &window),
            None => next(&self.plan, &self.policy, &window),
        };
        self.before = Some(window);
        Kept {
            sampled: (sampled - by_bound) as f64 / SECONDS,
            guaranteed: by_bound as f64 / SECONDS,
        }
    }

    /// One operation's window: its counts, and how many were sampled by the bound alone.
    fn operation(&mut self, operation: usize) -> (OperationCount, u64) {
        let id = OperationId(operation as u32 + 1);
        let listed = self
            .plan
            .operations
            .iter()
            .find(|plan| plan.operation == id);
        let default = self.plan.default_probability(ServiceId(1));
        let probability = listed.map_or(default, |plan| plan.probability);
        let served = self.plan.services.first();
        let bound = served.map_or(0.0, |service| service.lower_bound);
        let (mut total, mut by_bound) = (count(id.0, 0), 0);
        for instance in 0..self.instances {
            let part = (self.split)(operation, instance, self.instances);
            let offered = self.poisson(self.rates[operation] * SECONDS * part);
            let limiter = operation * self.instances + instance;
            // Every request takes a credit if there is one, sampled or not.
            let credit = self.credits[limiter] + bound * SECONDS;
            let used = offered.min(credit as u64);
            self.credits[limiter] = (credit - used as f64).min(1.0);
            let extra = match self.sdks {
                Sdks::ApplyIt => self.binomial(used, 1.0 - probability),
                Sdks::IgnoreIt => 0,
            };
            by_bound += extra;
            total.offered += offered;
            total.sampled += extra + self.binomial(offered - extra, probability);
        }
        (total, by_bound)
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        let counts = Poisson::new(mean).expect("the mean is positive");
        counts.sample(&mut self.random) as u64
    }

    fn binomial(&mut self, trials: u64, probability: f64) -> u64 {
        if trials == 0 || probability <= 0.0 {
            return 0;
        }
        let kept = Binomial::new(trials, probability).expect("a plan serves probabilities");
        kept.sample(&mut self.random)
    }
}

/// This many instances of service 1 for the whole window.
pub fn seen(instances: u64) -> ServiceCount {
    ServiceCount {
        service: ServiceId(1),
        instance_milliseconds: instances * WINDOW_MILLISECONDS as u64,
    }
}
