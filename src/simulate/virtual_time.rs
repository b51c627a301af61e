//! Plays traffic against the engine itself, in virtual time: hours of a fleet in a moment.
//!
//! The same [`next_plan`] that a server runs, without its server: no sockets, no database, no
//! waiting. What remains of them is *when*: a plan is there a grace after its window, an SDK holds
//! what it polled last, and an agent's report is late if it comes after the grace. Requests spread
//! evenly over their interval and SDKs poll at every phase alike, so of an interval's requests a
//! known part is sampled by each of the last few plans: [`Timing::ages`]. Reports that straddle
//! the end of a window are taken to say exactly which requests belong to it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};

use super::fleet::{Kept, Tally};
use super::reference::Reference;
use super::traffic::{Schedule, Traffic};
use super::verdict::Interval;
use crate::allocation::{
    AgentCount, AgentId, Inputs, OperationCount, OperationId, Plan, Policy, ServiceId, Timestamp,
    Window, WindowCounts, next_plan,
};

/// Steps in which the requests of an interval are laid over it to find the plans they meet.
const STEPS: u32 = 1000;

/// When things happen, beside the interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How often a plan is computed.
    pub interval: Duration,
    /// How long after its end a window waits for reports.
    pub grace: Duration,
    /// How often an SDK polls.
    pub poll_interval: Duration,
    /// How often an agent reports.
    pub report_interval: Duration,
}

impl Timing {
    /// The parts of an interval's requests that are sampled by the plan of the window before, of
    /// the one before that, and so on.
    #[must_use]
    pub fn ages(&self) -> Vec<f64> {
        let interval = self.interval.as_secs_f64();
        let poll = self.poll_interval.as_secs_f64() / interval;
        let grace = self.grace.as_secs_f64() / interval;
        // A request at u sees a poll between u − poll and u; the plan of the window that ended j
        // intervals before this one began is there from grace − j on.
        let met = |since: f64| {
            let part = |u: f64| ((u - since) / poll).clamp(0.0, 1.0);
            let steps = (0..STEPS).map(|step| (f64::from(step) + 0.5) / f64::from(STEPS));
            steps.map(part).sum::<f64>() / f64::from(STEPS)
        };
        let mut ages = Vec::new();
        let mut before = 0.0;
        while before < 1.0 - 1e-9 {
            let until = met(grace - ages.len() as f64);
            ages.push(until - before);
            before = until;
        }
        ages
    }

    /// The part of a window that an agent's reports cover when the window closes; `place` says
    /// where in [0, 1) of its report interval the agent's reports end.
    fn covered(&self, place: f64) -> f64 {
        let report = self.report_interval.as_secs_f64();
        let after_end = place * report;
        if after_end <= self.grace.as_secs_f64() {
            return 1.0;
        }
        let missing = (report - after_end) / self.interval.as_secs_f64();
        (1.0 - missing).max(0.0)
    }
}

/// Agents whose reports never arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The intervals in which they do not.
    pub intervals: Range<usize>,
    /// How many of the agents it is.
    pub agents: usize,
}

/// What is played.
#[derive(Debug, Clone)]
pub struct VirtualRun {
    /// The traffic.
    pub traffic: Traffic,
    /// Which of its rows are played when.
    pub schedule: Schedule,
    /// When plans, polls and reports come.
    pub timing: Timing,
    /// How many agents report.
    pub agents: usize,
    /// Reports that are lost on the way.
    pub loss: Option<Loss>,
    /// What the engine is asked to hold.
    pub policy: Policy,
    /// Where the randomness starts.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualPlayed {
    /// Every interval.
    pub intervals: Vec<Interval>,
    /// The mean part of the probabilities that a plan changes by over 1 %.
    pub churn: f64,
    /// The last plan.
    pub plan: Plan,
}

/// A run at some instant.
struct Player<'a> {
    run: &'a VirtualRun,
    /// The part of a window's requests heard in time, and each agent's, by agent.
    covered: Vec<f64>,
    ages: Vec<f64>,
    plan: Plan,
    /// The probabilities of the last plans by operation, the newest first.
    served: VecDeque<Vec<f64>>,
    reference: Reference,
    told_by_reference: VecDeque<Vec<f64>>,
    before: Option<WindowCounts>,
    arrivals: StdRng,
    coins: StdRng,
    reference_coins: StdRng,
}

