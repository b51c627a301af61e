//! What alerts are judged by: figures of the plan that is served, of the last windows, and of this process.

use std::collections::VecDeque;

use crate::allocation::{Plan, Serving};
use crate::snapshot::{Snapshot, TailState};
use crate::view::agents::AgentFigures;
use crate::view::applied::{Kept, WINDOWS};
use crate::view::minted::minting;
use crate::view::not_applied::not_applying;

/// The windows over which the budget is judged.
const BUDGET_WINDOWS: usize = 30;

/// The budget is judged if agents with this part of the traffic reported, in the mean.
const COMPLETE: f64 = 0.9;

/// What is known at one moment. By default all is well.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The budget, in traces per second.
    pub budget: f64,
    /// By how much floors are not met, in traces per second.
    pub missing: f64,
    /// The same of groups whose cap is too small.
    pub group_missing: Vec<(String, f64)>,
    /// The part of the usual traffic whose agents report.
    pub completeness: f64,
    /// Services whose missing agents' SDKs have stopped polling.
    pub services_released: usize,
    /// How many intervals plans look ahead.
    pub intervals_ahead: u32,
    /// How late counts are, in seconds.
    pub late_seconds: f64,
    /// Counts that are not believed.
    pub claims: usize,
    /// Services whose operations do not come back.
    pub minting: usize,
    /// Services that sample everything.
    pub not_applying: usize,
    /// Services set to tail about which no edge decides.
    pub waiting_for_edges: usize,
    /// By what an emergency multiplies what is served.
    pub emergency_factor: f64,
    /// What was kept of what was due, if SDKs were steered all the time.
    pub applied: Option<Kept>,
    /// What was kept of the budget, if it bound all the time and all of it was counted.
    pub budget_kept: Option<Kept>,
    /// Whether it is stale.
    pub plan_stale: bool,
    /// Its age in seconds.
    pub plan_age_seconds: f64,
    /// Whether the current plan cannot be read.
    pub plan_unreadable: bool,
    /// Whether the database answers.
    pub database_available: bool,
    /// Whether its tables and rights are as they should be.
    pub database_sound: bool,
    /// How far this machine's clock is off, in seconds.
    pub clock_offset_seconds: f64,
    /// Whether the keys of the provider of OpenID Connect cannot be read.
    pub oidc_keys_failing: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            budget: 0.0,
            missing: 0.0,
            group_missing: Vec::new(),
            completeness: 1.0,
            services_released: 0,
            intervals_ahead: 1,
            late_seconds: 0.0,
            claims: 0,
            minting: 0,
            not_applying: 0,
            waiting_for_edges: 0,
            emergency_factor: 1.0,
            applied: None,
            budget_kept: None,
            plan_stale: false,
            plan_age_seconds: 0.0,
            plan_unreadable: false,
            database_available: true,
            database_sound: true,
            clock_offset_seconds: 0.0,
            oidc_keys_failing: false,
        }
    }
}

impl Seen {
    /// What a plan says. Reads all of its operations, so it is for each new plan.
    #[must_use]
    pub fn of_plan(plan: &Plan, windows: &Windows) -> Self {
        let agents = AgentFigures::of(plan);
        let groups = plan.groups.iter().filter(|group| group.missing > 0.0);
        Self {
            budget: plan.fleet.budget,
            missing: plan.fleet.missing,
            group_missing: groups
                .map(|group| (group.name.as_str().to_owned(), group.missing))
                .collect(),
            completeness: plan.fleet.completeness,
            services_released: agents.services_released,
            intervals_ahead: plan.fleet.windows_read.saturating_sub(1),
            late_seconds: agents.late_seconds,
            claims: plan.claims.len(),
            minting: minting(plan).len(),
            not_applying: not_applying(plan).len(),
            applied: windows.applied(),
            budget_kept: windows.budget_kept(),
            ..Self::default()
        }
    }

    /// With what changes between two plans.
    #[must_use]
    pub fn served(mut self, snapshot: &Snapshot) -> Self {
        self.emergency_factor = snapshot.cuts().factor();
        self.waiting_for_edges = 0;
        if snapshot.governance().has_tail() {
            let services = snapshot.services();
            let waiting = services.filter_map(|(name, of)| snapshot.tail(name, of));
            self.waiting_for_edges = waiting.filter(|of| *of != TailState::InEffect).count();
        }
        self
    }
}

/// What a window kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counted {
    kept: f64,
    due: f64,
    wanted: f64,
    completeness: f64,
    binds: bool,
    observes: bool,
    steers: bool,
}

/// The newest windows, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Windows(VecDeque<Counted>);

impl Windows {
    /// Adds the window of a plan that has just come.
    pub fn add(&mut self, plan: &Plan, emergency_factor: f64) {
        if plan.number == 0 {
            return;
        }
        if self.0.len() == BUDGET_WINDOWS {
            self.0.pop_front();
        }
        let (fleet, seconds) = (&plan.fleet, plan.window.seconds());
        self.0.push_back(Counted {
            kept: fleet.observed_sampled * seconds,
            due: plan.figures.due_sampled * seconds,
            wanted: fleet.budget.min(fleet.offered) * seconds,
            completeness: fleet.completeness,
            binds: fleet.level.is_finite(),
            observes: plan.serving() == Serving::Observe,
            steers: plan.serving() == Serving::Plan && emergency_factor >= 1.0,
        });
    }

    fn applied(&self) -> Option<Kept> {
        let newest = self.0.iter().rev().take(WINDOWS);
        let mut applied = Kept::default();
        for window in newest {
            if window.observes {
                return None;
            }
            applied.add(window.kept, window.due);
        }
        Some(applied)
    }

    fn budget_kept(&self) -> Option<Kept> {
        let all = self.0.iter();
        let complete: f64 = all.clone().map(|of| of.completeness).sum();
        let is_judged = self.0.len() == BUDGET_WINDOWS
            && complete >= COMPLETE * BUDGET_WINDOWS as f64
            && all.clone().all(|of| of.binds && of.steers);
        is_judged.then(|| {
            let mut kept = Kept::default();
            all.for_each(|of| kept.add(of.kept, of.wanted));
            kept
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kept: f64) -> Counted {
        Counted {
            kept,
            due: 1000.0,
            wanted: 1000.0,
            completeness: 1.0,
            binds: true,
            observes: false,
            steers: true,
        }
    }

    fn windows(of: impl IntoIterator<Item = Counted>) -> Windows {
        Windows(of.into_iter().collect())
    }

    #[test]
    fn the_budget_is_judged_over_whole_windows_in_which_it_bound() {
        let all = |of: Counted| windows(vec![of; BUDGET_WINDOWS]);
        let kept = all(window(700.0)).budget_kept().unwrap();
        assert_eq!((kept.windows, kept.part()), (BUDGET_WINDOWS, 0.7));
        assert_eq!(windows(vec![window(700.0); 29]).budget_kept(), None);
        for unfit in [
            Counted {
                binds: false,
                ..window(700.0)
            },
            Counted {
                steers: false,
                ..window(700.0)
            },
            Counted {
                completeness: 0.8,
                ..window(700.0)
            },
        ] {
            assert_eq!(all(unfit).budget_kept(), None);
        }
    }

    #[test]
    fn whether_sdks_apply_it_is_not_judged_while_weir_only_observed() {
        let steered = vec![window(500.0); 20];
        let applied = windows(steered.clone()).applied().unwrap();
        assert_eq!((applied.windows, applied.verdict()), (15, Some(false)));
        let mut observed = steered;
        observed[10].observes = true;
        assert_eq!(windows(observed).applied(), None);
    }
}
