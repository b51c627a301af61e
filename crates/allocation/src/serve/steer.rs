//! Keeps what is served as it is while operators ask for it. What a plan decides is not touched: the next plan
//! continues from it, so it is taken over in full when they end it.

use crate::amount::probability;
use crate::tuning::share::Unknown;
use crate::{
    Bounds, Kept, KeptService, OVERFLOW_SERVICE, OperationPlan, Plan, Policy, ServiceId, Serving,
    Steered,
};

/// What is served in place of what `plan` decides, which follows `previous`; none if that is served.
pub(crate) fn steered(
    previous: &Plan,
    policy: &Policy,
    plan: &Plan,
    unknown: &Unknown,
) -> Option<Steered> {
    let keep = match policy.serving {
        Serving::Plan => return None,
        Serving::Freeze => Keep::Served(previous),
        Serving::Observe => Keep::Initial(policy.initial(unknown)),
    };
    let before = previous.steered.as_ref();
    let same = before.filter(|steered| steered.serving == policy.serving);
    let services = plan.services.iter().map(|of| {
        let (bounds, _) = policy.service_bounds(of.service);
        KeptService {
            default_probability: within(keep.default(of.service), &bounds),
            lower_bound: keep.lower_bound(of.service) as f32,
        }
    });
    let operations = plan.operations.iter().map(|of| {
        let (bounds, _) = policy.bounds(of.service, of.operation);
        within(keep.operation(of), &bounds)
    });
    let (bounds, _) = policy.service_bounds(OVERFLOW_SERVICE);
    Some(Steered {
        serving: policy.serving,
        since: same.map_or(plan.window.end, |steered| steered.since),
        default_probability: within(keep.fleet_default(), &bounds),
        services: services.collect(),
        operations: operations.collect(),
    })
}

/// An operator's limit on a probability cuts at once, whatever is kept. Nothing raises it.
fn within(base: f64, bounds: &Bounds) -> Kept {
    let base = probability(base, 0.0);
    let most = bounds.pin.unwrap_or(bounds.probability_max);
    Kept {
        base: base as f32,
        served: base.min(most) as f32,
    }
}

/// What is kept.
enum Keep<'p> {
    /// What a plan served, without what operators cut since.
    Served(&'p Plan),
    /// One probability for all.
    Initial(f64),
}

impl Keep<'_> {
    fn operation(&self, of: &OperationPlan) -> f64 {
        let plan = match self {
            Self::Initial(initial) => return *initial,
            Self::Served(plan) => plan,
        };
        let known = &plan.operations;
        let place = known.binary_search_by_key(&of.operation, |plan| plan.operation);
        match (place, frozen(plan)) {
            (Ok(place), Some(steered)) => f64::from(steered.operations[place].base),
            (Ok(place), None) => plan.served(place),
            (Err(_), _) => self.default(of.service),
        }
    }

    fn default(&self, service: ServiceId) -> f64 {
        match self {
            Self::Initial(initial) => *initial,
            Self::Served(plan) => match frozen(plan) {
                Some(steered) => {
                    let kept = steered.service(plan, service);
                    let kept = kept.map(|kept| kept.default_probability);
                    f64::from(kept.unwrap_or(steered.default_probability).base)
                }
                None => plan.served_default(service),
            },
        }
    }

    fn fleet_default(&self) -> f64 {
        match self {
            Self::Initial(initial) => *initial,
            Self::Served(plan) => match frozen(plan) {
                Some(steered) => f64::from(steered.default_probability.base),
                None => plan.served_fleet_default(),
            },
        }
    }

    fn lower_bound(&self, service: ServiceId) -> f64 {
        match self {
            Self::Initial(_) => 0.0,
            Self::Served(plan) => plan.served_lower_bound(service),
        }
    }
}

fn frozen(plan: &Plan) -> Option<&Steered> {
    let steered = plan.steered.as_ref();
    steered.filter(|steered| steered.serving == Serving::Freeze)
}
