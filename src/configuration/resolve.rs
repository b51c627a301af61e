//! Replaces the document's names with the numbers that the allocation works on.

use std::collections::HashSet;

use super::Configuration;
use crate::allocation::{Group, GroupName, OperationId, Policy, ServicePolicy};
use crate::names::Names;

impl Configuration {
    /// Adds the settings of services and operations that have a number.
    pub(super) fn resolve(&self, names: &Names, policy: &mut Policy) {
        for (name, service) in &self.services {
            let Some(id) = names.find_service(name) else {
                continue;
            };
            let asked = ServicePolicy {
                group: service.group.as_deref().and_then(group_name),
                whole: service.whole(),
                each: service.each.bounds(),
            };
            policy.services.insert(id, asked);
            for (operation, bounds) in &service.operations {
                if let Some(id) = names.find(name, operation) {
                    policy.operations.insert(id, bounds.bounds());
                }
            }
        }
    }

    /// The operations that have settings of their own, and a number.
    #[must_use]
    pub fn operations(&self, names: &Names) -> HashSet<OperationId> {
        let services = self.services.iter();
        let named = services.flat_map(|(service, settings)| {
            let operations = settings.operations.keys();
            operations.filter_map(move |operation| names.find(service, operation))
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
