//! The figures of a plan for the fleet as a whole.

use crate::{Clock, Common, Trim};

/// A plan's figures for the fleet as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FleetPlan {
    /// The wanted sampled rate, in traces per second.
    pub budget: f64,
    /// What a trace was reckoned to cost, in the unit in which operators state the budget; 0 if that is traces.
    pub cost_per_trace: f64,
    /// The offered rate that is planned for, in root requests per second: the sum of the operations'
    /// estimates. Operations that are no longer reported are left out.
    pub offered: f64,
    /// The sampled rate that is expected to be kept, in traces per second: what the shares and the lower bound add up
    /// to, without what the plan adds because less than that is kept, and with what it leaves out because more is.
    pub expected_sampled: f64,
    /// The offered rate that the window itself showed, in root requests per second, unscaled.
    pub observed_offered: f64,
    /// The sampled rate that the window itself showed, in traces per second, unscaled. Where nobody says what was
    /// sampled, what was due is counted.
    pub observed_sampled: f64,
    /// The water level: the share of everything bound by nothing else, per unit of weight;
    /// infinite when the budget does not bind.
    pub level: f64,
    /// The part of the fleet's usual traffic whose agents are not later than usual, in [0, 1].
    pub completeness: f64,
    /// The part of the window, by the fleet's usual traffic, that was in when it was read, in [0, 1];
    /// the rest comes late. Counts are scaled by it.
    pub covered: f64,
    /// Whether the window could be trusted.
    pub hold: Hold,
    /// Traces per second set aside for operations not seen yet.
    pub unseen_reserve: f64,
    /// Smoothed sampled rate of traffic that was new in its window, in traces per second.
    pub unseen_sampled: f64,
    /// The same before [`Plan::settled`](crate::Plan::settled).
    pub unseen_before: f64,
    /// The highest recent offered rate, in root requests per second.
    pub peak: f64,
    /// Whether the polls of all replicas are known of the newest window that has settled.
    pub polled: bool,
    /// How many windows the plan was made from: one more than its agents are usually late.
    pub windows_read: u32,
    /// The probability for services nobody has reported.
    pub default_probability: f64,
    /// Traces per second by which floors and pins exceed the budget; 0 when they fit.
    pub missing: f64,
    /// The common trend of all traffic after this window: its relative change per window.
    pub trend: f64,
    /// The trend before [`Plan::settled`](crate::Plan::settled).
    pub trend_before: f64,
    /// The common course of all traffic after this window.
    pub common: Common,
    /// The same before [`Plan::settled`](crate::Plan::settled).
    pub common_before: Common,
    /// What the budget was multiplied by before it was shared.
    pub trim: Trim,
    /// What repeats every hour: the budget is divided by what is expected of the time when the plan is used.
    pub clock: Clock,
    /// What every SDK instance keeps of each operation at least, where the plan says so, in traces per second:
    /// [`ServicePlan::lower_bound`](crate::ServicePlan::lower_bound).
    pub lower_bound: f64,
    /// The sampled rate that the lower bound is expected to add to what the probabilities keep, in
    /// traces per second, if every SDK applies it: the most that it can add.
    pub lower_bound_cost: f64,
    /// The forecast against which a change of regime was judged: the smoothed offered rate
    /// before this window, in root requests per second.
    pub forecast_offered: f64,
}

impl FleetPlan {
    /// The relative excess of what the window kept over what was wanted: the budget, or all traffic where
    /// that is less; negative when too little was kept. Unreported traffic is assumed to be like the reported.
    #[must_use]
    pub fn tracking_error(&self) -> f64 {
        let wanted = (self.budget * self.covered).min(self.observed_offered);
        if wanted > 0.0 {
            (self.observed_sampled - wanted) / wanted
        } else {
            0.0
        }
    }
}

/// What the plan may do with its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// Probabilities may fall and rise. How far a service's may rise depends on which of its agents are
    /// heard: [`ServicePlan::heard`](crate::ServicePlan::heard).
    #[default]
    None,
    /// Some counts could not be read, and nobody knows whose: probabilities may fall, none rises.
    CutsOnly,
    /// No agent is heard: every probability stays, unless operators change the policy.
    Frozen,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_judged_by_what_could_be_kept() {
        let error = |budget, observed_offered, observed_sampled| {
            let fleet = FleetPlan {
                budget,
                observed_offered,
                observed_sampled,
                completeness: 1.0,
                covered: 0.4,
                ..FleetPlan::default()
            };
            fleet.tracking_error()
        };
        assert_eq!(error(50.0, 1000.0, 22.0), 0.1, "of the 20 to be seen");
        assert_eq!(error(50.0, 10.0, 10.0), 0.0, "all there was is kept");
        assert_eq!(error(50.0, 10.0, 5.0), -0.5);
        assert_eq!(error(0.0, 1000.0, 0.0), 0.0);
        assert_eq!(error(50.0, 0.0, 0.0), 0.0);
    }
}
