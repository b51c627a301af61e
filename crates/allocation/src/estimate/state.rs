//! What is carried from window to window: the operations' estimates and what they have in common.

use crate::common::{Common, Trend};
use crate::names_return::NamesReturn;
use crate::operation::{Estimate, Evidence, advance};
use crate::sum::exact_sum;
use crate::tally::SortedCounts;
use crate::trust::Trust;
use crate::tuning::Tuning;
use crate::{Inputs, OperationId, Plan, ServicePlan, Timestamp, Window, WindowCounts};

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

    /// What is known after all windows.
    pub(crate) fn read(
        previous: &Plan,
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
                tuning: &inputs.tuning.estimate,
                peaks: &inputs.tuning.share.peaks,
            };
            state.advance(evidence, previous.fleet.expected_sampled);
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
        self.fleet.names_return.follow(&self.known, evidence);
        let (common, trend) = advance(&mut self.known, &self.fleet, evidence);
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
    exact_sum(known.iter().map(Estimate::demand))
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
