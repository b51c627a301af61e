//! The part of a stored plan about SDK instances and their lower bound.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{Plan, ServicePlan};
use crate::store::varint::Damage;

/// Added in version 6. The columns belong to those of `Services`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Guaranteed {
    fleet_lower_bound: f64,
    fleet_cost: f64,
    instances: Vec<f64>,
    lower_bound: Vec<f64>,
}

impl Guaranteed {
    /// Reads it from a plan.
    pub fn of(plan: &Plan) -> Self {
        let column = |figure: fn(&ServicePlan) -> f64| plan.services.iter().map(figure).collect();
        Self {
            fleet_lower_bound: plan.fleet.lower_bound,
            fleet_cost: plan.fleet.lower_bound_cost,
            instances: column(|row| row.instances),
            lower_bound: column(|row| row.lower_bound),
        }
    }

    /// Writes it into a plan whose other parts were read already.
    pub fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let lengths = [self.instances.len(), self.lower_bound.len()];
        same_length(plan.services.len(), &lengths)?;
        plan.fleet.lower_bound = self.fleet_lower_bound;
        plan.fleet.lower_bound_cost = self.fleet_cost;
        for (at, row) in plan.services.iter_mut().enumerate() {
            row.instances = self.instances[at];
            row.lower_bound = self.lower_bound[at];
        }
        Ok(())
    }
}
