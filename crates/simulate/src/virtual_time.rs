//! Plays traffic against the allocation itself, in virtual time: hours of a fleet in a moment.
//!
//! Runs the same [`next_plan`] as a server, but without sockets, a database or waiting. Only the
//! timing remains: a plan is ready one grace after its window, an SDK uses what it polled last, and
//! a plan knows what has arrived by then. Requests are spread evenly over their interval, and SDKs
//! poll at evenly spread phases. So a known part of an interval's requests is sampled by each of the
//! last few plans: [`Timing::ages`]. Begin with [`play`], then [`Reports`].

mod agents;
mod inbox;
mod reports;
mod seat;
mod timing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};

use super::classes;
use super::faults::Faults;
use super::fleet::{Sampled, Tally};
use super::measure::{Cells, fill_equally, jain};
use super::reference::Reference;
use super::traffic::{Schedule, Traffic};
use super::verdict::Interval;
use weir_allocation::{Inputs, Plan, Policy, ServiceId, next_plan};

pub use agents::{Agent, AgentFaults, Claim, Delay, End, Loss, Restart};
pub use reports::Reports;
pub use timing::Timing;

/// A run in virtual time.
#[derive(Debug, Clone)]
pub struct VirtualRun {
    /// The traffic.
    pub traffic: Arc<Traffic>,
    /// Which of its rows are played when.
    pub schedule: Schedule,
    /// When plans, polls and reports come.
    pub timing: Timing,
    /// Who reports.
    pub agents: Vec<Agent>,
    /// The faults.
    pub faults: Faults,
    /// The policy for the allocation.
    pub policy: Policy,
    /// Intervals at the beginning that are not measured.
    pub warm_up: usize,
    /// The time in which an operation should show a trace.
    pub cell: Duration,
    /// The seed of all random numbers.
    pub seed: u64,
}

/// The results. Except for the intervals, they are of the intervals after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualPlayed {
    /// Every interval.
    pub intervals: Vec<Interval>,
    /// The mean part of the probabilities that a plan changes by more than 1 %.
    pub churn: f64,
    /// The part of the cells with requests that shows a trace. A cell is a span of time of one
    /// operation.
    pub covered: f64,
    /// Jain's index of the operations' sampled traces, each divided by what equal filling would
    /// have sampled.
    pub fairness: f64,
    /// Root requests and sampled traces of every operation.
    pub operations: Vec<(u64, u64)>,
    /// The mean of the traces per second by which floors exceeded the budget.
    pub missing: f64,
    /// The last plan.
    pub plan: Plan,
}

/// Sums over a run.
struct RunSums {
    cells: Cells,
    offered: Vec<u64>,
    sampled: Vec<u64>,
    ideal: Vec<f64>,
    churn: f64,
    missing: f64,
    intervals: usize,
}

impl RunSums {
    fn new(run: &VirtualRun) -> Self {
        let operations = run.traffic.operations().len();
        let span = run.cell.as_secs_f64() / run.timing.interval.as_secs_f64();
        Self {
            cells: Cells::new(operations, span.round() as usize),
            offered: vec![0; operations],
            sampled: vec![0; operations],
            ideal: vec![0.0; operations],
            churn: 0.0,
            missing: 0.0,
            intervals: 0,
        }
    }

    fn add(&mut self, run: &VirtualRun, budget: f64, offered: &[u64], sampled: &[u64]) {
        self.intervals += 1;
        self.cells.add(offered, sampled);
        let seconds = run.timing.interval.as_secs_f64();
        fill_equally(&mut self.ideal, offered, budget, seconds);
        for (sum, count) in self.offered.iter_mut().zip(offered) {
            *sum += count;
        }
        for (sum, count) in self.sampled.iter_mut().zip(sampled) {
            *sum += count;
        }
    }

    fn played(self, intervals: Vec<Interval>, plan: Plan) -> VirtualPlayed {
        let count = self.intervals.max(1) as f64;
        VirtualPlayed {
            intervals,
            churn: self.churn / count,
            covered: self.cells.covered(),
            fairness: jain(&self.sampled, &self.ideal),
            operations: self.offered.into_iter().zip(self.sampled).collect(),
            missing: self.missing / count,
            plan,
        }
    }
}

