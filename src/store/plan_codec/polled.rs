//! Added in version 6: how often SDKs ask, and what that says of missing agents.

use serde::{Deserialize, Serialize};

use super::super::varint::Damage;
use super::same_length;
use crate::allocation::{Plan, PollState};

/// The columns are in the order of the plan's services.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Polled {
    known: bool,
    usual: Vec<f32>,
    variance: Vec<f32>,
    traffic: Vec<f32>,
    windows: Vec<u32>,
    released: Vec<f32>,
    /// One more than the windows since polls last stood; 0 for never.
    stood: Vec<u32>,
}

impl Polled {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut columns = Self {
            known: plan.fleet.polled,
            ..Self::default()
        };
        for row in plan.services.iter().map(|service| service.polls) {
            columns.usual.push(row.usual);
            columns.variance.push(row.variance);
            columns.traffic.push(row.traffic);
            columns.windows.push(row.windows);
            columns.released.push(row.released);
            columns.stood.push(row.stood.wrapping_add(1));
        }
        columns
    }

    /// Writes them into the plan that they belong to.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let lengths = [
            self.usual.len(),
            self.variance.len(),
            self.traffic.len(),
            self.windows.len(),
            self.released.len(),
            self.stood.len(),
        ];
        same_length(plan.services.len(), &lengths)?;
        plan.fleet.polled = self.known;
        for (at, service) in plan.services.iter_mut().enumerate() {
            service.polls = PollState {
                usual: self.usual[at],
                variance: self.variance[at],
                traffic: self.traffic[at],
                windows: self.windows[at],
                released: self.released[at],
                stood: self.stood[at].wrapping_sub(1),
            };
        }
        Ok(())
    }
}
