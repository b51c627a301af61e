//! What the release before cannot read, beside rules.

use super::{Budget, Configuration, Cost};

impl Configuration {
    /// What is new or changed against the document before and the release before cannot read, beside rules.
    #[must_use]
    pub fn newer_beside_rules(&self, held: &Self) -> Option<&'static str> {
        let costs = |of: &Self| -> Vec<(String, Cost)> {
            let services = of.services.iter().filter(|(_, of)| !of.cost.is_empty());
            services.map(|(name, of)| (name.clone(), of.cost)).collect()
        };
        let own = costs(self);
        let in_traces = matches!(self.budget, Budget::TracesPerSecond(_));
        let newer = [
            ("a mode", self.mode != held.mode && !self.mode.is_default()),
            (
                "a freeze",
                self.freeze != held.freeze && self.freeze.is_some(),
            ),
            (
                "an emergency",
                self.emergency != held.emergency && self.emergency.is_some(),
            ),
            (
                "a budget that is not in traces per second",
                self.budget != held.budget && !in_traces,
            ),
            (
                "what a trace costs",
                self.cost != held.cost && !self.cost.is_empty(),
            ),
            ("what a trace costs", !own.is_empty() && own != costs(held)),
            (
                "who governs services, or their classes",
                self.edges() != held.edges() && self.edges() != Self::default().edges(),
            ),
        ];
        let found = newer.into_iter().find(|(_, is)| *is);
        found.map(|(what, _)| what)
    }
}
