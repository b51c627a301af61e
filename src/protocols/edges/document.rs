//! The document that edges read. Equal snapshots give equal bytes at all replicas.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::allocation::{Class, OVERFLOW_NAME, OperationId, held_between_plans};
use crate::snapshot::{Governed, GovernedService, ServiceSnapshot, Snapshot};

#[derive(Serialize)]
struct Document<'a> {
    plan: u64,
    default: Default,
    services: Vec<Service<'a>>,
    tagged: Vec<Tagged<'a>>,
}

#[derive(Serialize)]
struct Default {
    governed: Governed,
    slow_ms: u32,
    probabilities: Probabilities,
    caps: Caps,
}

#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    governed: Governed,
    #[serde(flatten)]
    decided: Option<Decided<'a>>,
}

/// What is said of a service that edges decide about.
#[derive(Serialize)]
struct Decided<'a> {
    slow_ms: u32,
    default: Probabilities,
    caps: Caps,
    operations: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Operation<'a> {
    operation: &'a str,
    #[serde(flatten)]
    probabilities: Probabilities,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap_traces_per_second: Option<f32>,
}

/// In single precision: no estimate is exact to seven digits.
#[derive(Serialize, Clone, Copy, std::default::Default)]
struct Probabilities {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tagged: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<f32>,
}

impl Probabilities {
    fn set(&mut self, class: Class, probability: f64) {
        let field = match class {
            Class::Error => &mut self.error,
            Class::Slow => &mut self.slow,
            Class::Tagged => &mut self.tagged,
            Class::Rest => &mut self.rest,
        };
        *field = Some(probability as f32);
    }

    fn of(probability: impl Fn(Class) -> f64) -> Self {
        let mut of = Self::default();
        for class in Class::ALL {
            of.set(class, probability(class));
        }
        of
    }
}

/// The most traces per second that an edge keeps of a service between two plans. Tagged requests have the caps of their
/// rules.
#[derive(Serialize)]
struct Caps {
    error: f32,
    slow: f32,
    rest: f32,
}

#[derive(Serialize)]
struct Tagged<'a> {
    name: &'a str,
    service: String,
    attributes: &'a BTreeMap<String, String>,
    cap_traces_per_second: f64,
}

/// The document of a snapshot.
#[must_use]
pub fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let governance = snapshot.governance();
    let default = governance.default_service();
    let unknown = snapshot.served_fleet_default();
    let document = Document {
        plan: snapshot.plan().number,
        default: Default {
            governed: default.governed,
            slow_ms: default.slow_ms,
            probabilities: Probabilities::of(|class| default_of(snapshot, class, None, unknown)),
            caps: caps(snapshot, default, &[Sums::default(); Class::ALL.len()]),
        },
        services: services(snapshot),
        tagged: tagged(snapshot),
    };
    serde_json::to_vec(&document).expect("names and finite numbers serialise")
}

/// The services that edges decide about, and those that they do not although they would by default.
fn services(snapshot: &Snapshot) -> Vec<Service<'_>> {
    let governance = snapshot.governance();
    if !governance.has_tail() {
        return Vec::new();
    }
    let known = snapshot.services().map(|(name, _)| &**name);
    let named = governance.named().map(|(name, _)| name);
    let names: BTreeSet<&str> = known
        .chain(named)
        .filter(|of| *of != OVERFLOW_NAME)
        .collect();
    let by_default = governance.default_service().governed;
    let services = names.into_iter().filter_map(|name| {
        let of = governance.service(name);
        let decided = match of.governed {
            Governed::Tail => Some(decided(snapshot, name, &of)),
            Governed::Head if by_default == Governed::Head => return None,
            Governed::Head => None,
        };
        Some(Service {
            service: name,
            governed: of.governed,
            decided,
        })
    });
    services.collect()
}

/// What the plan gives to all entries of a class of a service.
#[derive(Clone, Copy, std::default::Default)]
struct Sums {
    offered: f64,
    share: f64,
    /// What is served of the entry for what has no entry of its own.
    overflow: Option<f64>,
}

impl Sums {
    fn probability(&self) -> Option<f64> {
        let mean = (self.offered > 0.0).then(|| (self.share / self.offered).min(1.0));
        self.overflow.or(mean)
    }
}

fn decided<'s>(snapshot: &'s Snapshot, name: &str, of: &GovernedService) -> Decided<'s> {
    let held = snapshot.service(name);
    let mut sums = [Sums::default(); Class::ALL.len()];
    let mut operations: BTreeMap<&str, (Probabilities, Option<f32>)> = BTreeMap::new();
    for (operation, class, planned) in held.into_iter().flat_map(|held| snapshot.classes(held)) {
        let served = snapshot.served(planned);
        let sum = &mut sums[class as usize];
        sum.offered += planned.offered;
        sum.share += served * planned.offered;
        match operation {
            OVERFLOW_NAME => sum.overflow = Some(served),
            _ => {
                let (probabilities, cap) = operations.entry(operation).or_default();
                probabilities.set(class, served);
                *cap = operation_cap(snapshot, planned.operation);
            }
        }
    }
    let unknown = held.map_or_else(
        || snapshot.served_fleet_default(),
        |held: &ServiceSnapshot| snapshot.served_default(held.id),
    );
    let operations = operations.into_iter();
    Decided {
        slow_ms: of.slow_ms,
        default: Probabilities::of(|class| {
            let known = sums[class as usize].probability();
            default_of(snapshot, class, known, unknown)
        }),
        caps: caps(snapshot, of, &sums),
        operations: operations
            .map(|(operation, (probabilities, cap))| Operation {
                operation,
                probabilities,
                cap_traces_per_second: cap,
            })
            .collect(),
    }
}

/// What is served of a class of operations that the plan does not name. `known` is what others of the service get,
/// `unknown` what the plan gives to unknown operations.
fn default_of(snapshot: &Snapshot, class: Class, known: Option<f64>, unknown: f64) -> f64 {
    class.of_unnamed(known, unknown, snapshot.cuts().factor())
}

fn caps(snapshot: &Snapshot, of: &GovernedService, sums: &[Sums; Class::ALL.len()]) -> Caps {
    let budget = snapshot.plan().fleet.budget;
    let edges = edges(snapshot);
    let cap = |class: Class| {
        let cap = of.cap(class, budget);
        (held_between_plans(cap, sums[class as usize].share, budget) / edges) as f32
    };
    Caps {
        error: cap(Class::Error),
        slow: cap(Class::Slow),
        rest: cap(Class::Rest),
    }
}

/// What an edge keeps of an operation between two plans at most, by the entry of one of its classes.
fn operation_cap(snapshot: &Snapshot, entry: OperationId) -> Option<f32> {
    let cap = snapshot.governance().operation_cap(entry)?;
    Some((cap / edges(snapshot)) as f32)
}

/// The number of edges that share a cap: who reads this is one.
fn edges(snapshot: &Snapshot) -> f64 {
    snapshot.edges().following.max(1) as f64
}

/// The rules for tagged requests that apply.
fn tagged(snapshot: &Snapshot) -> Vec<Tagged<'_>> {
    let edges = edges(snapshot);
    let active = snapshot.tagged().iter().filter(|rule| rule.active);
    active
        .map(|rule| Tagged {
            name: &rule.rule,
            service: rule.service_glob(),
            attributes: &rule.attributes,
            cap_traces_per_second: rule.cap / edges,
        })
        .collect()
}
