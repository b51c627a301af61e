//! What is carried from window to window: the operations' estimates and what they have in common.

use std::collections::BTreeMap;

use crate::amount::total;
use crate::classed::Classed;
use crate::common::{Common, Trend};
use crate::names_return::NamesReturn;
use crate::operation::{Estimate, Evidence, advance};
use crate::tally::SortedCounts;
use crate::trust::Trust;
use crate::tuning::Tuning;
use crate::{ClassEntry, Inputs, OperationId, Plan, ServicePlan, Timestamp, Window, WindowCounts};

/// What is known after a window.
#[derive(Debug)]
pub(crate) struct State {
    /// Every operation that is not retired, by id.
    pub known: Vec<Estimate>,
    /// What holds for all of them.
    pub fleet: Shared,
    /// The same before the first window that may still change.
    pub before: Shared,
    /// The demand before the newest window.
    pub forecast: f64,
}

/// What the operations have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// The trend of the fleet's traffic.
    pub trend: Trend,
    /// The common course of its operations.
    pub common: Common,
    /// The smoothed sampled rate of what was new in its window, in traces per second.
    pub unseen_sampled: f64,
    /// The part of each service's new names that come again.
    pub names_return: NamesReturn,
}

impl State {
    /// Takes over what a plan knew with its newest window.
    pub(crate) fn after(plan: &Plan, retired: &[OperationId], tuning: &Tuning) -> Self {
        let tuning = &tuning.estimate;
        let trend = Trend::new(plan.fleet.trend, tuning);
        let fleet = Shared {
            trend,
            common: plan.fleet.common,
            unseen_sampled: plan.fleet.unseen_sampled,
            names_return: NamesReturn::after(plan),
        };
        let operations = plan.operations.iter();
        let known = operations.map(|operation| Estimate::of(operation, trend, tuning));
        Self::of(known, fleet, retired)
    }

    /// Takes over what a plan knew before its first window that may still change.
    fn settled(plan: &Plan, retired: &[OperationId], tuning: &Tuning) -> Self {
        let tuning = &tuning.estimate;
        let trend = Trend::new(plan.fleet.trend_before, tuning);
        let fleet = Shared {
            trend,
            common: plan.fleet.common_before,
            unseen_sampled: plan.fleet.unseen_before,
            names_return: NamesReturn::before(plan),
        };
        let operations = plan.operations.iter();
        let known = operations.filter_map(|operation| Estimate::before(operation, trend, tuning));
        Self::of(known, fleet, retired)
    }

    fn of(known: impl Iterator<Item = Estimate>, fleet: Shared, retired: &[OperationId]) -> Self {
        let stays = |known: &Estimate| retired.binary_search(&known.operation).is_err();
        // A filter does not say how many it leaves, and a list of a million grows by copies.
        let mut list = Vec::with_capacity(known.size_hint().1.unwrap_or(0));
        list.extend(known.filter(stays));
        Self {
            known: list,
            before: fleet.clone(),
            fleet,
            forecast: 0.0,
        }
    }

