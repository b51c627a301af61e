//! Services and operations as numbers, with all that is kept of each: its thresholds, its counts, its metrics.
//!
//! Senders choose names, so there is a bound on how many are told apart. Beyond it, and for names that Weir does
//! not take, an operation is `__other__` of its service, and a service is `__other__`.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use weir_allocation::{OVERFLOW_NAME, OperationName, ServiceName};

use super::caps::{HeldClasses, HeldOperation, HeldRules};
use super::span_metrics::SpanMetrics;
use crate::plan::{Class, Classes, Governed, OperationPlan, Plan};

/// The number of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ServiceId(pub(super) u32);

/// The number of an operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OperationId(u32);

/// A service whose resource does not say its name.
const UNNAMED: &str = "unknown_service";

/// How long a name is kept that nothing comes for.
const IDLE_MS: u64 = 600_000;

/// What is known of a service.
pub(super) struct Service {
    pub name: Arc<str>,
    pub governed: Governed,
    pub slow_ns: u64,
    /// For operations that the plan does not name.
    pub default: Classes,
    /// The caps of its classes between two plans.
    pub classes: HeldClasses,
    /// What rules for tagged requests have had of it.
    pub rules: HeldRules,
    /// Whether the plan names it.
    pub is_planned: bool,
    /// Its operation `__other__`.
    other: OperationId,
    /// How many operations it has.
    operations: u32,
    used_ms: u64,
}

/// What is known of an operation.
pub(super) struct Operation {
    pub service: ServiceId,
    pub name: Arc<str>,
    pub classes: Classes,
    pub metrics: SpanMetrics,
    /// Its cap between two plans, if it has one.
    pub held: Option<Box<HeldOperation>>,
    /// Roots by class that were not reported yet.
    counts: [Count; 4],
    used_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    offered: f64,
    sampled: u64,
}

/// Roots of a class of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Their service.
    pub service: Arc<str>,
    /// Their name.
    pub operation: Arc<str>,
    /// Their class.
    pub class: Class,
    /// How many there were before sampling.
    pub offered: u64,
    /// How many were kept.
    pub sampled: u64,
}

/// All names.
pub(super) struct Names {
    services: Vec<Option<Service>>,
    operations: Vec<Option<Operation>>,
    free_services: Vec<u32>,
    free_operations: Vec<u32>,
    by_service: HashMap<Box<[u8]>, ServiceId>,
    by_operation: HashTable<u32>,
    hasher: DefaultHashBuilder,
    most: usize,
}

impl Names {
    /// Tells this many services and operations apart.
    pub fn new(most: usize, plan: &Plan) -> Self {
        let mut names = Self {
            services: Vec::new(),
            operations: Vec::new(),
            free_services: Vec::new(),
            free_operations: Vec::new(),
            by_service: HashMap::new(),
            by_operation: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            most,
        };
        names.add_service(OVERFLOW_NAME, plan, 0);
        names
    }

    pub fn service(&self, id: ServiceId) -> &Service {
        let service = self.services[id.0 as usize].as_ref();
        service.expect("names in use are kept")
    }

    pub fn operation(&self, id: OperationId) -> &Operation {
        let operation = self.operations[id.0 as usize].as_ref();
        operation.expect("names in use are kept")
    }

    pub fn service_mut(&mut self, id: ServiceId) -> &mut Service {
        let service = self.services[id.0 as usize].as_mut();
        service.expect("names in use are kept")
    }

    pub fn operation_mut(&mut self, id: OperationId) -> &mut Operation {
        let operation = self.operations[id.0 as usize].as_mut();
        operation.expect("names in use are kept")
    }

    /// The service of this name.
    pub fn find_service(&mut self, name: &[u8], plan: &Plan, now_ms: u64) -> ServiceId {
        let name = if name.is_empty() {
            UNNAMED.as_bytes()
        } else {
            name
        };
        let id = match self.by_service.get(name) {
            Some(id) => *id,
            None => {
                let text = std::str::from_utf8(name).ok();
                let is_valid = |text: &&str| ServiceName::parse(text).is_ok();
                match text.filter(is_valid) {
                    Some(text) if self.has_room(plan.services.contains_key(text)) => {
                        let id = self.add_service(text, plan, now_ms);
                        self.by_service.insert(name.into(), id);
                        id
                    }
                    _ => ServiceId(0),
                }
            }
        };
        self.service_mut(id).used_ms = now_ms;
        id
    }