/// Plays a run from beginning to end; tells `observe` of every plan.
#[must_use]
pub fn play(run: &VirtualRun, mut observe: impl FnMut(usize, &Plan)) -> VirtualPlayed {
    let mut player = Player::new(run);
    let mut intervals = Vec::with_capacity(run.schedule.intervals());
    let mut churn = 0.0;
    for number in 0..run.schedule.intervals() {
        intervals.push(player.interval(number));
        churn += player.churn();
        observe(number, &player.plan);
    }
    VirtualPlayed {
        churn: churn / intervals.len().max(1) as f64,
        intervals,
        plan: player.plan,
    }
}

impl<'a> Player<'a> {
    fn new(run: &'a VirtualRun) -> Self {
        let ages = run.timing.ages();
        let initial = run.policy.initial_probability;
        let operations = run.traffic.operations().len();
        let reference = Reference::new(operations, run.policy.budget, initial);
        let of_agent = |agent: usize| (agent as f64 + 0.5) / run.agents.max(1) as f64;
        // Three streams: what a plan says must change neither the arrivals nor the reference.
        let stream = |number: u64| StdRng::seed_from_u64(run.seed.wrapping_mul(3) + number);
        Self {
            covered: (0..run.agents)
                .map(|agent| run.timing.covered(of_agent(agent)))
                .collect(),
            plan: Plan::genesis(&run.policy),
            served: vec![vec![initial; operations]; ages.len()].into(),
            told_by_reference: vec![reference.first_plan().probabilities; ages.len()].into(),
            ages,
            reference,
            before: None,
            arrivals: stream(0),
            coins: stream(1),
            reference_coins: stream(2),
            run,
        }
    }

    fn interval(&mut self, number: usize) -> Interval {
        let run = self.run;
        let counts = run.schedule.counts(&run.traffic, number);
        let (tally, sampled) = self.sample(&counts);
        let whole = self.heard(number, &counts, &sampled, true);
        let in_time = self.heard(number, &counts, &sampled, false);
        self.plan = next_plan(
            &self.plan,
            &run.policy,
            Inputs {
                corrected: self.before.as_ref(),
                ..Inputs::new(1, &in_time)
            },
        );
        self.before = Some(whole);
        let seconds = run.timing.interval.as_secs_f64();
        let served = self.probabilities();
        turn(&mut self.served, served);
        let reference = self.reference.close_interval(&counts, seconds);
        turn(&mut self.told_by_reference, reference.probabilities);
        Interval {
            label: run.schedule.label(&run.traffic, number).to_owned(),
            seconds,
            tally,
        }
    }

