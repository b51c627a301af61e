//! What is served: the current plan with its names, immutable, in no wire format.
//!
//! A reader takes the current snapshot and never waits. A writer builds the next snapshot aside,
//! lets every protocol encode it, and swaps it in whole. Begin with [`Served`].

mod clients;
mod cuts;
mod edges;
mod governed;
mod polls;
mod strangers;
mod sums;
mod told;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::allocation::{
    Class, LISTED_MAX, OVERFLOW_SERVICE, OperationPlan, Plan, ServiceId, Timestamp, magnitude,
};
use crate::configuration::{Governance, TaggedRules, rule_of_tagged};
use crate::names::Names;
use crate::store::{Incarnation, PlanMark};
use crate::worker::{Begun, Worker};

pub use crate::configuration::{Governed, GovernedService, TaggedRule};
pub use clients::PollClient;
pub use cuts::{Cut, Cuts};
pub use edges::{EdgeAsk, EdgeAsks, Edges, FOLLOWS_MS, NoRoom};
pub use governed::TailState;
pub use polls::{PollCounter, ServicePolls};
pub use strangers::{StrangerPolls, Strangers};
pub use sums::ServiceSums;

/// What the names of agents begin with that are samplers which apply rules for tagged requests.
pub const APPLIES_TAGGED: &str = "xray ";

/// A protocol that sends snapshots, and encodes each before it is asked for.
pub trait Audience: Send + Sync + 'static {
    /// Takes the next snapshot. Called for one snapshot at a time, on a thread of its own.
    fn take(&self, snapshot: &Arc<Snapshot>);

    /// The size of all encoded bodies in bytes, uncompressed.
    fn bytes(&self) -> usize;
}

/// An audience, and the thread that it encodes on. Compressing a large plan takes longer than anything else.
struct Attached {
    audience: Arc<dyn Audience>,
    worker: Worker,
}

impl Attached {
    fn take(&self, snapshot: &Arc<Snapshot>) -> Begun<()> {
        let (audience, snapshot) = (Arc::clone(&self.audience), Arc::clone(snapshot));
        self.worker.begin(move || audience.take(&snapshot))
    }
}

/// The current snapshot.
pub struct Served {
    current: ArcSwap<Snapshot>,
    /// The protocols that encode snapshots. Locked while a snapshot is installed, so that snapshots
    /// come one after the other. Readers never take this lock.
    audiences: Mutex<Vec<Attached>>,
    bytes: AtomicUsize,
    /// The highest plan number that was ever served here.
    highest: AtomicU64,
    /// The polls of services that no plan knows.
    strangers: Arc<Strangers>,
    /// The edges that ask this replica.
    edge_asks: Arc<EdgeAsks>,
}

impl Served {
    /// Starts with the genesis plan, which knows no operation and serves `initial_probability` for
    /// all.
    #[must_use]
    pub fn new(genesis: Plan) -> Self {
        let snapshot = Snapshot::build(genesis, None, &Names::default());
        Self {
            current: ArcSwap::from_pointee(snapshot),
            audiences: Mutex::default(),
            bytes: AtomicUsize::new(0),
            highest: AtomicU64::new(0),
            strangers: Arc::default(),
            edge_asks: Arc::default(),
        }
    }

    /// The edges that ask this replica for the plan.
    #[must_use]
    pub fn edge_asks(&self) -> Arc<EdgeAsks> {
        Arc::clone(&self.edge_asks)
    }

    /// What counts the polls of services that the plan does not know.
    #[must_use]
    pub fn strangers(&self) -> Arc<Strangers> {
        Arc::clone(&self.strangers)
    }

    /// Adds an audience. It begins with the current snapshot, and takes all later ones.
    pub fn attach<A: Audience>(&self, begin: impl FnOnce(&Arc<Snapshot>) -> A) -> Arc<A> {
        let mut audiences = self.audiences();
        let audience = Arc::new(begin(&self.snapshot()));
        audiences.push(Attached {
            audience: Arc::clone(&audience) as Arc<dyn Audience>,
            worker: Worker::start("weir-encode"),
        });
        self.measure(&audiences);
        audience
    }

