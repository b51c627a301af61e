//! What is served: the current plan, immutable, every body encoded once.
//!
//! A reader takes the snapshot as it stands and never waits; a writer builds the next one aside
//! and swaps it in whole. Read [`Served`] first.

mod strategy;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};

pub use strategy::Strategy;

use crate::allocation::{LISTED_MAX, OVERFLOW_SERVICE, OperationPlan, Plan, ServiceId, magnitude};
use crate::names::Names;
use crate::store::Incarnation;

/// The current snapshot, for everybody who reads.
pub struct Served {
    current: ArcSwap<Snapshot>,
}

impl Served {
    /// Starts with the genesis plan: nothing known, everything at `initial_probability`.
    #[must_use]
    pub fn new(genesis: Plan) -> Self {
        let snapshot = Snapshot::build(genesis, None, &Names::default(), None);
        Self {
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    /// The snapshot as it stands; for a short look.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The snapshot as it stands; to keep.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Swaps a newer snapshot in; an older plan never replaces a newer one.
    pub fn install(&self, snapshot: Snapshot) {
        let next = Arc::new(snapshot);
        self.current.rcu(|held| {
            let newer = next.plan.number > held.plan.number || held.plan.number == 0;
            Arc::clone(if newer { &next } else { held })
        });
    }

    /// Swaps a snapshot in whatever its number: the database has gone back to it.
    pub fn go_back(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

/// A plan with its names and its bodies.
pub struct Snapshot {
    plan: Plan,
    published_at: Option<DateTime<Utc>>,
    named_in: Incarnation,
    services: HashMap<Arc<str>, ServiceSnapshot>,
    /// The plan's operations by service, the busiest first.
    order: Vec<Named>,
    unknown: Strategy,
    bytes: usize,
}

/// One service's part of a snapshot.
pub struct ServiceSnapshot {
    /// Which service.
    pub id: ServiceId,
    /// The probability of operations that the plan does not list.
    pub default_probability: f64,
    /// Its SDK instances, as the plan counts them.
    pub instances: f64,
    /// What each of them keeps of every operation at least, in traces per second.
    pub lower_bound: f64,
    /// What its SDKs are sent.
    pub strategy: Strategy,
    operations: Range<usize>,
}

/// An operation of the plan with its name.
struct Named {
    index: usize,
    name: Arc<str>,
}

impl Snapshot {
    /// Names and encodes a plan. Bodies that did not change are taken over from `previous`.
    #[must_use]
    pub fn build(
        plan: Plan,
        published_at: Option<DateTime<Utc>>,
        names: &Names,
        previous: Option<&Self>,
    ) -> Self {
        let order = order(&plan, names);
        let mut services = HashMap::with_capacity(plan.services.len());
        let mut from = 0;
        for service in &plan.services {
            let rest = &order[from..];
            let skipped = rest
                .partition_point(|named| plan.operations[named.index].service < service.service);
            let held = rest[skipped..]
                .partition_point(|named| plan.operations[named.index].service == service.service);
            let operations = from + skipped..from + skipped + held;
            from = operations.end;
            let Some(name) = names.service(service.service) else {
                continue;
            };
            let listed = order[operations.clone()]
                .iter()
                .map(|named| (&plan.operations[named.index], &*named.name))
                .filter(|(operation, _)| operation.is_listed())
                // More only in a plan of a release that knew of no bound.
                .take(LISTED_MAX)
                .map(|(operation, name)| (name, operation.probability));
            let body = strategy::encode(service.default_probability, service.lower_bound, listed);
            let before = previous.and_then(|previous| previous.services.get(&name));
            let strategy = Strategy::new(body, before.map(|before| &before.strategy));
            services.insert(
                name,
                ServiceSnapshot {
                    id: service.service,
                    default_probability: service.default_probability,
                    instances: service.instances,
                    lower_bound: service.lower_bound,
                    strategy,
                    operations,
                },
            );
        }
        let body = strategy::encode(plan.fleet.default_probability, 0.0, std::iter::empty());
        let unknown = Strategy::new(body, previous.map(|previous| &previous.unknown));
        let known = services.values().map(|service| &service.strategy);
        let bytes = known.chain([&unknown]).map(|held| held.bytes()).sum();
        Self {
            plan,
            published_at,
            named_in: names.incarnation(),
            services,
            order,
            unknown,
            bytes,
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When the plan was published; never for the genesis plan.
    #[must_use]
    pub fn published_at(&self) -> Option<DateTime<Utc>> {
        self.published_at
    }

    /// The state of the dictionary that the plan's numbers were named in.
    #[must_use]
    pub fn named_in(&self) -> Incarnation {
        self.named_in
    }

    /// What the SDKs of a service that is not known are sent: the fleet's default.
    #[must_use]
    pub fn default_strategy(&self) -> &Strategy {
        &self.unknown
    }

    /// The size of all bodies, uncompressed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One service's part.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<&ServiceSnapshot> {
        self.services.get(service)
    }

    /// Every service with its name, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = (&Arc<str>, &ServiceSnapshot)> {
        self.services.iter()
    }

    /// A service's operations with their names, the busiest first.
    pub fn operations(
        &self,
        service: &ServiceSnapshot,
    ) -> impl Iterator<Item = (&str, &OperationPlan)> {
        self.order[service.operations.clone()]
            .iter()
            .map(|named| (&*named.name, &self.plan.operations[named.index]))
    }

    /// Seconds since the plan was published; none for the genesis plan.
    #[must_use]
    pub fn age_seconds(&self, now: DateTime<Utc>) -> Option<f64> {
        let age = now - self.published_at?;
        Some((age.num_milliseconds() as f64 / 1000.0).max(0.0))
    }
}

/// The plan's operations that have names, by service and then by traffic.
///
/// Traffic counts in powers of two and ids decide among equals, so that a body does not change
/// because two operations of about the same traffic took turns.
fn order(plan: &Plan, names: &Names) -> Vec<Named> {
    let operations = plan.operations.iter().enumerate();
    let mut keys: Vec<_> = operations
        .map(|(index, operation)| {
            (
                operation.service,
                Reverse(magnitude(operation.offered)),
                index,
            )
        })
        .collect();
    keys.sort_unstable();
    keys.into_iter()
        .filter_map(|(_, _, index)| {
            let name = names.operation(plan.operations[index].operation)?;
            Some(Named { index, name })
        })
        .collect()
}

/// The service that stands for all that are not known.
#[must_use]
pub fn is_overflow(service: ServiceId) -> bool {
    service == OVERFLOW_SERVICE
}
