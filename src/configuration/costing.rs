//! What a trace is reckoned to cost, for a budget that is not in traces.

use std::collections::HashMap;

use serde::Serialize;

use super::{Budget, Configuration, Cost, MeasuredCost};
use crate::allocation::{Plan, ServiceId};
use crate::names::Names;

/// The most by which the mean cost of a trace moves from plan to plan, as a factor.
const COST_PACE: f64 = 1.25;

/// The mean cost of a trace may be off by this part before the budget in traces follows it: each move is a change of
/// the budget, from which the correction of lasting errors has to begin again.
const COST_BAND: f64 = 0.02;

/// What is known when a trace's cost is reckoned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'p> {
    /// The plan before.
    pub before: Option<&'p Plan>,
    /// What sources tell.
    pub measured: MeasuredCost,
}

/// What a kept trace is reckoned to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costing {
    /// The cost in the unit of the budget, per second.
    pub per_trace: f64,
    /// Where it is from.
    pub source: CostSource,
}

/// Where the cost of a trace is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// Operators state it.
    Stated,
    /// Sources tell it.
    Measured,
    /// Sources do not tell it any more, or not well enough: it stays as it was.
    Held,
}

impl Configuration {
    /// What a kept trace costs in the unit of the budget, per second: what sources tell, if operators ask for that, or
    /// the mean over what the plan before keeps of each service. Costs are checked to be known.
    ///
    /// It moves from plan to plan by a bounded factor, and not at all for a small difference, or for one that may be
    /// the error of what was measured.
    #[must_use]
    pub fn costing(&self, revision: u64, names: &Names, known: Known<'_>) -> Costing {
        let used = known.before;
        let used = used.filter(|plan| plan.configuration_revision == revision);
        let used = used.map(|plan| plan.fleet.cost_per_trace);
        let used = used.filter(|used| *used > 0.0);
        let (mean, band, source) = match (self.measured_cost(&known.measured), used) {
            (Some((measured, error)), _) => {
                (measured, COST_BAND.max(2.0 * error), CostSource::Measured)
            }
            (None, Some(used)) if self.is_cost_measured() => (used, COST_BAND, CostSource::Held),
            (None, _) => (
                self.mean_cost(names, known.before),
                COST_BAND,
                CostSource::Stated,
            ),
        };
        let per_trace = used.map_or(mean, |used| {
            let moved = mean / used;
            if (1.0 / (1.0 + band)..=1.0 + band).contains(&moved) {
                used
            } else {
                used * moved.clamp(1.0 / COST_PACE, COST_PACE)
            }
        });
        Costing { per_trace, source }
    }

    /// Whether the budget follows what sources tell.
    fn is_cost_measured(&self) -> bool {
        self.cost.measured && !matches!(self.budget, Budget::TracesPerSecond(_))
    }

    /// What sources tell, with its relative error, if it is asked for and can be trusted. What they do not tell is as
    /// it is stated.
    fn measured_cost(&self, measured: &MeasuredCost) -> Option<(f64, f64)> {
        let parts = match self.budget {
            _ if !self.cost.measured => return None,
            Budget::TracesPerSecond(_) => return None,
            Budget::SpansPerSecond(_) => vec![measured.spans_per_trace],
            Budget::GigabytesPerMonth(_) => {
                vec![measured.spans_per_trace, measured.bytes_per_span]
            }
        };
        let trusted = parts.iter().filter(|mean| mean.trusted().is_some());
        let errors: Vec<f64> = trusted.map(|mean| mean.relative_error).collect();
        let cost = Cost {
            spans_per_trace: measured.spans_per_trace.trusted(),
            bytes_per_span: measured.bytes_per_span.trusted(),
            measured: true,
        };
        let cost = self.budget.of_trace(&cost.or(&self.cost))?;
        let error = errors.iter().map(|error| error * error).sum::<f64>().sqrt();
        (!errors.is_empty()).then_some((cost, error))
    }

