//! What operators ask for: the budget and the bounds of services and operations.

use std::collections::BTreeMap;

use super::solve::amount;
use super::{OperationId, ServiceId};

/// The operators' wishes, parsed and in ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The configuration revision it was read from.
    pub revision: u64,
    /// The wanted sampled rate of the whole fleet, in traces per second.
    pub budget: f64,
    /// The exponent q of `weight · offered^q`, in [0, 1]: 0 gives equal shares, 1 one
    /// probability for all.
    pub weight_exponent: f64,
    /// The probability served while nothing is known at all; what is above ½ counts as ½, since
    /// nothing unknown is ever sampled whole.
    pub initial_probability: f64,
    /// The most of the budget that may be set aside for operations not seen yet, in [0, 1].
    pub unseen_reserve_max: f64,
    /// What every operation gets at least, in traces per second, as far as its demand and its
    /// cap go: a floor of its own does not lower it.
    pub floor: f64,
    /// Bounds of whole services' operations, where an operator set any.
    pub services: BTreeMap<ServiceId, Bounds>,
    /// Bounds of single operations; they win over their service's.
    pub operations: BTreeMap<OperationId, Bounds>,
}

impl Policy {
    /// The bounds of an operation: its own, else its service's, else none. Values that are no
    /// bounds (NaN, negative) are read as none.
    pub(super) fn bounds(&self, service: ServiceId, operation: OperationId) -> Bounds {
        let own = self.operations.get(&operation);
        own.map_or_else(|| self.service_bounds(service), |own| self.lifted(own))
    }

    /// The bounds of what a service does not name.
    pub(super) fn service_bounds(&self, service: ServiceId) -> Bounds {
        self.services
            .get(&service)
            .map_or_else(|| self.lifted(&Bounds::default()), |own| self.lifted(own))
    }

    fn lifted(&self, bounds: &Bounds) -> Bounds {
        let bounds = bounds.tamed();
        Bounds {
            floor: bounds.floor.max(amount(self.floor)),
            ..bounds
        }
    }
}

/// What binds one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// How much of the level it gets; above 0.
    pub weight: f64,
    /// At least so many traces per second, as far as its demand goes; a cap below it wins.
    pub floor: f64,
    /// At least this probability.
    pub probability_min: f64,
    /// At most so many traces per second.
    pub cap: f64,
    /// At most this probability.
    pub probability_max: f64,
    /// Exactly this probability, before everything else. An overflow entry, which stands for
    /// names nobody knows, still stays within what every default stays within.
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
            pin: self
                .pin
                .filter(|pin| *pin >= 0.0)
                .map(|pin| amount(pin).min(1.0)),
        }
    }
}
