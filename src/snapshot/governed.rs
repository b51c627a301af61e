//! Which services edges decide about now.
//!
//! The SDKs of a tail-governed service sample everything only while something decides about their traces: an edge follows
//! the plan, and edges have counted traces of the service lately. Until then they are served their share, as if the
//! service were head-governed. So a service that is set to tail floods no backend if nothing is in front of it.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Edges, ListedOperation, ServiceSnapshot, Snapshot};
use crate::allocation::{Class, OperationPlan, Plan, Serving};
use crate::configuration::{Governance, Governed};

/// Edges that have counted nothing of a service for this many intervals are taken not to be in front of it: as long as
/// the worse of two sources stays out.
const COUNTED_WINDOWS: u32 = 16;

/// What becomes of a tail-governed service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailState {
    /// Edges decide, and its SDKs are served 1.
    InEffect,
    /// No edge follows the plan.
    NoEdge,
    /// Edges follow the plan, and have not counted any trace of it lately.
    NotCounted,
    /// Weir only observes, and changes nothing of what SDKs do.
    Observed,
}

impl TailState {
    /// As documents and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InEffect => "in_effect",
            Self::NoEdge => "no_edge",
            Self::NotCounted => "not_counted",
            Self::Observed => "observed",
        }
    }
}

/// Whether edges have counted traces of a service lately.
pub(super) fn is_counted(plan: &Plan, operations: &[ListedOperation]) -> bool {
    operations.iter().any(|named| {
        named.class.is_some() && plan.operations[named.index].silent_windows < COUNTED_WINDOWS
    })
}

impl Snapshot {
    /// Adds who decides about services, and the caps that edges hold, in the configuration that the plan was made with.
    #[must_use]
    pub fn with_governance(mut self, governance: Governance) -> Self {
        self.governance = Arc::new(governance);
        self.follow(self.edges);
        self
    }

    /// Who decides about services.
    #[must_use]
    pub fn governance(&self) -> &Governance {
        &self.governance
    }

    /// How many edges follow the plan.
    #[must_use]
    pub fn edges(&self) -> Edges {
        self.edges
    }

    /// Says how many edges follow the plan.
    pub(super) fn follow(&mut self, edges: Edges) {
        self.edges = edges;
        let services = self.services.iter();
        let by_edges: HashSet<_> = match self.governance.has_tail() {
            true => services
                .filter(|(name, of)| self.tail(name, of) == Some(TailState::InEffect))
                .map(|(_, of)| of.id)
                .collect(),
            false => HashSet::new(),
        };
        self.by_edges = Arc::new(by_edges);
    }

    /// What becomes of a service that is set to tail; none if it is head-governed.
    #[must_use]
    pub fn tail(&self, name: &str, service: &ServiceSnapshot) -> Option<TailState> {
        if self.governance.service(name).governed == Governed::Head {
            return None;
        }
        Some(if self.plan.serving() == Serving::Observe {
            TailState::Observed
        } else if self.edges.following == 0 {
            TailState::NoEdge
        } else if !service.classed {
            TailState::NotCounted
        } else {
            TailState::InEffect
        })
    }

    /// Whether edges count a service, so that nothing else counts.
    #[must_use]
    pub fn counted_by_edges(&self, service: &str) -> bool {
        !self.by_edges.is_empty()
            && self
                .service(service)
                .is_some_and(|of| self.by_edges.contains(&of.id))
    }

    /// The entries of a service that are a class of an operation: operation, class and plan.
    pub fn classes(
        &self,
        service: &ServiceSnapshot,
    ) -> impl Iterator<Item = (&str, Class, &OperationPlan)> {
        self.order[service.operations.clone()]
            .iter()
            .filter_map(|named| {
                let (operation, class) = Class::of(&named.name);
                Some((operation, class?, &self.plan.operations[named.index]))
            })
    }
}
