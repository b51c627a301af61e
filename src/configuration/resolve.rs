//! Replaces the document's names with the numbers that the allocation works on.

use std::collections::{HashMap, HashSet};

use super::rules::{Layers, Matches};
use super::{BoundsSettings, Configuration};
use crate::allocation::{
    Group, GroupName, OperationId, Policy, ServiceId, ServicePolicy, Timestamp,
};
use crate::names::Names;

/// What the settings say of services and operations that have a number.
#[derive(Default)]
struct Settings<'c> {
    each: HashMap<ServiceId, &'c BoundsSettings>,
    operations: HashMap<OperationId, (ServiceId, &'c BoundsSettings)>,
}

impl<'c> Settings<'c> {
    /// What an operation has without rules.
    fn of(&self, service: ServiceId, operation: OperationId) -> Layers<'c> {
        match self.operations.get(&operation) {
            Some((_, own)) => Layers::Operation(own),
            None => self.of_each(service),
        }
    }

    fn of_each(&self, service: ServiceId) -> Layers<'c> {
        let each = self.each.get(&service);
        each.map_or(Layers::Nothing, |each| Layers::Each(each))
    }
}

impl Configuration {
    /// Adds what settings and rules say of services and operations that have a number.
    pub(super) fn resolve(
        &self,
        names: &Names,
        matches: &Matches,
        at: Timestamp,
        policy: &mut Policy,
    ) {
        let mut settings = Settings::default();
        for (name, service) in &self.services {
            let Some(id) = names.find_service(name) else {
                continue;
            };
            let asked = ServicePolicy {
                group: service.group.as_deref().and_then(group_name),
                whole: service.whole(),
                each: service.each.bounds(),
                ..ServicePolicy::default()
            };
            policy.services.insert(id, asked);
            settings.each.insert(id, &service.each);
            for (operation, bounds) in &service.operations {
                if let Some(operation) = names.find(name, operation) {
                    policy.operations.insert(operation, bounds.bounds());
                    settings.operations.insert(operation, (id, bounds));
                }
            }
        }
        if !self.rules.is_empty() {
            self.apply_rules(&settings, matches, at, policy);
        }
    }

    /// Adds what the rules say that are active at a time.
    fn apply_rules(
        &self,
        settings: &Settings<'_>,
        matches: &Matches,
        at: Timestamp,
        policy: &mut Policy,
    ) {
        for (service, rules) in matches.services() {
            let merged = Matches::merged(&rules, settings.of_each(service), at);
            if let Some(merged) = merged {
                policy.services.entry(service).or_default().each = merged.bounds();
            }
        }
        for (operation, service, rules) in matches.operations() {
            let merged = Matches::merged(&rules, settings.of(service, operation), at);
            if let Some(merged) = merged {
                policy.operations.insert(operation, merged.bounds());
            }
        }
        // The settings of an operation hide those of its service, but not the rules for all of it.
        for (operation, (service, own)) in &settings.operations {
            if matches.has_own(*operation) {
                continue;
            }
            let rules = matches.of_service(*service);
            if let Some(merged) = Matches::merged(&rules, Layers::Operation(own), at) {
                policy.operations.insert(*operation, merged.bounds());
            }
        }
        let active = self.rules.values().filter(|rule| rule.is_active(at));
        let extra: f64 = active.filter_map(|rule| rule.extra_traces_per_second).sum();
        policy.budget += extra;
    }

    /// What an operation has without rules.
    #[must_use]
    pub fn settings_of(&self, service: &str, operation: &str) -> Layers<'_> {
        let Some(settings) = self.services.get(service) else {
            return Layers::Nothing;
        };
        match settings.operations.get(operation) {
            Some(own) => Layers::Operation(own),
            None => Layers::Each(&settings.each),
        }
    }

    /// The operations that have settings of their own, and a number.
    #[must_use]
    pub fn operations(&self, names: &Names) -> HashSet<OperationId> {
        let services = self.services.iter();
        let named = services.flat_map(|(service, settings)| {
            let operations = settings.operations.keys();
            operations.flat_map(move |operation| names.find_all(service, operation))
        });
        named.collect()
    }

    /// The groups, sorted by name as in the document.
    pub(super) fn policy_groups(&self) -> Vec<Group> {
        let groups = self.groups.iter();
        groups
            .filter_map(|(name, group)| {
                Some(Group {
                    name: group_name(name)?,
                    whole: group.whole(),
                })
            })
            .collect()
    }
}

/// Names were checked with the document.
fn group_name(name: &str) -> Option<GroupName> {
    GroupName::parse(name).ok()
}