/// The state of a run.
struct Player<'a> {
    run: &'a VirtualRun,
    reports: Reports<'a>,
    ages: Vec<f64>,
    plan: Plan,
    /// The probabilities of the last plans by operation, newest first.
    served: VecDeque<Vec<f64>>,
    reference: Reference,
    told_by_reference: VecDeque<Vec<f64>>,
    coins: StdRng,
    reference_coins: StdRng,
    sums: RunSums,
}

/// Plays a run from beginning to end. Calls `observe` with every interval and the plan after it.
#[must_use]
pub fn play(run: &VirtualRun, mut observe: impl FnMut(usize, &Interval, &Plan)) -> VirtualPlayed {
    let mut player = Player::new(run);
    let mut intervals = Vec::with_capacity(run.schedule.intervals());
    for number in 0..run.schedule.intervals() {
        let interval = player.interval(number);
        observe(number, &interval, &player.plan);
        intervals.push(interval);
    }
    player.sums.played(intervals, player.plan)
}

impl<'a> Player<'a> {
    fn new(run: &'a VirtualRun) -> Self {
        let ages = run.timing.ages();
        let initial = run.policy.initial_probability;
        let operations = run.traffic.operations().len();
        let reference = Reference::new(operations, run.policy.budget, initial);
        // Three streams: a plan must not change the arrivals or the reference.
        let stream = |number: u64| StdRng::seed_from_u64(run.seed.wrapping_mul(3) + number);
        Self {
            reports: Reports::new(
                &run.traffic,
                &run.timing,
                &run.agents,
                &run.faults.agents,
                stream(0),
            ),
            plan: Plan::genesis(&run.policy),
            served: vec![vec![initial; operations]; ages.len()].into(),
            told_by_reference: vec![reference.first_plan().probabilities; ages.len()].into(),
            ages,
            reference,
            coins: stream(1),
            reference_coins: stream(2),
            sums: RunSums::new(run),
            run,
        }
    }

    fn interval(&mut self, number: usize) -> Interval {
        let run = self.run;
        let mut counts = run.schedule.counts(&run.traffic, number);
        // A plan is made with the budget at the end of its interval, and used in the next.
        let budget = run
            .faults
            .budget(run.policy.budget, number.saturating_sub(1));
        run.faults
            .shape(&run.traffic, &run.agents, number, &mut counts);
        let (tally, sampled) = self.sample(&counts);
        self.reports.close(number, &counts, &sampled);
        let windows = self.reports.windows(self.plan.settled);
        let policy = run.faults.policy(&run.policy, number);
        let policy = classes::with_defaults(policy, &run.traffic);
        self.plan = next_plan(&self.plan, &policy, Inputs::new(1, windows));
        let seconds = run.timing.interval.as_secs_f64();
        let served = probabilities(&self.plan, &run.traffic);
        turn(&mut self.served, served);
        if number >= run.warm_up {
            self.sums.add(run, budget, &counts, &sampled);
            self.sums.churn += self.churn();
            self.sums.missing += self.plan.fleet.missing;
        }
        self.reference.set_budget(policy.budget);
        let reference = self.reference.close_interval(&counts, seconds);
        turn(&mut self.told_by_reference, reference.probabilities);
        Interval {
            label: run.schedule.label(&run.traffic, number).to_owned(),
            seconds,
            budget_factor: budget / run.policy.budget,
            tally,
        }
    }

