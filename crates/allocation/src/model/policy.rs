//! Defines the policy: the operators' configuration in the form the allocation computes with.

use std::collections::BTreeMap;

use crate::amount::{Priority, amount, probability};
use crate::tuning::share::Unknown;
use crate::{Class, GroupName, OperationId, ServiceId, Serving, Source};

/// The operators' configuration, checked, with ids in place of names.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The configuration revision it was read from.
    pub revision: u64,
    /// Whether it asks for something else than the policy of the plan before, although the revision may be the
    /// same: what operators ask for may begin and end with time.
    pub changed: bool,
    /// What is served of the plans.
    pub serving: Serving,
    /// The wanted sampled rate of the whole fleet, in traces per second.
    pub budget: f64,
    /// What a trace costs in the unit in which operators state the budget; 0 if that is traces. Only the next policy
    /// depends on it.
    pub cost_per_trace: f64,
    /// The exponent q of `weight · offered^q`, in [0, 1]: 0 gives equal shares, 1 one
    /// probability for all.
    pub weight_exponent: f64,
    /// The probability served while nothing is known; cut to ½, because nothing unknown is ever kept whole.
    pub initial_probability: f64,
    /// The most of the budget that may be set aside for operations not seen yet, in [0, 1].
    pub unseen_reserve_max: f64,
    /// The floor of every operation in traces per second, limited by its demand and its cap. A lower floor of
    /// its own does not replace it.
    pub floor: f64,
    /// The part of the budget, in traces per second, for traces that SDKs keep by themselves (the lower
    /// bound). Cut to the budget; 0 serves no lower bound.
    pub lower_bound_reserve: f64,
    /// The least probability of every operation, limited by its cap. Without it thousands of small operations
    /// would drive the largest one to almost nothing.
    pub probability_min: f64,
    /// The groups of services, sorted by name.
    pub groups: Vec<Group>,
    /// The settings of whole services, where there are any.
    pub services: BTreeMap<ServiceId, ServicePolicy>,
    /// The bounds of single operations; they take precedence over their service's.
    pub operations: BTreeMap<OperationId, Bounds>,
    /// The operations that are a class of another one. Their bounds are in [`Policy::operations`].
    pub classes: BTreeMap<OperationId, ClassEntry>,
    /// The floors and caps of operations that have several classes.
    pub shared_bounds: Vec<SharedBounds>,
}

/// The floor and cap of an operation with classes: all of them have these together. A pin takes precedence.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedBounds {
    /// The floor in traces per second; the fleet's, if that is higher. A lower cap wins.
    pub floor: f64,
    /// The cap in traces per second; infinite without one.
    pub cap: f64,
    /// The operation's entries.
    pub entries: Vec<OperationId>,
}

/// Which class an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassEntry {
    /// Its service.
    pub service: ServiceId,
    /// Its operation, by the number of any of the operation's entries: the same for all of them.
    pub operation: OperationId,
    /// Its class.
    pub class: Class,
}

/// Services that share a floor and a cap.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What the operators call it.
    pub name: GroupName,
    /// The floor and cap of all its services together.
    pub whole: Whole,
}

/// The settings of one service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServicePolicy {
    /// Its group, which must be one of [`Policy::groups`].
    pub group: Option<GroupName>,
    /// The floor and cap of its operations together.
    pub whole: Whole,
    /// The bounds of each of its operations without bounds of its own.
    pub each: Bounds,
    /// The floor and cap of all entries of a class together, in the order of [`Class::ALL`].
    pub classes: [Whole; Class::ALL.len()],
}

impl From<Bounds> for ServicePolicy {
    /// Sets these bounds for each operation and nothing else.
    fn from(each: Bounds) -> Self {
        Self {
            each,
            ..Self::default()
        }
    }
}

/// The floor and cap of several operations together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole {
    /// The floor in traces per second, limited by demand and caps. Unused share goes to the others and comes
    /// back as soon as it is used.
    pub floor: f64,
    /// The cap in traces per second; it wins over the floor, and over floors inside.
    pub cap: f64,
}

