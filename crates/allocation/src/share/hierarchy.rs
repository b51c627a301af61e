//! Models the fleet as a tree: the floors and caps above each operation, and the level it shares at.

use crate::amount::amount;
use crate::limits::Limit;
use crate::nested::Node;
use crate::operation::Estimate;
use crate::solve::Levels;
use crate::{ClassEntry, OperationId, Policy, ServiceId, Source, Whole};

const FLEET: u32 = 0;

/// The level at which operations share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local {
    /// In traces per second and unit of weight.
    pub level: f64,
    /// The owner of the level.
    pub source: Source,
    /// The node of the level: its operations share what the node has.
    pub node: u32,
}

/// The nodes of a policy: the fleet, its groups, and the services and classes of services with a floor or cap of their own.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    nodes: Vec<Node>,
    /// How many of the nodes are groups; they follow the fleet.
    groups: usize,
    /// The node of every service that has one other than the fleet, sorted by service.
    homes: Vec<(ServiceId, u32)>,
    /// The node of every entry of a class that has one of its own, sorted by operation.
    entries: Vec<(OperationId, u32)>,
}

impl Hierarchy {
    pub(crate) fn of(policy: &Policy) -> Self {
        let node = |parent, whole: &Whole| Node {
            parent,
            floor: amount(whole.floor),
            cap: if whole.cap >= 0.0 {
                whole.cap
            } else {
                f64::INFINITY
            },
        };
        let mut nodes = vec![Node::default()];
        nodes.extend(policy.groups.iter().map(|group| node(FLEET, &group.whole)));
        let mut homes = Vec::new();
        let mut classes = Vec::new();
        for (id, service) in &policy.services {
            let group = service.group.as_ref().and_then(|name| {
                let found = policy.groups.binary_search_by(|group| group.name.cmp(name));
                Some(found.ok()? as u32 + 1)
            });
            let mut home = group.unwrap_or(FLEET);
            if service.whole.binds() {
                nodes.push(node(home, &service.whole));
                home = nodes.len() as u32 - 1;
            }
            if home != FLEET {
                homes.push((*id, home));
            }
            for (class, whole) in service.classes.iter().enumerate() {
                if whole.binds() {
                    nodes.push(node(home, whole));
                    classes.push(((*id, class), nodes.len() as u32 - 1));
                }
            }
        }
        let of_class = |of: &ClassEntry| {
            let found =
                classes.binary_search_by_key(&(of.service, of.class as usize), |(key, _)| *key);
            found.ok().map(|place| classes[place].1)
        };
        let entries = policy.classes.iter();
        Self {
            entries: entries
                .filter_map(|(id, of)| Some((*id, of_class(of)?)))
                .collect(),
            nodes,
            groups: policy.groups.len(),
            homes,
        }
    }

    /// Whether there is no node but the fleet.
    pub(crate) fn is_flat(&self) -> bool {
        self.homes.is_empty() && self.entries.is_empty()
    }

    /// The node of an operation: that of its class, or its service's.
    pub(crate) fn home_of(&self, service: ServiceId, operation: OperationId) -> u32 {
        self.class_of(operation)
            .unwrap_or_else(|| self.home(service))
    }

    /// The node of an entry's class, if it has one of its own.
    pub(crate) fn class_of(&self, operation: OperationId) -> Option<u32> {
        let found = self.entries.binary_search_by_key(&operation, |(id, _)| *id);
        found.ok().map(|place| self.entries[place].1)
    }

    /// The node of a service's operations that are no class.
    pub(crate) fn home(&self, service: ServiceId) -> u32 {
        match self.homes.binary_search_by_key(&service, |(id, _)| *id) {
            Ok(place) => self.homes[place].1,
            Err(_) => FLEET,
        }
    }

    /// The nodes, reduced by what pins take of their floors and caps: pins are paid for first.
    pub(crate) fn nodes(&self, estimates: &[Estimate], limits: &[Limit]) -> Vec<Node> {
        let mut pinned = vec![0.0; self.nodes.len()];
        for (estimate, limit) in estimates.iter().zip(limits) {
            let Some(pin) = limit.pin else { continue };
            let mut node = self.home_of(estimate.service, estimate.operation);
            while node != FLEET {
                pinned[node as usize] += amount(pin * estimate.demand());
                node = self.nodes[node as usize].parent;
            }
        }
        let left = |(node, pinned): (&Node, &f64)| Node {
            floor: (node.floor - pinned).max(0.0),
            cap: (node.cap - pinned).max(0.0),
            ..*node
        };
        self.nodes.iter().zip(&pinned).map(left).collect()
    }

    /// A sum for each node.
    pub(crate) fn sums(&self) -> Vec<f64> {
        vec![0.0; self.nodes.len()]
    }

    /// Adds up what the operations of each node ask for, of each node no more than its cap.
    pub(crate) fn within_caps(&self, mut asked: Vec<f64>, nodes: &[Node]) -> f64 {
        // Inner nodes follow their parents.
        for (number, node) in nodes.iter().enumerate().skip(1).rev() {
            asked[node.parent as usize] += asked[number].min(node.cap);
        }
        asked[FLEET as usize]
    }

    /// The level of each node's operations, by node.
    pub(crate) fn locals(&self, levels: &[Levels], fleet: f64) -> Vec<Local> {
        let mut locals = vec![Local {
            level: fleet,
            source: Source::Fleet,
            node: FLEET,
        }];
        // Outer nodes come first.
        for (number, node) in self.nodes.iter().enumerate().skip(1) {
            let outer = locals[node.parent as usize];
            let own = levels.get(number).copied().unwrap_or_default();
            let kept = outer.level.max(own.least).min(own.most);
            locals.push(if kept == outer.level {
                outer
            } else {
                let node = number as u32;
                let source = if number <= self.groups {
                    Source::Group
                } else {
                    Source::Service
                };
                Local {
                    level: kept,
                    source,
                    node,
                }
            });
        }
        locals
    }

    /// The group that a node is, or belongs to, by its index among the groups.
    pub(crate) fn group(&self, node: u32) -> Option<usize> {
        let mut at = node;
        while at as usize > self.groups {
            at = self.nodes[at as usize].parent;
        }
        (at != FLEET).then(|| at as usize - 1)
    }
}