    fn audiences(&self) -> MutexGuard<'_, Vec<Attached>> {
        self.audiences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, audiences: &[Attached]) {
        let bytes = audiences.iter().map(|of| of.audience.bytes()).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The current snapshot. Hold the guard only for a short time.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The current snapshot, to keep.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The size of all bodies that are ready to be sent, uncompressed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Swaps a snapshot in, whatever its number. The caller must hold
    /// [`JobContext::publishing`](crate::jobs::JobContext), so that the served plan is the last one
    /// that the database returned.
    pub fn install(&self, mut snapshot: Snapshot) {
        let audiences = self.audiences();
        let before = self.current.load();
        snapshot.count_on(&before);
        snapshot.cuts = before.cuts.clone();
        snapshot.follow(before.edges);
        self.highest
            .fetch_max(snapshot.plan.number, Ordering::Relaxed);
        self.swap_in(snapshot, &audiences);
    }

    /// Multiplies everything that is served by the factor of a cut from now on, or by nothing. Returns whether that
    /// changed anything.
    pub fn cut(&self, cut: Option<Cut>, now: Timestamp) -> bool {
        let audiences = self.audiences();
        let before = self.snapshot();
        let cuts = before.cuts.followed_by(cut, now);
        if cuts == before.cuts {
            return false;
        }
        let next = Snapshot {
            cuts,
            ..(*before).clone()
        };
        self.swap_in(next, &audiences);
        true
    }

    /// Says how many edges follow the plan from now on. Returns whether that changed.
    pub fn follow_edges(&self, edges: Edges) -> bool {
        let audiences = self.audiences();
        let before = self.snapshot();
        if before.edges == edges {
            return false;
        }
        let mut next = (*before).clone();
        next.follow(edges);
        self.swap_in(next, &audiences);
        true
    }

    fn swap_in(&self, snapshot: Snapshot, audiences: &MutexGuard<'_, Vec<Attached>>) {
        let next = Arc::new(snapshot);
        let taking: Vec<Begun<()>> = audiences.iter().map(|of| of.take(&next)).collect();
        taking.into_iter().for_each(Begun::wait);
        self.measure(audiences);
        self.current.store(next);
    }

    /// The highest plan number that was ever served here. The next plan gets a higher one, even
    /// after the database has gone back in time.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// When a plan was published, and its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its identity. A number may be used again, an identity is not.
    pub identity: Uuid,
    /// When.
    pub at: DateTime<Utc>,
}

/// A plan with its names, and the cuts of what is served of it.
#[derive(Clone)]
pub struct Snapshot {
    plan: Arc<Plan>,
    published: Option<Published>,
    named_in: Incarnation,
    services: Arc<HashMap<Arc<str>, ServiceSnapshot>>,
    /// The plan's operations by service, the busiest first.
    order: Arc<[ListedOperation]>,
    tagged: TaggedRules,
    governance: Arc<Governance>,
    edges: Edges,
    /// The services whose SDKs are served 1, because edges count and decide.
    by_edges: Arc<HashSet<ServiceId>>,
    cuts: Cuts,
}

/// A service in a snapshot.
pub struct ServiceSnapshot {
    /// Which service.
    pub id: ServiceId,
    /// The number of its SDK instances in the plan.
    pub instances: f64,
    /// Its polls, from when the snapshot is installed.
    pub polls: Arc<PollCounter>,
    /// The sums of its operations.
    pub sums: ServiceSums,
    /// Whether edges counted its traces lately.
    classed: bool,
    operations: Range<usize>,
}

/// The strategy of the SDKs of one service, in no wire format.
pub struct ServedStrategy<'a> {
    /// The probability of operations that are not listed.
    pub default_probability: f64,
    /// The traces per second that every SDK instance samples of every operation at least.
    pub lower_bound: f64,
    operations: &'a [ListedOperation],
    snapshot: &'a Snapshot,
}

impl<'a> ServedStrategy<'a> {
    /// The listed operations with their probabilities, busiest first.
    pub fn operations(&self) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
        let (plan, factor) = (&*self.snapshot.plan, self.snapshot.cuts.factor());
        self.operations
            .iter()
            .filter(|named| named.class.is_none())
            .filter(|named| plan.operations[named.index].is_listed())
            // Only a plan of a release without this bound has more.
            .take(LISTED_MAX)
            .map(move |named| (&*named.name, factor * plan.served(named.index)))
    }
}

/// An operation of the plan with its name.
struct ListedOperation {
    index: usize,
    /// With its class, if it is an entry of one.
    name: Arc<str>,
    class: Option<Class>,
}

