//! The caps of operations that edges hold between two plans: all classes of an operation have its cap together.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Configuration, Governance, MatchCache};
use crate::allocation::{OperationId, Policy, Timestamp};
use crate::names::Names;

/// By the entry of each class of an operation that has a cap.
pub(super) type HeldOperations = Arc<HashMap<OperationId, f64>>;

impl Governance {
    /// Adds the caps of operations that have classes, as the policy of a plan has them.
    #[must_use]
    pub fn with_caps_of(mut self, policy: &Policy) -> Self {
        let is_pinned = |entry: &OperationId| {
            let bounds = policy.operations.get(entry);
            bounds.is_some_and(|bounds| bounds.pin.is_some())
        };
        let capped = policy.shared_bounds.iter();
        let capped = capped.filter(|shared| shared.cap.is_finite());
        let entries = capped.flat_map(|shared| {
            let entries = shared.entries.iter().filter(|entry| !is_pinned(entry));
            entries.map(move |entry| (*entry, shared.cap))
        });
        self.held = Arc::new(entries.collect());
        self
    }

    /// The most traces per second that edges keep of an operation between two plans, by the entry of one of its classes. None
    /// without a cap.
    #[must_use]
    pub fn operation_cap(&self, entry: OperationId) -> Option<f64> {
        self.held.get(&entry).copied()
    }
}

impl Configuration {
    /// Who decides about services, and the caps of operations, at the time and with the names of a plan.
    #[must_use]
    pub fn governance(&self, matches: &MatchCache, names: &Names, at: Timestamp) -> Governance {
        let governance = Governance::of(self);
        if !governance.has_tail() || !self.caps_operations(at) {
            return governance;
        }
        let mut policy = Policy::of_budget(0.0);
        let matches = matches.of(self, names);
        self.resolve_classes(names, &matches, at, &mut policy);
        governance.with_caps_of(&policy)
    }

    /// Whether any operation may have a cap.
    fn caps_operations(&self, at: Timestamp) -> bool {
        let services = self.services.values();
        let mut settings = services.flat_map(|of| of.operations.values().chain([&of.each]));
        let mut rules = self.rules.values().filter(|rule| rule.is_active(at));
        settings.any(|of| of.cap_traces_per_second.is_some())
            || rules.any(|rule| rule.set.cap_traces_per_second.is_some())
    }
}