    fn mean_cost(&self, names: &Names, before: Option<&Plan>) -> f64 {
        let fleet = self.budget.of_trace(&self.cost).unwrap_or(1.0);
        let own = self.services.iter().filter(|(_, of)| !of.cost.is_empty());
        let own: HashMap<ServiceId, f64> = own
            .filter_map(|(name, of)| {
                let cost = self.budget.of_trace(&of.cost.or(&self.cost))?;
                Some((names.find_service(name)?, cost))
            })
            .collect();
        let Some(plan) = before.filter(|_| !own.is_empty()) else {
            return fleet;
        };
        let (mut kept, mut cost) = (0.0, 0.0);
        for operation in &plan.operations {
            let each = own.get(&operation.service).copied().unwrap_or(fleet);
            kept += operation.share;
            cost += operation.share * each;
        }
        if kept > 0.0 { cost / kept } else { fleet }
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::GIGABYTE;
    use super::super::{MONTH_SECONDS, Mean};
    use super::*;
    use crate::allocation::Timestamp;

    fn read(document: &str) -> Result<Configuration, String> {
        let read: Configuration =
            serde_json::from_str(document).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    fn mean(value: f64, relative_error: f64) -> Mean {
        Mean {
            value: Some(value),
            relative_error,
            coverage: 1.0,
            windows: 60,
        }
    }

    fn spans(value: f64, relative_error: f64) -> MeasuredCost {
        MeasuredCost {
            spans_per_trace: mean(value, relative_error),
            ..MeasuredCost::default()
        }
    }

    #[test]
    fn what_sources_tell_is_used_within_a_pace_and_held_when_they_fall_silent() {
        let document = r#"{"budget": {"spans_per_second": 500},
            "cost": {"spans_per_trace": 10, "measured": true}}"#;
        let configuration = read(document).unwrap();
        let mut plan = Plan::genesis(&configuration.policy(1, &Names::default(), Timestamp(0)));
        let mut next = |measured: MeasuredCost| {
            let known = Known {
                before: Some(&plan),
                measured,
            };
            let costing = configuration.costing(1, &Names::default(), known);
            plan.configuration_revision = 1;
            plan.fleet.cost_per_trace = costing.per_trace;
            (costing.per_trace, costing.source)
        };
        assert_eq!(next(MeasuredCost::default()), (10.0, CostSource::Stated));
        assert_eq!(next(spans(20.0, 0.01)), (12.5, CostSource::Measured));
        for _ in 0..4 {
            next(spans(20.0, 0.01));
        }
        assert_eq!(next(spans(20.0, 0.01)), (20.0, CostSource::Measured));
        assert_eq!(next(spans(20.3, 0.0)).0, 20.0, "too little to follow");
        assert_eq!(next(spans(21.0, 0.04)).0, 20.0, "it may be chance");
        assert_eq!(next(spans(21.0, 0.01)).0, 21.0);
        assert_eq!(next(spans(99.0, 0.3)), (21.0, CostSource::Held));
        assert_eq!(next(MeasuredCost::default()), (21.0, CostSource::Held));
    }

    #[test]
    fn what_is_not_asked_for_or_not_told_is_as_it_is_stated() {
        let told = |document: &str, measured| {
            let known = Known {
                before: None,
                measured,
            };
            let costing = read(document).unwrap().costing(1, &Names::default(), known);
            (costing.per_trace, costing.source)
        };
        let stated = r#"{"budget": {"spans_per_second": 500}, "cost": {"spans_per_trace": 10}}"#;
        assert_eq!(told(stated, spans(20.0, 0.0)), (10.0, CostSource::Stated));
        let bytes = r#"{"budget": {"gigabytes_per_month": 1},
            "cost": {"spans_per_trace": 10, "bytes_per_span": 500, "measured": true}}"#;
        let a_month = MONTH_SECONDS / GIGABYTE;
        let (per_trace, source) = told(bytes, spans(20.0, 0.0));
        assert_eq!(source, CostSource::Measured);
        assert!((per_trace / (20.0 * 500.0 * a_month) - 1.0).abs() < 1e-12);
        let both = MeasuredCost {
            bytes_per_span: mean(300.0, 0.0),
            ..spans(20.0, 0.0)
        };
        assert!((told(bytes, both).0 / (20.0 * 300.0 * a_month) - 1.0).abs() < 1e-12);
        let service = r#"{"services": {"a": {"cost": {"measured": true}}}}"#;
        assert!(
            read(service)
                .unwrap_err()
                .contains("services.a.cost.measured")
        );
        let nothing = r#"{"budget": {"spans_per_second": 5}, "cost": {"measured": true}}"#;
        assert!(
            read(nothing)
                .unwrap_err()
                .starts_with("cost.spans_per_trace is not known")
        );
    }
}