impl Snapshot {
    /// Adds the names to a plan.
    #[must_use]
    pub fn build(plan: Plan, published: Option<Published>, names: &Names) -> Self {
        let order = order(&plan, names);
        let mut services = HashMap::with_capacity(plan.services.len());
        let not_counted = Arc::default();
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
            let listed = order[operations.clone()].iter();
            services.insert(
                name,
                ServiceSnapshot {
                    id: service.service,
                    instances: service.instances,
                    polls: Arc::clone(&not_counted),
                    sums: ServiceSums::of(listed.map(|named| &plan.operations[named.index])),
                    classed: governed::is_counted(&plan, &order[operations.clone()]),
                    operations,
                },
            );
        }
        Self {
            plan: Arc::new(plan),
            published,
            named_in: names.incarnation(),
            services: Arc::new(services),
            order: order.into(),
            tagged: TaggedRules::default(),
            governance: Arc::default(),
            edges: Edges::default(),
            by_edges: Arc::default(),
            cuts: Cuts::default(),
        }
    }

    /// Adds the rules for tagged requests, of the configuration and at the time that the plan was made with.
    #[must_use]
    pub fn with_tagged(self, tagged: TaggedRules) -> Self {
        Self { tagged, ..self }
    }

    /// The rules for tagged requests.
    #[must_use]
    pub fn tagged(&self) -> &TaggedRules {
        &self.tagged
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When the plan was published; none for the genesis plan.
    #[must_use]
    pub fn published_at(&self) -> Option<DateTime<Utc>> {
        self.published.map(|published| published.at)
    }

    /// The number and identity of the plan; none for the genesis plan.
    #[must_use]
    pub fn mark(&self) -> Option<PlanMark> {
        Some(PlanMark {
            number: self.plan.number,
            identity: self.published?.identity,
        })
    }

    /// The state of the dictionary that the plan was named in.
    #[must_use]
    pub fn named_in(&self) -> Incarnation {
        self.named_in
    }

    /// The strategy of a service's SDKs.
    #[must_use]
    pub fn strategy(&self, service: &ServiceSnapshot) -> ServedStrategy<'_> {
        if self.by_edges.contains(&service.id) {
            return ServedStrategy {
                default_probability: 1.0,
                lower_bound: 0.0,
                operations: &[],
                snapshot: self,
            };
        }
        ServedStrategy {
            default_probability: self.served_default(service.id),
            lower_bound: self.cuts.factor() * self.plan.served_lower_bound(service.id),
            operations: &self.order[service.operations.clone()],
            snapshot: self,
        }
    }

    /// The strategy for services that the plan does not contain: the fleet's default.
    #[must_use]
    pub fn default_strategy(&self) -> ServedStrategy<'_> {
        ServedStrategy {
            default_probability: self.served_fleet_default(),
            lower_bound: 0.0,
            operations: &[],
            snapshot: self,
        }
    }

    /// A service, found by its name.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<&ServiceSnapshot> {
        self.services.get(service)
    }

    /// Every service with its name, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = (&Arc<str>, &ServiceSnapshot)> {
        self.services.iter()
    }

    /// A service's operations with their names, busiest first.
    pub fn operations(
        &self,
        service: &ServiceSnapshot,
    ) -> impl Iterator<Item = (&str, &OperationPlan)> {
        self.order[service.operations.clone()]
            .iter()
            .map(|named| (&*named.name, &self.plan.operations[named.index]))
    }

    /// What the plan says of tagged requests of a service, by the name of their rule.
    #[must_use]
    pub fn tagged_operations(&self, service: &ServiceSnapshot) -> HashMap<&str, &OperationPlan> {
        let operations = self.operations(service);
        let tagged = operations.filter_map(|(name, of)| Some((rule_of_tagged(name)?, of)));
        tagged.collect()
    }

    /// A service's operations by their places in the plan, with their names, busiest first.
    pub fn places(&self, service: &ServiceSnapshot) -> impl Iterator<Item = (&str, usize)> {
        self.order[service.operations.clone()]
            .iter()
            .map(|named| (&*named.name, named.index))
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
/// Traffic is compared by its power of two, then ids decide, so that a body does not change because
/// two operations with about the same traffic took turns.
fn order(plan: &Plan, names: &Names) -> Vec<ListedOperation> {
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
    let mut order = Vec::with_capacity(keys.len());
    order.extend(keys.into_iter().filter_map(|(_, _, index)| {
        let name = names.operation(plan.operations[index].operation)?;
        let class = Class::of(&name).1;
        Some(ListedOperation { index, name, class })
    }));
    order
}

/// Whether a service is the one that stands for all unknown services.
#[must_use]
pub fn is_overflow(service: ServiceId) -> bool {
    service == OVERFLOW_SERVICE
}