impl Whole {
    /// Whether it sets anything.
    pub(crate) fn binds(&self) -> bool {
        self.floor > 0.0 || self.cap < f64::INFINITY
    }
}

impl Default for Whole {
    fn default() -> Self {
        Self {
            floor: 0.0,
            cap: f64::INFINITY,
        }
    }
}

impl Policy {
    /// The probability while nothing is known at all.
    pub(crate) fn initial(&self, tuning: &Unknown) -> f64 {
        if self.budget > 0.0 {
            probability(self.initial_probability, 0.0).min(tuning.most)
        } else {
            0.0
        }
    }

    /// A policy with a budget in traces per second and nothing else, as revision 1.
    #[must_use]
    pub fn of_budget(budget: f64) -> Self {
        Self {
            revision: 1,
            changed: false,
            serving: Serving::Plan,
            budget,
            cost_per_trace: 0.0,
            weight_exponent: 0.0,
            initial_probability: 0.001,
            unseen_reserve_max: 0.05,
            floor: 0.0,
            probability_min: 0.0,
            lower_bound_reserve: 0.0,
            groups: Vec::new(),
            services: BTreeMap::new(),
            operations: BTreeMap::new(),
            classes: BTreeMap::new(),
            shared_bounds: Vec::new(),
        }
    }

    /// The cap of a class of a service, in traces per second; infinite without one.
    pub(crate) fn class_cap(&self, entry: &ClassEntry) -> f64 {
        let service = self.services.get(&entry.service);
        service.map_or(f64::INFINITY, |of| of.classes[entry.class as usize].cap)
    }

    /// The bounds of an operation and their owner: its own, else its service's, else none. Values out of range
    /// (NaN, negative) are ignored.
    #[must_use]
    pub fn bounds(&self, service: ServiceId, operation: OperationId) -> (Bounds, Source) {
        match self.operations.get(&operation) {
            Some(own) => (self.lifted(own), Source::Operation),
            None => self.service_bounds(service),
        }
    }

    /// The bounds of operations that a service does not name.
    pub(crate) fn service_bounds(&self, service: ServiceId) -> (Bounds, Source) {
        match self.services.get(&service) {
            Some(own) => (self.lifted(&own.each), Source::Service),
            None => (self.lifted(&Bounds::default()), Source::Fleet),
        }
    }

    fn lifted(&self, bounds: &Bounds) -> Bounds {
        let bounds = bounds.tamed();
        Bounds {
            floor: bounds.floor.max(amount(self.floor)),
            probability_min: bounds
                .probability_min
                .max(probability(self.probability_min, 0.0)),
            ..bounds
        }
    }
}

/// The bounds of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// How much of the level it gets; above 0.
    pub weight: f64,
    /// The floor in traces per second, limited by its demand; a lower cap wins.
    pub floor: f64,
    /// At least this probability.
    pub probability_min: f64,
    /// At most so many traces per second.
    pub cap: f64,
    /// At most this probability.
    pub probability_max: f64,
    /// Who keeps a floor when not all floors fit the budget.
    pub priority: Priority,
    /// The exact probability, with precedence over everything else. An overflow entry, which stands for
    /// unknown names, still stays within the limit of every default.
    pub pin: Option<f64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            weight: 1.0,
            floor: 0.0,
            probability_min: 0.0,
            cap: f64::INFINITY,
            probability_max: 1.0,
            priority: Priority::default(),
            pin: None,
        }
    }
}

impl Bounds {
    fn tamed(&self) -> Self {
        let or = |value: f64, otherwise: f64| {
            if value >= 0.0 {
                amount(value)
            } else {
                otherwise
            }
        };
        Self {
            weight: if self.weight > 0.0 { self.weight } else { 1.0 },
            floor: or(self.floor, 0.0),
            probability_min: or(self.probability_min, 0.0).min(1.0),
            cap: or(self.cap, f64::INFINITY),
            probability_max: or(self.probability_max, 1.0).min(1.0),
            priority: self.priority,
            pin: self
                .pin
                .filter(|pin| *pin >= 0.0)
                .map(|pin| amount(pin).min(1.0)),
        }
    }
}
