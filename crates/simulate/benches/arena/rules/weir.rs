//! Weir's allocation, as a server runs it.

use ::weir_allocation::{
    Inputs, Plan, Policy, ServiceCount, ServiceId, Timestamp, WindowCounts, next_plan,
};
use ::weir_simulate::Traffic;
use ::weir_simulate::virtual_time::{budget_alone, probabilities};

use super::{Controller, Observed, Setting};

/// The most that an SDK with a limit samples, as a multiple of the operation's share.
const UPPER_BOUND: f64 = 4.0;
/// The part of the budget that is reserved for the lower bound.
const RESERVE: f64 = 0.2;

/// The allocation and its last plan.
pub struct Engine<'a> {
    traffic: &'a Traffic,
    policy: Policy,
    plan: Plan,
}

impl<'a> Engine<'a> {
    pub fn new(setting: &Setting<'a>) -> Self {
        let policy = Policy {
            floor: setting.floor,
            ..budget_alone(setting.budget)
        };
        Self {
            traffic: setting.traffic,
            plan: Plan::genesis(&policy),
            policy,
        }
    }
}

impl Controller for Engine<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let inputs = Inputs::new(1, observed.windows);
        self.plan = next_plan(&self.plan, &self.policy, inputs);
        probabilities(&self.plan, self.traffic)
    }

    fn settled(&self) -> Timestamp {
        self.plan.settled
    }

    fn missing(&self) -> Option<f64> {
        (self.policy.floor > 0.0).then_some(self.plan.fleet.missing)
    }
}

/// The allocation with SDKs that sample at most a multiple of an operation's share. The limit
/// applies where the decision is made. No published SDK does this; one could be written.
pub struct Enforced<'a>(Engine<'a>);

impl<'a> Enforced<'a> {
    pub fn new(setting: &Setting<'a>) -> Option<Self> {
        setting.enforced.then(|| Self(Engine::new(setting)))
    }
}

impl Controller for Enforced<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        self.0.next(observed)
    }

    fn settled(&self) -> Timestamp {
        self.0.settled()
    }

    fn upper_bounds(&self) -> Option<Vec<f64>> {
        // Operations that no plan lists have no limit, because they have no share.
        let mut bounds = vec![f64::INFINITY; self.0.traffic.operations().len()];
        for operation in &self.0.plan.operations {
            bounds[operation.operation.0 as usize - 1] = UPPER_BOUND * operation.share;
        }
        Some(bounds)
    }
}

/// The allocation with a part of the budget reserved for the lower bound, and with the numbers of
/// instances.
pub struct Reserved<'a> {
    engine: Engine<'a>,
    instances: u64,
}

impl<'a> Reserved<'a> {
    pub fn new(setting: &Setting<'a>) -> Option<Self> {
        let instances = setting.instances?;
        let mut engine = Engine::new(setting);
        engine.policy.lower_bound_reserve = RESERVE * setting.budget;
        Some(Self { engine, instances })
    }

    /// A window's counts, with the numbers of instances as reports would give them.
    fn told(&self, counts: &WindowCounts) -> WindowCounts {
        let milliseconds = counts.window.milliseconds() as u64;
        let services = 1..=self.engine.traffic.services().len() as u32;
        let seen = |service| ServiceCount {
            service: ServiceId(service),
            instance_milliseconds: self.instances * milliseconds,
        };
        WindowCounts {
            services: services.map(seen).collect(),
            ..counts.clone()
        }
    }
}

impl Controller for Reserved<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let windows: Vec<WindowCounts> = observed.windows.iter().map(|of| self.told(of)).collect();
        self.engine.next(&Observed {
            windows: &windows,
            ..*observed
        })
    }

    fn settled(&self) -> Timestamp {
        self.engine.settled()
    }

    fn lower_bound(&self) -> f64 {
        let services = self.engine.plan.services.iter();
        services.map(|of| of.lower_bound).fold(0.0, f64::max)
    }
}
