//! What operators ask of a plan: the configuration, at the end of the plan's window.

use crate::allocation::{Plan, Policy, Timestamp};
use crate::configuration::{
    Configuration, Governance, Known, MatchCache, MeasuredCost, RuleChanges, TaggedRules,
};
use crate::names::Names;
use crate::store::ConfigurationRevision;
use crate::view::plan_log;

/// The configuration that a plan is made with, and the time at which its rules are judged.
pub(super) struct Steering {
    configuration: Configuration,
    revision: u64,
    at: Timestamp,
    changes: RuleChanges,
    /// What ran out since the previous plan beside rules, in words.
    ran_out: Vec<String>,
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
            ran_out: ran_out(&configuration, before, at),
            configuration,
            revision: revision.revision,
            at,
        })
    }

    /// What began and ran out since the previous plan, in words.
    pub(super) fn changes(&self) -> Vec<String> {
        let rules = plan_log::rules_changed(&self.changes.began, &self.changes.ran_out);
        let ran_out = self.ran_out.iter().cloned();
        rules.into_iter().chain(ran_out).collect()
    }

    /// The rules for tagged requests.
    pub(super) fn tagged(&self) -> TaggedRules {
        TaggedRules::of(&self.configuration, self.at)
    }

    /// Who decides about services, with the caps of a policy of this configuration.
    pub(super) fn governance(&self, policy: &Policy) -> Governance {
        Governance::of(&self.configuration).with_caps_of(policy)
    }

    /// The policy for the plan after `previous`, with the numbers that names have now.
    pub(super) fn policy(
        &self,
        matches: &MatchCache,
        names: &Names,
        previous: &Plan,
        measured: MeasuredCost,
    ) -> Policy {
        let known = Known {
            before: Some(previous),
            measured,
        };
        let matches = matches.of(&self.configuration, names);
        let policy = self
            .configuration
            .policy_with(&matches, self.revision, names, self.at, known);
        Policy {
            changed: !self.changes.is_empty(),
            ..policy
        }
    }
}

/// Says that a freeze ran out.
fn ran_out(configuration: &Configuration, before: Timestamp, at: Timestamp) -> Vec<String> {
    let freeze = configuration.freeze.iter();
    let ran_out = freeze.filter(|freeze| freeze.is_active(before) && !freeze.is_active(at));
    ran_out
        .map(|freeze| format!("the freeze of {:?} ran out", freeze.owner))
        .collect()
}
