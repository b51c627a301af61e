//! Operations that are a class of another one, as edges count them: what they get where nobody says anything, and what is
//! served of those that a plan does not name. Both are the server's own.

use std::collections::BTreeMap;

use weir_allocation::{
    Bounds, Class, ClassEntry, OperationId, Plan, Policy, ServiceId, Whole, held_between_plans,
};

use crate::traffic::Traffic;

/// The operations of a traffic that are a class of another one: place, service and class.
pub fn entries(traffic: &Traffic) -> impl Iterator<Item = (usize, ServiceId, Class)> {
    let operations = traffic.operations().iter().enumerate();
    operations.filter_map(|(place, of)| {
        let class = Class::of(of.name.as_str()).1?;
        Some((place, ServiceId(of.service as u32 + 1), class))
    })
}

/// A policy with the defaults of classes added, for its budget. There are no rules for tagged requests in a simulation, so
/// nothing caps them.
#[must_use]
pub fn with_defaults(mut policy: Policy, traffic: &Traffic) -> Policy {
    let budget = policy.budget;
    let mut firsts = BTreeMap::new();
    for (place, service, class) in entries(traffic) {
        let of = class.by_default(budget);
        let operation = OperationId(place as u32 + 1);
        let bounds = Bounds {
            weight: of.weight,
            probability_min: of.probability_min,
            ..Bounds::default()
        };
        policy.operations.insert(operation, bounds);
        let name = Class::of(traffic.operations()[place].name.as_str()).0;
        let entry = ClassEntry {
            service,
            operation: *firsts.entry((service, name)).or_insert(operation),
            class,
        };
        policy.classes.insert(operation, entry);
        let wholes = &mut policy.services.entry(service).or_default().classes;
        *wholes = Class::ALL.map(|class| Whole {
            cap: class.by_default(budget).cap,
            ..Whole::default()
        });
    }
    policy
}

/// What a plan gives to all entries of a class of a service.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassPlan {
    /// Root requests per second.
    pub offered: f64,
    /// Traces per second that are kept of them.
    pub share: f64,
}

impl ClassPlan {
    /// What is kept of it in the mean; none while nothing is offered.
    #[must_use]
    pub fn probability(&self) -> Option<f64> {
        (self.offered > 0.0).then(|| (self.share / self.offered).min(1.0))
    }
}

/// What a plan gives to each class of each service.
#[must_use]
pub fn planned(plan: &Plan, traffic: &Traffic) -> BTreeMap<(ServiceId, Class), ClassPlan> {
    let mut planned: BTreeMap<_, ClassPlan> = BTreeMap::new();
    for of in &plan.operations {
        let named = traffic.operations().get(of.operation.0 as usize - 1);
        let Some(class) = named.and_then(|named| Class::of(named.name.as_str()).1) else {
            continue;
        };
        let sums = planned.entry((of.service, class)).or_default();
        sums.offered += of.offered;
        sums.share += of.probability * of.offered;
    }
    planned
}

/// The most traces per second that edges keep of a class of a service until the next plan. Nothing limits tagged requests.
#[must_use]
pub fn held(class: Class, planned: ClassPlan, budget: f64) -> f64 {
    match class {
        Class::Tagged => f64::INFINITY,
        class => held_between_plans(class.by_default(budget).cap, planned.share, budget),
    }
}
