//! Builds the state a plan starts from: what the previous plan knew, corrected by late reports.

use super::common::{Common, Trend};
use super::completeness::{self, Reading};
use super::estimate::{Estimate, Evidence, advance};
use super::sum::exact_sum;
use super::tally::SortedCounts;
use super::{AgentWeight, Hold, OperationId, Plan, WindowCounts};

/// The smoothing of the cost of unseen operations: about fifteen windows, because new operations come
/// in deploys. Below 1, so that the step can be undone.
const UNSEEN_GAIN: f64 = 0.07;

/// What is carried from window to window.
#[derive(Debug)]
pub(super) struct State {
    /// Every operation that is not retired, by id.
    pub known: Vec<Estimate>,
    /// The trend of the fleet's traffic.
    pub trend: Trend,
    /// The common course of its operations.
    pub common: Common,
    /// The agents expected, by id.
    pub agents: Vec<AgentWeight>,
    /// The smoothed sampled rate of what was new in its window, in traces per second.
    pub unseen_sampled: f64,
}

impl State {
    /// Takes over what a plan knew.
    pub(super) fn after(plan: &Plan, retired: &[OperationId]) -> Self {
        let known = plan
            .operations
            .iter()
            .filter(|operation| retired.binary_search(&operation.operation).is_err());
        let trend = Trend::new(plan.fleet.trend);
        Self {
            known: known
                .map(|operation| Estimate::of(operation, trend))
                .collect(),
            trend,
            common: plan.fleet.common,
            agents: plan.agents.clone(),
            unseen_sampled: plan.fleet.unseen_sampled,
        }
    }

    /// Takes over what a plan would have known if the counts of its window had been these.
    ///
    /// Counts of another window than the plan's are ignored. The window is assumed to follow the previous
    /// one without a gap.
    pub(super) fn corrected(
        plan: &Plan,
        counts: Option<&WindowCounts>,
        retired: &[OperationId],
    ) -> Self {
        let state = Self::after(plan, retired);
        let Some(counts) = counts.filter(|counts| counts.window == plan.window) else {
            return state;
        };
        let tally = SortedCounts::of(counts, retired);
        if plan.number == 0 || state.agrees_with(&tally) {
            return state;
        }
        let before = state.rewound(plan);
        let reading = completeness::read(&before.agents, &tally, plan.fleet.forecast_offered, 1.0);
        before.advanced(&tally, trusted(reading, plan), 1.0).0
    }

    /// The offered rate that the next window is planned for, in root requests per second.
    pub(super) fn demand(&self) -> f64 {
        exact_sum(self.known.iter().map(|known| known.demand()))
    }

    /// Carries the state over a window, weighted by how far the reading is trusted.
    pub(super) fn advanced(
        &self,
        tally: &SortedCounts,
        reading: Reading,
        windows: f64,
    ) -> (Self, Reading) {
        let evidence = Evidence {
            tally,
            reading: &reading,
            windows,
        };
        let (known, common, trend) = advance(&self.known, self.common, self.trend, evidence);
        let unseen_sampled = if self.known.is_empty() || reading.hold == Hold::Frozen {
            self.unseen_sampled
        } else {
            self.unseen_sampled + UNSEEN_GAIN * (unseen(&known, tally) - self.unseen_sampled)
        };
        let state = Self {
            known,
            trend,
            common,
            agents: reading.agents.clone(),
            unseen_sampled,
        };
        (state, reading)
    }

    /// Whether the counts are those that the estimates were made with.
    fn agrees_with(&self, tally: &SortedCounts) -> bool {
        let counted = self.known.iter().filter(|known| known.window_offered > 0);
        let estimated =
            counted.map(|known| (known.operation, known.window_offered, known.window_sampled));
        let counts = tally.operations.iter();
        let same_operations =
            estimated.eq(counts.map(|count| (count.operation, count.offered, count.sampled)));
        let heard = |agent| {
            let found = self
                .agents
                .binary_search_by_key(&agent, |weight| weight.agent);
            found.is_ok_and(|index| self.agents[index].silent_windows == 0)
        };
        same_operations && tally.agents.iter().all(|count| heard(count.agent))
    }

    /// Goes back to before the plan's own window.
    fn rewound(&self, plan: &Plan) -> Self {
        let trend = Trend::new(plan.fleet.trend_before);
        let counted_silence = plan.fleet.hold == Hold::None;
        let known: Vec<Estimate> = self
            .known
            .iter()
            .filter_map(|known| {
                Some(Estimate {
                    belief: known.before?,
                    trend,
                    silent_windows: known
                        .silent_windows
                        .saturating_sub(u32::from(counted_silence)),
                    ..*known
                })
            })
            .collect();
        let unseen_sampled = if known.is_empty() || plan.fleet.hold == Hold::Frozen {
            self.unseen_sampled
        } else {
            let seconds = plan.window.seconds();
            let cost = unseen_cost(&self.known) / seconds;
            ((self.unseen_sampled - UNSEEN_GAIN * cost) / (1.0 - UNSEEN_GAIN)).max(0.0)
        };
        Self {
            known,
            trend,
            common: plan.fleet.common_before,
            agents: completeness::rewind(&self.agents, plan.fleet.completeness),
            unseen_sampled,
        }
    }
}

/// A corrected window is trusted at least as much as when it was planned with, because late reports only
/// add to it.
///
/// Without this rule it may look worse: an agent first heard in part of the window was not expected
/// then, and is now. That would freeze the window and forget every operation first seen in it.
fn trusted(reading: Reading, plan: &Plan) -> Reading {
    if reading.hold <= plan.fleet.hold {
        return reading;
    }
    Reading {
        completeness: plan.fleet.completeness,
        coverage: plan.fleet.covered.max(reading.coverage),
        hold: plan.fleet.hold,
        ..reading
    }
}

/// The sampled rate of what was first seen in the window, in traces per second.
fn unseen(estimates: &[Estimate], tally: &SortedCounts) -> f64 {
    tally.per_second(unseen_cost(estimates))
}

fn unseen_cost(estimates: &[Estimate]) -> f64 {
    let new = estimates.iter().filter(|estimate| estimate.is_new());
    new.map(|estimate| u128::from(estimate.window_sampled))
        .sum::<u128>() as f64
}
