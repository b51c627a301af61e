//! Weir's own engine, as a server runs it.

use ::weir::allocation::{Inputs, Plan, Policy, next_plan};
use ::weir::simulate::Traffic;
use ::weir::simulate::virtual_time::{budget_alone, probabilities};

use super::{Controller, Observed, Setting};

/// The engine and its last plan.
pub struct Engine<'a> {
    traffic: &'a Traffic,
    policy: Policy,
    plan: Plan,
}

impl<'a> Engine<'a> {
    pub fn new(setting: &Setting<'a>) -> Self {
        let policy = budget_alone(setting.budget);
        Self {
            traffic: setting.traffic,
            plan: Plan::genesis(&policy),
            policy,
        }
    }
}

impl Controller for Engine<'_> {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let inputs = Inputs {
            corrected: observed.corrected,
            ..Inputs::new(1, observed.heard)
        };
        self.plan = next_plan(&self.plan, &self.policy, inputs);
        probabilities(&self.plan, self.traffic)
    }
}
