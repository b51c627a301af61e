//! How a service is governed, and what its classes get.

use serde::Serialize;

use crate::allocation::Class;
use crate::configuration::Governed;
use crate::http::problem::Problem;
use crate::snapshot::{ServiceSnapshot, Snapshot, TailState};

/// The class that a parameter names.
pub(super) fn class_named(given: &str) -> Result<Class, Problem> {
    Class::parse(given).ok_or_else(|| Problem::Malformed {
        field: "class".into(),
        detail: format!("must be one of {}", Class::ALL.map(Class::name).join(", ")),
    })
}

/// Who decides about a service.
#[derive(Serialize)]
pub(super) struct ServiceGovernance {
    governed: Governed,
    /// What becomes of it; null if it is head-governed.
    tail: Option<&'static str>,
    slow_ms: u32,
}

impl ServiceGovernance {
    pub(super) fn of(snapshot: &Snapshot, name: &str, held: &ServiceSnapshot) -> Self {
        let of = snapshot.governance().service(name);
        Self {
            governed: of.governed,
            tail: snapshot.tail(name, held).map(TailState::name),
            slow_ms: of.slow_ms,
        }
    }
}

/// The same, with what its classes get.
#[derive(Serialize)]
pub(super) struct GovernedDocument {
    #[serde(flatten)]
    service: ServiceGovernance,
    classes: Vec<ClassDocument>,
}

/// What a class gets: of a service, or of one operation.
#[derive(Serialize)]
pub(super) struct ClassDocument {
    class: &'static str,
    offered_per_second: f64,
    share_traces_per_second: f64,
    /// What is kept of it in the mean; null while nothing is offered.
    probability: Option<f64>,
    /// Of all operations together; null for one operation, and without a cap. That of tagged requests is in their rules.
    cap_traces_per_second: Option<f64>,
}

impl GovernedDocument {
    pub(super) fn of(snapshot: &Snapshot, name: &str, held: &ServiceSnapshot) -> Self {
        let of = snapshot.governance().service(name);
        let budget = snapshot.plan().fleet.budget;
        let mut classes = ClassDocument::all(snapshot, held, |_| true);
        for document in &mut classes {
            let class = Class::parse(document.class);
            let cap = class.map(|class| of.cap(class, budget));
            document.cap_traces_per_second = cap.filter(|cap| cap.is_finite());
        }
        Self {
            service: ServiceGovernance::of(snapshot, name, held),
            classes,
        }
    }
}

impl ClassDocument {
    /// Those of the operations that are wanted.
    pub(super) fn all(
        snapshot: &Snapshot,
        held: &ServiceSnapshot,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Self> {
        let mut sums = [None; Class::ALL.len()];
        for (operation, class, planned) in snapshot.classes(held) {
            if wanted(operation) {
                let sum: &mut (f64, f64) = sums[class as usize].get_or_insert_default();
                sum.0 += planned.offered;
                sum.1 += planned.share;
            }
        }
        let known = Class::ALL.into_iter().zip(sums);
        let known = known.filter_map(|(class, sum)| Some((class, sum?)));
        known
            .map(|(class, (offered, share))| Self {
                class: class.name(),
                offered_per_second: offered,
                share_traces_per_second: share,
                probability: (offered > 0.0).then(|| (share / offered).min(1.0)),
                cap_traces_per_second: None,
            })
            .collect()
    }
}
