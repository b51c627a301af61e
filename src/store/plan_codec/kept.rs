//! Added in version 6: what SDKs held before a plan, and what was learned of what they kept.

use serde::{Deserialize, Serialize};

use super::super::varint::Damage;
use super::same_length;
use crate::allocation::{Plan, Trim};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    balance: f64,
    owed: f64,
    sampled: f64,
    due: f64,
    compliance: f64,
    /// By operation.
    turned: Vec<i8>,
}

impl Kept {
    pub(super) fn of(plan: &Plan) -> Self {
        let trim = &plan.fleet.trim;
        Self {
            balance: trim.balance,
            owed: trim.owed,
            sampled: trim.sampled,
            due: trim.due,
            compliance: trim.compliance,
            turned: plan.operations.iter().map(|row| row.turned).collect(),
        }
    }

    /// Writes them into the plan that they belong to.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        same_length(plan.operations.len(), &[self.turned.len()])?;
        plan.fleet.trim = Trim {
            balance: self.balance,
            owed: self.owed,
            sampled: self.sampled,
            due: self.due,
            compliance: self.compliance,
            ..plan.fleet.trim
        };
        for (row, turned) in plan.operations.iter_mut().zip(&self.turned) {
            row.turned = *turned;
        }
        Ok(())
    }
}
