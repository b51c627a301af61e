//! Added in version 6: what repeats every hour.

use serde::{Deserialize, Serialize};

use super::super::varint::Damage;
use crate::allocation::{Clock, Plan, SLOTS};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Clocked {
    milliseconds: i64,
    windows: f64,
    usual: f64,
    scatter: f64,
    error_with: f64,
    error_without: f64,
    /// Without the zeros at the end: an hour of the usual interval has 60 of them.
    slots: Vec<f32>,
}

impl Clocked {
    pub(super) fn of(plan: &Plan) -> Self {
        let clock = &plan.fleet.clock;
        let is_set = |slot: &f32| slot.to_bits() != 0;
        let used = clock.slots.iter().rposition(is_set).map_or(0, |at| at + 1);
        Self {
            milliseconds: clock.milliseconds,
            windows: clock.windows,
            usual: clock.usual,
            scatter: clock.scatter,
            error_with: clock.error_with,
            error_without: clock.error_without,
            slots: clock.slots[..used].to_vec(),
        }
    }

    /// Writes them into the plan that they belong to.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let mut slots = [0.0; SLOTS];
        let used = slots.get_mut(..self.slots.len()).ok_or(Damage::Malformed)?;
        used.copy_from_slice(&self.slots);
        plan.fleet.clock = Clock {
            milliseconds: self.milliseconds,
            windows: self.windows,
            usual: self.usual,
            scatter: self.scatter,
            error_with: self.error_with,
            error_without: self.error_without,
            slots,
        };
        Ok(())
    }
}
