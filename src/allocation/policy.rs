//! What operators ask for: the budget and the bounds of services and operations.

use std::collections::BTreeMap;

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
    /// The probability served while nothing is known at all.
    pub initial_probability: f64,
    /// The most of the budget that may be set aside for operations not seen yet, in [0, 1].
    pub unseen_reserve_max: f64,
    /// Bounds of whole services' operations, where an operator set any.
    pub services: BTreeMap<ServiceId, Bounds>,
    /// Bounds of single operations; they win over their service's.
    pub operations: BTreeMap<OperationId, Bounds>,
}

/// What binds one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// How much of the level it gets; above 0.
    pub weight: f64,
    /// At least so many traces per second, as far as its demand goes.
    pub floor: f64,
    /// At least this probability.
    pub probability_min: f64,
    /// At most so many traces per second.
    pub cap: f64,
    /// At most this probability.
    pub probability_max: f64,
    /// Exactly this probability, before everything else.
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