    /// Draws what the SDKs sample: in total, and of every operation.
    fn sample(&mut self, counts: &[u64]) -> (Tally, Vec<u64>) {
        let mut tally = Tally::default();
        let mut sampled = vec![0; counts.len()];
        let factors = self.held_to_caps(counts);
        for (place, &offered) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mixed = |plans: &VecDeque<Vec<f64>>| {
                let parts = self.ages.iter().zip(plans);
                parts.map(|(part, plan)| part * plan[place]).sum::<f64>()
            };
            let (served, reference) = (mixed(&self.served), mixed(&self.told_by_reference));
            let served = served * factors.get(place).copied().unwrap_or(1.0);
            let count = draw(&mut self.coins, offered, served);
            let sampled_by_reference = draw(&mut self.reference_coins, offered, reference);
            add(&mut tally.served, count, offered, served);
            add(
                &mut tally.reference,
                sampled_by_reference,
                offered,
                reference,
            );
            tally.offered += offered;
            sampled[place] = count;
        }
        (tally, sampled)
    }

    /// What edges divide probabilities by, so that no class of a service keeps more until the next plan than it may; empty
    /// without classes. They see seconds; here it is the mean of the interval.
    fn held_to_caps(&self, counts: &[u64]) -> Vec<f64> {
        let mut entries = classes::entries(&self.run.traffic).peekable();
        if entries.peek().is_none() {
            return Vec::new();
        }
        let entries: Vec<_> = entries.collect();
        let mut about = BTreeMap::new();
        for &(place, service, class) in &entries {
            let parts = self.ages.iter().zip(&self.served);
            let mixed: f64 = parts.map(|(part, plan)| part * plan[place]).sum();
            *about.entry((service, class)).or_insert(0.0) += counts[place] as f64 * mixed;
        }
        let planned = classes::planned(&self.plan, &self.run.traffic);
        let seconds = self.run.timing.interval.as_secs_f64();
        let mut factors = vec![1.0; counts.len()];
        for (place, service, class) in entries {
            let key = (service, class);
            let of = planned.get(&key).copied().unwrap_or_default();
            let most = seconds * classes::held(class, of, self.plan.fleet.budget);
            factors[place] = (most / about[&key]).min(1.0);
        }
        factors
    }

    /// The part of the listed probabilities that the newest plan changed by more than 1 %.
    fn churn(&self) -> f64 {
        let (new, old) = (&self.served[0], self.served.get(1));
        let changed = |old: &Vec<f64>| {
            let places = self.plan.operations.iter();
            let pairs = places.map(|plan| {
                let place = plan.operation.0 as usize - 1;
                (old[place], new[place])
            });
            pairs
                .filter(|(old, new)| (new - old).abs() > 0.01 * old)
                .count()
        };
        old.map_or(0, changed) as f64 / self.plan.operations.len().max(1) as f64
    }
}

/// The probability that a plan serves for every operation of the traffic, listed or not. Of a class that is not listed,
/// edges keep what others of its service get.
#[must_use]
pub fn probabilities(plan: &Plan, traffic: &Traffic) -> Vec<f64> {
    let services = traffic.services().iter().enumerate();
    let mut probabilities: Vec<f64> = services
        .flat_map(|(service, of)| {
            let default = plan.default_probability(ServiceId(service as u32 + 1));
            std::iter::repeat_n(default, of.operations.len())
        })
        .collect();
    let mut entries = classes::entries(traffic).peekable();
    if entries.peek().is_some() {
        let planned = classes::planned(plan, traffic);
        for (place, service, class) in entries {
            let known = planned.get(&(service, class));
            let known = known.and_then(classes::ClassPlan::probability);
            probabilities[place] = class.of_unnamed(known, probabilities[place], 1.0);
        }
    }
    for operation in &plan.operations {
        probabilities[operation.operation.0 as usize - 1] = operation.probability;
    }
    probabilities
}

/// Puts the newest plan in front and removes the oldest.
pub fn turn(plans: &mut VecDeque<Vec<f64>>, newest: Vec<f64>) {
    plans.push_front(newest);
    plans.pop_back();
}

fn add(sampled: &mut Sampled, count: u64, offered: u64, probability: f64) {
    let expected = offered as f64 * probability;
    sampled.count += count;
    sampled.expected += expected;
    sampled.variance += expected * (1.0 - probability);
}

/// How many of `trials` succeed.
pub fn draw(random: &mut StdRng, trials: u64, probability: f64) -> u64 {
    if trials == 0 || probability <= 0.0 {
        return 0;
    }
    if probability >= 1.0 {
        return trials;
    }
    Binomial::new(trials, probability)
        .expect("the probability lies between 0 and 1")
        .sample(random)
}

/// A policy with a budget and nothing else.
#[must_use]
pub fn budget_alone(budget: f64) -> Policy {
    Policy::of_budget(budget)
}