    /// The operation of this name.
    pub fn find_operation(
        &mut self,
        service: ServiceId,
        name: &[u8],
        plan: &Plan,
        now_ms: u64,
    ) -> OperationId {
        if service == ServiceId(0) {
            return self.service(service).other;
        }
        let hash = self.hasher.hash_one((service.0, name));
        let is_it = |id: &u32| {
            let operation = self.operations[*id as usize].as_ref();
            operation.is_some_and(|it| it.service == service && it.name.as_bytes() == name)
        };
        let id = match self.by_operation.find(hash, is_it) {
            Some(id) => OperationId(*id),
            None => {
                let of = self.service(service);
                let (other, of) = (of.other, plan.service(&of.name));
                let text = std::str::from_utf8(name).ok();
                let is_valid = |text: &&str| OperationName::parse(text).is_ok();
                match text.filter(is_valid) {
                    Some(text) if self.has_room(of.operations.contains_key(text)) => {
                        let planned = of.operation(text);
                        self.add_operation(service, text, planned, now_ms)
                    }
                    _ => other,
                }
            }
        };
        self.operation_mut(id).used_ms = now_ms;
        id
    }

    /// Notes that names are in use.
    pub fn used(&mut self, service: ServiceId, operation: Option<OperationId>, now_ms: u64) {
        if let Some(operation) = operation {
            self.operation_mut(operation).used_ms = now_ms;
            let service = self.operation(operation).service;
            self.used(service, None, now_ms);
        }
        self.service_mut(service).used_ms = now_ms;
    }

    /// Names of the plan have as much room again.
    fn has_room(&self, is_planned: bool) -> bool {
        let most = if is_planned { 2 * self.most } else { self.most };
        self.by_operation.len() < most
    }

    fn add_service(&mut self, name: &str, plan: &Plan, now_ms: u64) -> ServiceId {
        let planned = plan.service(name);
        let free = self.free_services.pop();
        let id = ServiceId(free.unwrap_or(self.services.len() as u32));
        let mut service = Service {
            name: name.into(),
            governed: planned.governed,
            slow_ns: planned.slow_ns,
            default: planned.default,
            classes: HeldClasses::default(),
            rules: HeldRules::default(),
            is_planned: plan.services.contains_key(name),
            other: OperationId(0),
            operations: 0,
            used_ms: now_ms,
        };
        service.classes.follow(planned.caps);
        match free {
            Some(free) => self.services[free as usize] = Some(service),
            None => self.services.push(Some(service)),
        }
        // It stands for many, and the caps of classes hold it.
        let other = OperationPlan {
            classes: planned.default,
            cap: f64::INFINITY,
        };
        let other = self.add_operation(id, OVERFLOW_NAME, other, now_ms);
        self.service_mut(id).other = other;
        id
    }

    fn add_operation(
        &mut self,
        service: ServiceId,
        name: &str,
        planned: OperationPlan,
        now_ms: u64,
    ) -> OperationId {
        let operation = Operation {
            service,
            name: name.into(),
            classes: planned.classes,
            held: HeldOperation::follow(None, planned.cap),
            metrics: SpanMetrics::default(),
            counts: [Count::default(); 4],
            used_ms: now_ms,
        };
        self.service_mut(service).operations += 1;
        let free = self.free_operations.pop();
        let id = free.unwrap_or(self.operations.len() as u32);
        match free {
            Some(free) => self.operations[free as usize] = Some(operation),
            None => self.operations.push(Some(operation)),
        }
        let Self {
            by_operation,
            operations,
            hasher,
            ..
        } = self;
        let hash = |id: &u32| {
            let of = operations[*id as usize].as_ref().expect("it is listed");
            hasher.hash_one((of.service.0, of.name.as_bytes()))
        };
        by_operation.insert_unique(hash(&id), id, hash);
        OperationId(id)
    }