    /// Lets the SDKs decide: what the fleet did, and what it kept of every operation.
    fn sample(&mut self, counts: &[u64]) -> (Tally, Vec<u64>) {
        let mut tally = Tally::default();
        let mut sampled = vec![0; counts.len()];
        for (place, &offered) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mixed = |plans: &VecDeque<Vec<f64>>| {
                let parts = self.ages.iter().zip(plans);
                parts.map(|(part, plan)| part * plan[place]).sum::<f64>()
            };
            let (served, reference) = (mixed(&self.served), mixed(&self.told_by_reference));
            let kept = draw(&mut self.coins, offered, served);
            let kept_by_reference = draw(&mut self.reference_coins, offered, reference);
            add(&mut tally.served, kept, offered, served);
            add(&mut tally.reference, kept_by_reference, offered, reference);
            tally.offered += offered;
            sampled[place] = kept;
        }
        (tally, sampled)
    }

    /// What the agents say of an interval: all they will ever say, or what comes in time.
    fn heard(
        &mut self,
        number: usize,
        counts: &[u64],
        sampled: &[u64],
        whole: bool,
    ) -> WindowCounts {
        let run = self.run;
        let lost = match &run.loss {
            Some(loss) if loss.intervals.contains(&number) => loss.agents.min(run.agents),
            _ => 0,
        };
        let covered: Vec<f64> = self.covered[lost..]
            .iter()
            .map(|&part| if whole { 1.0 } else { part })
            .collect();
        let part = covered.iter().sum::<f64>() / run.agents.max(1) as f64;
        let mut operations = Vec::new();
        for (service, of) in run.traffic.services().iter().enumerate() {
            for place in of.operations.clone().filter(|&place| counts[place] > 0) {
                let kept = draw(&mut self.arrivals, sampled[place], part);
                let dropped = draw(&mut self.arrivals, counts[place] - sampled[place], part);
                if kept + dropped > 0 {
                    operations.push(OperationCount {
                        operation: OperationId(place as u32 + 1),
                        service: ServiceId(service as u32 + 1),
                        overflow: false,
                        offered: kept + dropped,
                        sampled: kept,
                    });
                }
            }
        }
        let window = self.window(number);
        let heard: u64 = operations.iter().map(|count| count.offered).sum();
        let total: f64 = covered.iter().sum();
        let agents = covered.iter().enumerate().filter(|(_, part)| **part > 0.0);
        let agents = agents
            .map(|(agent, &part)| AgentCount {
                agent: AgentId((lost + agent) as u64 + 1),
                offered: (heard as f64 * part / total) as u64,
                covered_milliseconds: (window.milliseconds() as f64 * part) as i64,
            })
            .collect();
        WindowCounts {
            window,
            operations,
            agents,
        }
    }

    fn window(&self, number: usize) -> Window {
        let length = self.run.timing.interval.as_millis() as i64;
        Window {
            start: Timestamp(number as i64 * length),
            end: Timestamp((number as i64 + 1) * length),
        }
    }

    /// What the plan serves for every operation of the traffic, listed or not.
    fn probabilities(&self) -> Vec<f64> {
        let services = self.run.traffic.services().iter().enumerate();
        let mut probabilities: Vec<f64> = services
            .flat_map(|(service, of)| {
                let default = self.plan.default_probability(ServiceId(service as u32 + 1));
                std::iter::repeat_n(default, of.operations.len())
            })
            .collect();
        for operation in &self.plan.operations {
            probabilities[operation.operation.0 as usize - 1] = operation.probability;
        }
        probabilities
    }

    /// The part of the listed probabilities that the newest plan changed by over 1 %.
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

/// Puts the newest in front and lets go of the oldest.
fn turn(plans: &mut VecDeque<Vec<f64>>, newest: Vec<f64>) {
    plans.push_front(newest);
    plans.pop_back();
}

fn add(kept: &mut Kept, count: u64, offered: u64, probability: f64) {
    let expected = offered as f64 * probability;
    kept.count += count;
    kept.expected += expected;
    kept.variance += expected * (1.0 - probability);
}

/// How many of `trials` succeed.
fn draw(random: &mut StdRng, trials: u64, probability: f64) -> u64 {
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
    Policy {
        revision: 1,
        budget,
        weight_exponent: 0.0,
        initial_probability: 0.001,
        unseen_reserve_max: 0.05,
        floor: 0.0,
        services: BTreeMap::new(),
        operations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(grace: u64, poll: u64, report: u64) -> Timing {
        Timing {
            interval: Duration::from_secs(60),
            grace: Duration::from_secs(grace),
            poll_interval: Duration::from_secs(poll),
            report_interval: Duration::from_secs(report),
        }
    }

    #[test]
    fn requests_meet_the_plans_that_their_sdks_polled() {
        let close = |ages: Vec<f64>, expected: &[f64]| {
            assert_eq!(ages.len(), expected.len(), "{ages:?}");
            for (age, expected) in ages.iter().zip(expected) {
                assert!((age - expected).abs() < 1e-3, "{ages:?}");
            }
        };
        // With no grace, half of an interval's requests come after their SDK's poll in it.
        close(timing(0, 60, 10).ages(), &[0.5, 0.5]);
        let grace: f64 = 10.0 / 60.0;
        let newest = (1.0 - grace).powi(2) / 2.0;
        let oldest = grace.powi(2) / 2.0;
        close(
            timing(10, 60, 10).ages(),
            &[newest, 1.0 - newest - oldest, oldest],
        );
    }

    #[test]
    fn a_report_that_comes_in_the_grace_covers_the_whole_window() {
        let timing = timing(10, 60, 30);
        assert_eq!(timing.covered(0.3), 1.0);
        assert!((timing.covered(0.5) - 0.75).abs() < 1e-12);
    }
}
