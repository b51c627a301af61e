//! What operators ask of a plan: the configuration, at the end of the plan's window.

use crate::allocation::{Plan, Policy, Timestamp};
use crate::configuration::{Configuration, MatchCache, RuleChanges, TaggedRules};
use crate::names::Names;
use crate::store::ConfigurationRevision;

/// The configuration that a plan is made with, and the time at which its rules are judged.
pub(super) struct Steering {
    configuration: Configuration,
    revision: u64,
    at: Timestamp,
    changes: RuleChanges,
}

impl Steering {
    /// Reads it for the plan whose window ends at `at`, after the plan `previous`.
    ///
    /// # Errors
    /// As [`Configuration::read`].
    pub(super) fn read(
        revision: &ConfigurationRevision,
        previous: Option<&Plan>,
        at: Timestamp,
    ) -> Result<Self, String> {
        let configuration = Configuration::read(revision)?;
        let before = previous.map_or(at, |plan| plan.window.end);
        Ok(Self {
            changes: RuleChanges::between(&configuration.rules, before, at),
            configuration,
            revision: revision.revision,
            at,
        })
    }

    /// The rules that began and ran out since the previous plan.
    pub(super) fn changes(&self) -> &RuleChanges {
        &self.changes
    }

    /// The rules for tagged requests.
    pub(super) fn tagged(&self) -> TaggedRules {
        TaggedRules::of(&self.configuration, self.at)
    }

    /// The policy, with the numbers that names have now.
    pub(super) fn policy(&self, matches: &MatchCache, names: &Names) -> Policy {
        let matches = matches.of(&self.configuration, names);
        let policy = self
            .configuration
            .policy_with(&matches, self.revision, names, self.at);
        Policy {
            changed: !self.changes.is_empty(),
            ..policy
        }
    }
}
