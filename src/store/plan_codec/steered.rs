//! The part of a stored plan that says what is served in its place, and what a trace costs. It is there only while
//! operators ask for that.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{Kept, KeptService, Plan, Serving, Steered, Timestamp};
use crate::store::varint::Damage;

/// The end of a body of version 6.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    cost_per_trace: f64,
    steered: Option<Columns>,
}

impl Asked {
    /// Reads it from a plan; none if nothing of it is asked for.
    pub fn of(plan: &Plan) -> Option<Self> {
        let asked = Self {
            cost_per_trace: plan.fleet.cost_per_trace,
            steered: Columns::of(plan),
        };
        (asked.cost_per_trace != 0.0 || asked.steered.is_some()).then_some(asked)
    }

    /// Writes it into a plan whose other parts were read already.
    pub fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        plan.fleet.cost_per_trace = self.cost_per_trace;
        match &self.steered {
            Some(steered) => steered.restore(plan),
            None => Ok(()),
        }
    }
}

/// What is served in place of the plan. The columns belong to those of the services and operations.
#[derive(Debug, Serialize, Deserialize)]
struct Columns {
    serving: u8,
    since: i64,
    default_probability: (f32, f32),
    service_base: Vec<f32>,
    service_served: Vec<f32>,
    service_lower_bound: Vec<f32>,
    base: Vec<f32>,
    served: Vec<f32>,
}

impl Columns {
    fn of(plan: &Plan) -> Option<Self> {
        let steered = plan.steered.as_ref()?;
        let service =
            |figure: fn(&KeptService) -> f32| steered.services.iter().map(figure).collect();
        let operation = |figure: fn(&Kept) -> f32| steered.operations.iter().map(figure).collect();
        let fleet = steered.default_probability;
        Some(Self {
            serving: match steered.serving {
                Serving::Plan => return None,
                Serving::Freeze => 1,
                Serving::Observe => 2,
            },
            since: steered.since.0,
            default_probability: (fleet.base, fleet.served),
            service_base: service(|of| of.default_probability.base),
            service_served: service(|of| of.default_probability.served),
            service_lower_bound: service(|of| of.lower_bound),
            base: operation(|of| of.base),
            served: operation(|of| of.served),
        })
    }

    /// What is served is a probability, and no lower bound is infinite.
    fn check(&self) -> Result<(), Damage> {
        let (base, served) = self.default_probability;
        let columns = [
            &self.service_base,
            &self.service_served,
            &self.base,
            &self.served,
        ];
        let mut probabilities = columns.into_iter().flatten().chain([&base, &served]);
        let mut bounds = self.service_lower_bound.iter();
        let sound = probabilities.all(|of| (0.0..=1.0).contains(of))
            && bounds.all(|of| of.is_finite() && *of >= 0.0);
        sound.then_some(()).ok_or(Damage::OutOfRange)
    }

    fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let services = [
            self.service_served.len(),
            self.service_lower_bound.len(),
            plan.services.len(),
        ];
        same_length(self.service_base.len(), &services)?;
        same_length(self.base.len(), &[self.served.len(), plan.operations.len()])?;
        self.check()?;
        let kept = |base: f32, served: f32| Kept { base, served };
        let services = self.service_base.iter().enumerate();
        let services = services.map(|(at, &base)| KeptService {
            default_probability: kept(base, self.service_served[at]),
            lower_bound: self.service_lower_bound[at],
        });
        let operations = self.base.iter().zip(&self.served);
        plan.steered = Some(Steered {
            serving: match self.serving {
                1 => Serving::Freeze,
                2 => Serving::Observe,
                _ => return Err(Damage::OutOfRange),
            },
            since: Timestamp(self.since),
            default_probability: kept(self.default_probability.0, self.default_probability.1),
            services: services.collect(),
            operations: operations
                .map(|(&base, &served)| kept(base, served))
                .collect(),
        });
        Ok(())
    }
}