    /// What is known after all windows; `classes` says which entries are classes of operations.
    pub(crate) fn read(
        previous: &Plan,
        classes: &BTreeMap<OperationId, ClassEntry>,
        inputs: &Inputs<'_>,
        tallies: &[SortedCounts<'_>],
        trust: &Trust,
    ) -> Self {
        let retired = inputs.retired;
        let unchanged = unchanged(previous, tallies, trust, inputs.windows);
        let goes_on = goes_on(previous, inputs.windows);
        let (mut state, skipped) = if unchanged || goes_on {
            (
                Self::after(previous, retired, inputs.tuning),
                usize::from(unchanged),
            )
        } else {
            (Self::settled(previous, retired, inputs.tuning), 0)
        };
        let mut end = begin(previous, inputs.windows, unchanged || goes_on);
        let mut settles = true;
        for (at, counts) in inputs.windows.iter().enumerate().skip(skipped) {
            if settles && counts.window.start >= trust.settled {
                state.settle();
                settles = false;
            }
            let newest = at + 1 == inputs.windows.len();
            if newest {
                state.forecast = state.demand();
            }
            let windows = windows_since(end, counts.window);
            let evidence = Evidence {
                tally: &tallies[at],
                trust,
                window: at,
                windows,
                classes,
                tuning: &inputs.tuning.estimate,
                peaks: &inputs.tuning.share.peaks,
            };
            state.advance(evidence, previous.aimed_sampled());
            end = counts.window.end;
        }
        if settles {
            state.settle();
        }
        state
    }

    /// The offered rate that the next window is planned for, in root requests per second.
    pub(crate) fn demand(&self) -> f64 {
        demand(&self.known)
    }

    /// Writes into each service's plan which part of its new names come again.
    pub(crate) fn note(&self, services: &mut [ServicePlan]) {
        for plan in services {
            plan.names_return = self.fleet.names_return.of_service(plan.service) as f32;
            plan.names_return_before = self.before.names_return.of_service(plan.service) as f32;
        }
    }

    /// Remembers the state: what follows may still change.
    fn settle(&mut self) {
        for known in &mut self.known {
            known.settle();
        }
        self.before = self.fleet.clone();
    }

    /// Follows a window, of which a plan expected to sample `planned`, in traces per second.
    fn advance(&mut self, evidence: Evidence<'_>, planned: f64) {
        let tally = evidence.tally;
        let unseen = self.known.is_empty();
        let classed = Classed::of(&self.known, evidence);
        let names_return = &mut self.fleet.names_return;
        names_return.follow(&self.known, &classed, evidence);
        let (common, trend) = advance(&mut self.known, &classed, &self.fleet, evidence);
        let new = self.known.iter().filter(|known| known.is_new);
        let sampled = new
            .map(|known| u128::from(known.window_sampled))
            .sum::<u128>();
        if !unseen && !tally.operations.is_empty() {
            // What takes the place of names that fell silent costs nothing: a deploy renames them.
            let planned = planned * evidence.trust.part(evidence.window);
            let more = (tally.per_second(tally.sampled) - planned).max(0.0);
            let cost = tally.per_second(sampled as f64).min(more);
            let gain = evidence.tuning.names.unseen_gain;
            self.fleet.unseen_sampled += gain * (cost - self.fleet.unseen_sampled);
        }
        self.fleet.common = common;
        self.fleet.trend = trend;
    }
}

/// The offered rate that the next window is planned for, in root requests per second.
pub(crate) fn demand(known: &[Estimate]) -> f64 {
    total(known.iter().map(Estimate::demand))
}

/// Whether the previous plan's window, read again, says what it said then.
fn unchanged(
    previous: &Plan,
    tallies: &[SortedCounts<'_>],
    trust: &Trust,
    windows: &[WindowCounts],
) -> bool {
    let [again, _] = windows else { return false };
    if previous.number == 0 || again.window != previous.window || trust.settled < again.window.end {
        return false;
    }
    let counted = previous
        .operations
        .iter()
        .filter(|plan| plan.window_offered > 0);
    let counted = counted.map(|plan| (plan.operation, plan.window_offered, plan.window_sampled));
    let counts = tallies[0].operations.iter();
    let same = |service: &ServicePlan| {
        (trust.exposure(service.service, 0) - f64::from(service.covered)).abs() < 1e-6
    };
    counted.eq(counts.map(|count| (count.operation, count.offered, count.sampled)))
        && previous.services.iter().all(same)
}

/// Whether nothing is read again: the windows begin where the previous plan's ended.
fn goes_on(previous: &Plan, windows: &[WindowCounts]) -> bool {
    let first = windows.first().map(|counts| counts.window.start);
    previous.number > 0 && first.is_some_and(|first| first >= previous.window.end)
}

/// Up to where the state that is continued from knows everything.
fn begin(previous: &Plan, windows: &[WindowCounts], from_newest: bool) -> Timestamp {
    let first = windows
        .first()
        .map_or(Timestamp(0), |counts| counts.window.start);
    if from_newest {
        previous.window.end
    } else if previous.number == 0 {
        first
    } else {
        previous.settled
    }
}

/// Windows from an instant to the end of a window: 1, more after a gap.
fn windows_since(end: Timestamp, window: Window) -> f64 {
    let between = window.end.0.saturating_sub(end.0) as f64;
    let length = window.milliseconds();
    if length <= 0 {
        1.0
    } else {
        (between / length as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        AgentCount, AgentId, AgentReport, Inputs, OperationCount, OperationId, Plan, Policy,
        ServiceId, Timestamp, Window, WindowCounts, next_plan,
    };

    const DAY: i64 = 1440;

    /// Pseudo-random numbers in [0, 1).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn poisson(&mut self, mean: f64) -> u64 {
            let (least, mut product, mut count) = ((-mean).exp(), self.next(), 0);
            while product > least {
                product *= self.next();
                count += 1;
            }
            count
        }
    }

    /// A fleet of one service and one agent, window by window.
    struct Fleet {
        policy: Policy,
        plan: Plan,
        random: Random,
    }

    impl Fleet {
        fn of_budget(budget: f64) -> Self {
            let policy = Policy::of_budget(budget);
            Self {
                plan: Plan::genesis(&policy),
                policy,
                random: Random(7),
            }
        }

        /// Draws a window of operations with these means, and plans. Returns the requests and what was to be
        /// kept of them.
        fn pass(&mut self, means: impl Iterator<Item = f64>) -> (f64, f64) {
            let (mut operations, mut kept) = (Vec::new(), 0.0);
            for (number, mean) in (1..).zip(means) {
                let operation = OperationId(number);
                let offered = self.random.poisson(mean);
                let listed = &self.plan.operations;
                let listed = listed.binary_search_by_key(&operation, |plan| plan.operation);
                let probability = match listed {
                    Ok(at) => self.plan.operations[at].probability,
                    Err(_) => self.plan.default_probability(ServiceId(1)),
                };
                kept += probability * offered as f64;
                operations.push(OperationCount {
                    operation,
                    service: ServiceId(1),
                    overflow: false,
                    offered,
                    sampled: (probability * offered as f64).round() as u64,
                });
            }
            let offered: u64 = operations.iter().map(|count| count.offered).sum();
            let start = self.plan.number as i64 * 60_000;
            let window = Window {
                start: Timestamp(start),
                end: Timestamp(start + 60_000),
            };
            let report = AgentReport {
                agent: AgentId(1),
                epoch: 1,
                sequence: self.plan.number + 1,
                span: window,
                last: false,
                basis: Default::default(),
            };
            let agent = AgentCount {
                agent: AgentId(1),
                service: Some(ServiceId(1)),
                offered,
                sampled: operations.iter().map(|count| count.sampled).sum(),
            };
            let counts = WindowCounts {
                window,
                operations,
                reports: vec![report],
                agents: vec![agent],
                ..WindowCounts::default()
            };
            self.plan = next_plan(&self.plan, &self.policy, Inputs::new(1, &[counts]));
            (offered as f64, kept)
        }
    }

    #[test]
    fn what_is_silent_is_estimated_as_it_was_seen_last() {
        let mut fleet = Fleet::of_budget(0.1);
        let others = |window: i64| {
            let burst = move |at: i64| {
                if (window / 7 + 3 * at) % 23 == 0 {
                    6.0
                } else {
                    0.5
                }
            };
            (0..30).map(burst)
        };
        for window in 0..30 {
            fleet.pass([60.0].into_iter().chain(others(window)));
        }
        let before = fleet.plan.operations[0].belief.rate;
        for window in 30..DAY {
            fleet.pass([0.0].into_iter().chain(others(window)));
            let now = fleet.plan.operations[0].belief.rate;
            assert!(
                (0.8..1.25).contains(&(now / before)),
                "window {window}: {now} of {before}"
            );
        }
    }

    /// Each operation comes for five windows, and is silent for more than five hours. At any time, one or two of
    /// a hundred have traffic.
    #[test]
    fn a_fleet_of_which_most_is_silent_keeps_its_budget_for_days() {
        let mut fleet = Fleet::of_budget(0.01);
        let mut switch = Random(3);
        let mut on = [false; 100];
        let (mut kept, mut due) = (0.0, 0.0);
        for window in 0..4 * DAY {
            for on in &mut on {
                *on = switch.next() < if *on { 0.8 } else { 0.003 };
            }
            let mean = |(at, on)| if on { 12.0 / (1 + at % 10) as f64 } else { 0.0 };
            let passed = fleet.pass(on.into_iter().enumerate().map(mean));
            if window >= DAY {
                kept += passed.1;
                due += passed.0.min(0.01 * 60.0);
            }
        }
        assert!((kept / due - 1.0).abs() < 0.05, "{}", kept / due);
    }
}
