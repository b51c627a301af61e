//! What is served in place of what a plan decides, while operators ask for it.

use crate::{OperationId, Plan, ServiceId, Timestamp};

/// What SDKs are served while a plan is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Serving {
    /// What the plan decides.
    #[default]
    Plan,
    /// What they were served before the freeze.
    Freeze,
    /// The initial probability.
    Observe,
}

/// A probability that is served in place of a plan's. In single precision, as it is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// The probability that is kept, in [0, 1].
    pub base: f32,
    /// The same within the highest probability that operators allow: what SDKs are told.
    pub served: f32,
}

/// What is served to the SDKs of one service in place of what a plan decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptService {
    /// The probability of operations that the plan does not list.
    pub default_probability: Kept,
    /// What each instance keeps of every operation at least, in traces per second.
    pub lower_bound: f32,
}

/// What is served in place of what a plan decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Steered {
    /// Why: [`Serving::Freeze`] or [`Serving::Observe`].
    pub serving: Serving,
    /// The end of the window of the first plan that was not served for this reason.
    pub since: Timestamp,
    /// What is served for services that the plan does not know.
    pub default_probability: Kept,
    /// What is served to each service, in the order of [`Plan::services`].
    pub services: Vec<KeptService>,
    /// What is served for each operation, in the order of [`Plan::operations`].
    pub operations: Vec<Kept>,
}

impl Plan {
    /// What SDKs are served while this plan is current.
    #[must_use]
    pub fn serving(&self) -> Serving {
        self.steered
            .as_ref()
            .map_or(Serving::Plan, |steered| steered.serving)
    }

    /// What the SDKs of the operation at this place in [`Plan::operations`] are told, in [0, 1].
    #[must_use]
    pub fn served(&self, place: usize) -> f64 {
        match &self.steered {
            Some(steered) => f64::from(steered.operations[place].served),
            None => self.operations[place].probability,
        }
    }

    /// The same for an operation of this plan, by its id; none if the plan does not list it.
    #[must_use]
    pub fn served_of(&self, operation: OperationId) -> Option<f64> {
        let place = self
            .operations
            .binary_search_by_key(&operation, |plan| plan.operation);
        Some(self.served(place.ok()?))
    }

    /// What SDKs are told for operations of a service that the plan does not list.
    #[must_use]
    pub fn served_default(&self, service: ServiceId) -> f64 {
        let Some(steered) = &self.steered else {
            return self.default_probability(service);
        };
        let kept = steered.service(self, service);
        let kept = kept.map_or(steered.default_probability, |kept| kept.default_probability);
        f64::from(kept.served)
    }

    /// What SDKs are told of services that the plan does not know.
    #[must_use]
    pub fn served_fleet_default(&self) -> f64 {
        let steered = self.steered.as_ref();
        steered.map_or(self.fleet.default_probability, |steered| {
            f64::from(steered.default_probability.served)
        })
    }

    /// What each instance of a service is told to keep of every operation at least, in traces per second.
    #[must_use]
    pub fn served_lower_bound(&self, service: ServiceId) -> f64 {
        match &self.steered {
            Some(steered) => steered
                .service(self, service)
                .map_or(0.0, |kept| f64::from(kept.lower_bound)),
            None => self.service(service).map_or(0.0, |plan| plan.lower_bound),
        }
    }

    /// What the lower bound is expected to add by what is served, in traces per second.
    #[must_use]
    pub fn served_lower_bound_cost(&self) -> f64 {
        match self.serving() {
            Serving::Observe => 0.0,
            Serving::Plan | Serving::Freeze => self.fleet.lower_bound_cost,
        }
    }

    /// The sampled rate that is expected by what is served, in traces per second.
    #[must_use]
    pub fn served_sampled(&self) -> f64 {
        let Some(steered) = &self.steered else {
            return self.fleet.expected_sampled;
        };
        let operations = self.operations.iter().zip(&steered.operations);
        let shares = operations.map(|(plan, kept)| f64::from(kept.served) * plan.offered);
        (shares.sum::<f64>() + self.served_lower_bound_cost()) * self.kept_part()
    }
}

impl Steered {
    pub(crate) fn service(&self, plan: &Plan, service: ServiceId) -> Option<&KeptService> {
        let place = plan
            .services
            .binary_search_by_key(&service, |plan| plan.service);
        self.services.get(place.ok()?)
    }
}
