//! What SDKs are told now: what the plan decides, or what operators keep or cut in its place.

use super::{Cuts, Snapshot};
use crate::allocation::{OperationPlan, ServiceId};

impl Snapshot {
    /// The cuts of what is served.
    #[must_use]
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// What the SDKs of an operation of the plan are told now, in [0, 1].
    #[must_use]
    pub fn served(&self, operation: &OperationPlan) -> f64 {
        self.cuts.factor() * self.uncut(operation)
    }

    /// The same without a cut.
    #[must_use]
    pub fn uncut(&self, operation: &OperationPlan) -> f64 {
        let kept = self.plan.steered.as_ref();
        let kept = kept.and_then(|_| self.plan.served_of(operation.operation));
        kept.unwrap_or(operation.probability)
    }

    /// What its SDKs were told by the plan before without a cut, to 3 %.
    #[must_use]
    pub fn uncut_before(&self, operation: &OperationPlan) -> f64 {
        match self.plan.steered {
            Some(_) => self.uncut(operation),
            None => operation.probability_before(),
        }
    }

    /// What SDKs are told now for operations of a service that the plan does not list.
    #[must_use]
    pub fn served_default(&self, service: ServiceId) -> f64 {
        self.cuts.factor() * self.plan.served_default(service)
    }

    /// What SDKs are told now of services that the plan does not know.
    #[must_use]
    pub fn served_fleet_default(&self) -> f64 {
        self.cuts.factor() * self.plan.served_fleet_default()
    }
}