    /// Follows another plan.
    pub fn follow(&mut self, plan: &Plan) {
        for service in self.services.iter_mut().flatten() {
            let planned = plan.service(&service.name);
            service.governed = planned.governed;
            service.slow_ns = planned.slow_ns;
            service.default = planned.default;
            service.classes.follow(planned.caps);
            service.rules.forget();
            service.is_planned = plan.services.contains_key(&*service.name);
        }
        for operation in self.operations.iter_mut().flatten() {
            let service = self.services[operation.service.0 as usize].as_ref();
            let planned = plan.service(&service.expect("it has operations").name);
            let planned = planned.operation(&operation.name);
            operation.classes = planned.classes;
            operation.held = HeldOperation::follow(operation.held.take(), planned.cap);
        }
    }

    /// Counts a root that stands for this many, if somebody has to report it.
    pub fn count(&mut self, id: OperationId, class: Class, weight: f64, is_kept: bool) {
        let service = self.service(self.operation(id).service);
        if service.governed == Governed::Head && service.is_planned {
            return;
        }
        let count = &mut self.operation_mut(id).counts[class as usize];
        count.offered += weight;
        count.sampled += u64::from(is_kept);
    }

    /// Adds a span that is a request.
    pub fn measure(&mut self, id: OperationId, add: impl FnOnce(&mut SpanMetrics)) {
        add(&mut self.operation_mut(id).metrics);
    }

    /// What was counted since this was last asked. Parts of a request stay for the next time.
    pub fn take_counts(&mut self) -> Vec<Counted> {
        let mut taken = Vec::new();
        for operation in self.operations.iter_mut().flatten() {
            let service = self.services[operation.service.0 as usize].as_ref();
            let service = &service.expect("it has operations").name;
            for (class, count) in Class::ALL.into_iter().zip(&mut operation.counts) {
                let offered = count.offered.floor() as u64;
                if offered == 0 && count.sampled == 0 {
                    continue;
                }
                count.offered -= offered as f64;
                taken.push(Counted {
                    service: service.clone(),
                    operation: operation.name.clone(),
                    class,
                    offered,
                    sampled: std::mem::take(&mut count.sampled),
                });
            }
        }
        taken
    }

    /// Forgets what nothing came for in a while, if it was reported.
    pub fn forget_idle(&mut self, now_ms: u64) {
        let is_idle = |used_ms: u64| used_ms + IDLE_MS < now_ms;
        for id in 0..self.operations.len() {
            let Some(operation) = &self.operations[id] else {
                continue;
            };
            let service = self.service(operation.service);
            let is_reported = operation.counts.iter().all(|count| count.offered < 1.0);
            let is_other = service.other == OperationId(id as u32);
            // That of a service goes with it.
            let is_needed =
                is_other && (operation.service == ServiceId(0) || !is_idle(service.used_ms));
            if !is_idle(operation.used_ms) || !is_reported || is_needed {
                continue;
            }
            if is_other {
                self.forget_service(operation.service);
                continue;
            }
            self.forget_operation(id as u32);
        }
    }

    /// Forgets a service that has no operation but `__other__`.
    fn forget_service(&mut self, id: ServiceId) {
        let service = self.service(id);
        if service.operations > 1 {
            return;
        }
        let (other, name) = (service.other, service.name.clone());
        self.forget_operation(other.0);
        self.by_service.remove(name.as_bytes());
        self.services[id.0 as usize] = None;
        self.free_services.push(id.0);
    }

    fn forget_operation(&mut self, id: u32) {
        let Some(operation) = self.operations[id as usize].take() else {
            return;
        };
        let hash = (operation.service.0, operation.name.as_bytes());
        let hash = self.hasher.hash_one(hash);
        if let Ok(entry) = self.by_operation.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free_operations.push(id);
        self.service_mut(operation.service).operations -= 1;
    }

    /// All operations, with the names of their services.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Operation)> {
        let all = self.operations.iter().flatten();
        all.map(|operation| (&*self.service(operation.service).name, operation))
    }

    pub fn len(&self) -> usize {
        self.by_operation.len()
    }
}
