//! What is served: the current plan with its names, immutable, in no wire format.
//!
//! A reader takes the current snapshot and never waits. A writer builds the next one aside, lets
//! every protocol encode what it sends of it, and swaps it in whole. Read [`Served`] first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::allocation::{LISTED_MAX, OVERFLOW_SERVICE, OperationPlan, Plan, ServiceId, magnitude};
use crate::names::Names;
use crate::store::{Incarnation, PlanMark};

/// Somebody who sends what snapshots say, and makes it ready before it is asked for.
pub trait Audience: Send + Sync + 'static {
    /// Takes the next snapshot. Called for one at a time, away from the threads that answer polls.
    fn take(&self, snapshot: &Arc<Snapshot>);

    /// How many bytes are ready to be sent, uncompressed.
    fn bytes(&self) -> usize;
}

/// The current snapshot, for everybody who reads.
pub struct Served {
    current: ArcSwap<Snapshot>,
    /// Who encodes snapshots. Held while one is installed, so that they come one after the other;
    /// readers never take it.
    audiences: Mutex<Vec<Arc<dyn Audience>>>,
    bytes: AtomicUsize,
    /// The highest number that was ever served here.
    highest: AtomicU64,
}

impl Served {
    /// Starts with the genesis plan: nothing known, everything at `initial_probability`.
    #[must_use]
    pub fn new(genesis: Plan) -> Self {
        let snapshot = Snapshot::build(genesis, None, &Names::default());
        Self {
            current: ArcSwap::from_pointee(snapshot),
            audiences: Mutex::default(),
            bytes: AtomicUsize::new(0),
            highest: AtomicU64::new(0),
        }
    }

    /// Lets an audience begin with the current snapshot, and take all that follow.
    pub fn attach<A: Audience>(&self, begin: impl FnOnce(&Arc<Snapshot>) -> A) -> Arc<A> {
        let mut audiences = self.audiences();
        let audience = Arc::new(begin(&self.snapshot()));
        audiences.push(Arc::clone(&audience) as Arc<dyn Audience>);
        self.measure(&audiences);
        audience
    }

    fn audiences(&self) -> MutexGuard<'_, Vec<Arc<dyn Audience>>> {
        self.audiences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, audiences: &[Arc<dyn Audience>]) {
        let bytes = audiences.iter().map(|audience| audience.bytes()).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
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

    /// The size of everything that is ready to be sent, uncompressed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Swaps a snapshot in, whatever its number. Whoever does holds
    /// [`JobContext::publishing`](crate::jobs::JobContext), so that what is served is what the database
    /// said last.
    pub fn install(&self, snapshot: Snapshot) {
        let audiences = self.audiences();
        self.highest
            .fetch_max(snapshot.plan.number, Ordering::Relaxed);
        let next = Arc::new(snapshot);
        for audience in audiences.iter() {
            audience.take(&next);
        }
        self.measure(&audiences);
        self.current.store(next);
    }

    /// The highest number of a plan that was ever served here. After the database has gone back in
    /// time, the next plan's lies above it all the same.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// When a plan was published, and which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its identity: a number may come again, an identity does not.
    pub identity: Uuid,
    /// When.
    pub at: DateTime<Utc>,
}

/// A plan with its names.
pub struct Snapshot {
    plan: Plan,
    published: Option<Published>,
    named_in: Incarnation,
    services: HashMap<Arc<str>, ServiceSnapshot>,
    /// The plan's operations by service, the busiest first.
    order: Vec<NamedOperation>,
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
    operations: Range<usize>,
}

/// What the SDKs of one service are told, in no wire format.
pub struct ServedStrategy<'a> {
    /// The probability of operations that are not listed.
    pub default_probability: f64,
    /// What every instance keeps of every operation at least, in traces per second.
    pub lower_bound: f64,
    operations: &'a [NamedOperation],
    plan: &'a Plan,
}

impl<'a> ServedStrategy<'a> {
    /// The operations that are listed, with their probabilities, the busiest first.
    pub fn operations(&self) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
        let plan = self.plan;
        self.operations
            .iter()
            .map(move |named| (&plan.operations[named.index], &*named.name))
            .filter(|(operation, _)| operation.is_listed())
            // More only in a plan of a release that knew of no bound.
            .take(LISTED_MAX)
            .map(|(operation, name)| (name, operation.probability))
    }
}

/// An operation of the plan with its name.
struct NamedOperation {
    index: usize,
    name: Arc<str>,
}

impl Snapshot {
    /// Names a plan.
    #[must_use]
    pub fn build(plan: Plan, published: Option<Published>, names: &Names) -> Self {
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
            services.insert(
                name,
                ServiceSnapshot {
                    id: service.service,
                    default_probability: service.default_probability,
                    instances: service.instances,
                    lower_bound: service.lower_bound,
                    operations,
                },
            );
        }
        Self {
            plan,
            published,
            named_in: names.incarnation(),
            services,
            order,
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
        self.published.map(|published| published.at)
    }

    /// Which plan it is; none for the genesis plan.
    #[must_use]
    pub fn mark(&self) -> Option<PlanMark> {
        Some(PlanMark {
            number: self.plan.number,
            identity: self.published?.identity,
        })
    }

    /// The state of the dictionary that the plan's numbers were named in.
    #[must_use]
    pub fn named_in(&self) -> Incarnation {
        self.named_in
    }

    /// What the SDKs of a service are told.
    #[must_use]
    pub fn strategy(&self, service: &ServiceSnapshot) -> ServedStrategy<'_> {
        ServedStrategy {
            default_probability: service.default_probability,
            lower_bound: service.lower_bound,
            operations: &self.order[service.operations.clone()],
            plan: &self.plan,
        }
    }

    /// What the SDKs of a service that the plan does not know are told: the fleet's default.
    #[must_use]
    pub fn default_strategy(&self) -> ServedStrategy<'_> {
        ServedStrategy {
            default_probability: self.plan.fleet.default_probability,
            lower_bound: 0.0,
            operations: &[],
            plan: &self.plan,
        }
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
        let age = now - self.published_at()?;
        Some((age.num_milliseconds() as f64 / 1000.0).max(0.0))
    }
}

/// The plan's operations that have names, by service and then by traffic.
///
/// Traffic counts in powers of two and ids decide among equals, so that a body does not change
/// because two operations of about the same traffic took turns.
fn order(plan: &Plan, names: &Names) -> Vec<NamedOperation> {
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
            Some(NamedOperation { index, name })
        })
        .collect()
}

/// The service that stands for all that are not known.
#[must_use]
pub fn is_overflow(service: ServiceId) -> bool {
    service == OVERFLOW_SERVICE
}
