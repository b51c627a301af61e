//! A report, independent of the protocol that it came in.
//!
//! A protocol passes what it parsed to a [`ReportBuilder`], entry by entry. Valid entries are
//! counted. An invalid name is folded into the overflow entry, a number out of range is clamped,
//! and an impossible count is ignored. Each of these is recorded with its place and reason
//! ([`Amendments`]). Only a report with a wrong head is refused.

mod names;

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::names::ReportedName;
use self::names::{check_classed, check_operation, text};
use super::amendments::{Amendments, Field};
use super::head::{self, Head, ReportError, ReportLimits};
use crate::access::Caller;
use crate::allocation::{AgentName, Basis, Class, OVERFLOW_NAME, ServiceName, Window};
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{ClampReason, FoldReason, IgnoreReason};

/// A number as a protocol read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Number {
    /// A whole number; one that is too large becomes the largest possible.
    Whole(u64),
    /// Negative, fractional, missing, or not a number.
    #[default]
    Other,
}

/// A class as a protocol read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportedClass {
    /// None was said.
    #[default]
    None,
    /// One that Weir knows.
    Known(Class),
    /// Anything else.
    Other,
}

/// A report with valid names and numbers only, and what was changed to make it valid.
#[derive(Debug)]
pub struct Report<'a> {
    /// Who sent it.
    pub agent: AgentName,
    /// A new one at every start of the agent.
    pub epoch: Uuid,
    /// Increases within the epoch.
    pub sequence: u64,
    /// The window of its counts.
    pub window: Window,
    /// Whether the agent said that it is its last report.
    pub last: bool,
    /// By what it was counted.
    pub basis: Basis,
    /// What was folded, clamped or ignored.
    pub amendments: Amendments,
    /// Requests that edges count, which were left out.
    pub(super) left_out: u64,
    services: Vec<ServiceEntry<'a>>,
    /// The operations of all services, service by service.
    operations: Vec<OperationEntry<'a>>,
}

/// The part of a report about one service. A service may have several.
#[derive(Debug)]
pub struct ServiceEntry<'a> {
    /// The service's name.
    pub name: Cow<'a, str>,
    /// How many SDK instances the agent saw. The cost of a lower bound depends on it.
    pub instances: u32,
    /// How many operations it has.
    pub operations: usize,
}

/// The part of a report about one operation. An operation may have several, which add up.
#[derive(Debug)]
pub struct OperationEntry<'a> {
    /// The operation's name.
    pub name: Cow<'a, str>,
    /// Root requests before sampling.
    pub offered: u64,
    /// Sampled root requests; never more than offered.
    pub sampled: u64,
}

impl<'a> Report<'a> {
    /// All services, in the order in which they were passed.
    pub fn services(&self) -> impl Iterator<Item = &ServiceEntry<'a>> {
        self.services.iter()
    }

    /// All operations, in the order in which they were passed.
    pub fn operations(&self) -> impl Iterator<Item = &OperationEntry<'a>> {
        self.operations.iter()
    }

    /// Every operation's (service, operation) names, in the order of [`Report::operations`].
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let services = self
            .services
            .iter()
            .flat_map(|service| std::iter::repeat_n(&*service.name, service.operations));
        services.zip(self.operations.iter().map(|operation| &*operation.name))
    }
}

/// Takes a report entry by entry.
pub struct ReportBuilder<'a> {
    report: Report<'a>,
    /// The counts of services without a valid name.
    fleet_overflow: Counts,
    /// Services passed so far, valid or not.
    services: usize,
    /// Operations passed so far of the current service.
    operations: usize,
    /// Where folded operations of the current service are counted.
    place: Destination,
    /// Who sends it, and which services that may be of.
    caller: Caller,
    /// What is served, which says how services are governed; none if nothing is told apart.
    served: Option<Arc<Snapshot>>,
    /// What becomes of classes of the current service.
    classes: Classes,
}

/// What becomes of classes of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Classes {
    /// They are added up: samplers decide about its traces.
    AddedUp,
    /// They are told apart.
    ToldApart,
    /// They are told apart, and what has none is left out: edges count it.
    Only,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    offered: u64,
    sampled: u64,
}

/// Where operations of the current service are counted.
#[derive(Debug, Clone, Copy)]
enum Destination {
    /// Nowhere: the sender may not count for the service.
    Nowhere,
    /// In the fleet's overflow entry: the service has no valid name.
    Fleet,
    /// In the service. `overflow` is the index of its folded operations in the report's operations, if it has some:
    /// of those without a class, and of each class.
    Service {
        overflow: [Option<usize>; Class::ALL.len() + 1],
    },
}

impl<'a> ReportBuilder<'a> {
    /// Begins a report.
    ///
    /// # Errors
    /// Says what is wrong with the head. Nothing of such a report can be counted.
    pub fn new(
        head: &Head<'_>,
        limits: ReportLimits,
        now: DateTime<Utc>,
    ) -> Result<Self, ReportError> {
        let agent = AgentName::parse(&head.agent).map_err(ReportError::Agent)?;
        if i64::try_from(head.sequence).is_err() {
            return Err(ReportError::Sequence);
        }
        Ok(Self::begin(Report {
            agent,
            epoch: head.epoch,
            sequence: head.sequence,
            window: head::window(head, limits, now)?,
            last: head.last,
            basis: Basis::Reports,
            amendments: Amendments::default(),
            left_out: 0,
            services: Vec::new(),
            operations: Vec::new(),
        }))
    }

    fn begin(report: Report<'a>) -> Self {
        Self {
            report,
            fleet_overflow: Counts::default(),
            services: 0,
            operations: 0,
            place: Destination::Fleet,
            caller: Caller::Anybody,
            served: None,
            classes: Classes::AddedUp,
        }
    }

    /// Tells classes apart where edges decide, and leaves out what these count.
    #[must_use]
    pub fn governed_by(mut self, served: Arc<Snapshot>) -> Self {
        self.served = Some(served);
        self
    }

    /// Counts only for services that the sender may count for.
    #[must_use]
    pub fn sent_by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Begins a report of a source. Its window is within the limits by how it was made, but may be longer
    /// than an agent's.
    pub(super) fn of_source(
        (agent, epoch): (AgentName, Uuid),
        sequence: u64,
        window: Window,
        basis: Basis,
    ) -> Self {
        Self::begin(Report {
            agent,
            epoch,
            sequence,
            window,
            last: false,
            basis,
            amendments: Amendments::default(),
            left_out: 0,
            services: Vec::new(),
            operations: Vec::new(),
        })
    }

    /// Makes room for this many operations, so that the list of them does not grow step by step.
    pub fn expect(&mut self, operations: usize) {
        let operations = operations.min(ReportLimits::OPERATIONS);
        self.report.operations.reserve(operations);
    }

    /// Begins the next service. A name that is not valid UTF-8 is folded.
    pub fn service(&mut self, name: impl Into<ReportedName<'a>>, instances: Number) {
        let index = self.services;
        self.services += 1;
        self.operations = 0;
        let kept = if self.report.services.len() < ReportLimits::OPERATIONS {
            text(name.into(), ServiceName::check)
        } else {
            Err((FoldReason::TooMany, name.into()))
        };
        // What has no valid name would be counted as the fleet's.
        let counted_for = kept.as_ref().map_or(OVERFLOW_NAME, |name| &**name);
        if !self.caller.may_count(counted_for) {
            self.place = Destination::Nowhere;
            return;
        }
        let name = match kept {
            Ok(name) => name,
            Err((reason, name)) => {
                let names = (name.as_bytes(), &[][..]);
                self.report
                    .amendments
                    .fold(index, Field::Service, reason, names);
                self.place = Destination::Fleet;
                return;
            }
        };
        let most = ReportLimits::INSTANCES;
        let instances = match instances {
            Number::Whole(count) => u32::try_from(count).unwrap_or(u32::MAX),
            Number::Other => 0,
        };
        if !(1..=most).contains(&instances) {
            let reason = ClampReason::InstancesOutOfRange;
            self.report
                .amendments
                .clamp(index, Field::Instances, reason);
        }
        self.classes = self.classes(&name);
        self.report.services.push(ServiceEntry {
            name,
            instances: instances.clamp(1, most),
            operations: 0,
        });
        self.place = Destination::Service {
            overflow: [None; Class::ALL.len() + 1],
        };
    }

    fn classes(&self, service: &str) -> Classes {
        match &self.served {
            Some(served) if served.counted_by_edges(service) => Classes::Only,
            Some(served) if served.governance().is_tail(service) => Classes::ToldApart,
            _ => Classes::AddedUp,
        }
    }

    /// Adds an operation to the current service.
    pub fn operation(
        &mut self,
        name: impl Into<ReportedName<'a>>,
        class: ReportedClass,
        (offered, sampled): (Number, Number),
    ) {
        let (service, index) = (self.services.saturating_sub(1), self.operations);
        self.operations += 1;
        if let Destination::Nowhere = self.place {
            let (field, reason) = (Field::Offered(index), IgnoreReason::OutOfScope);
            let _: Option<()> = self.report.amendments.ignore(service, field, reason);
            return;
        }
        let Some(counts) = self.counts(service, index, offered, sampled) else {
            return;
        };
        let Destination::Service { overflow } = self.place else {
            self.fleet_overflow.add(counts);
            return;
        };
        let class = match (self.classes, class) {
            (Classes::AddedUp, _) | (Classes::ToldApart, ReportedClass::None) => None,
            (Classes::Only, ReportedClass::None) => {
                self.report.left_out = self.report.left_out.saturating_add(counts.offered);
                return;
            }
            (_, ReportedClass::Known(class)) => Some(class),
            (_, ReportedClass::Other) => {
                let reason = ClampReason::UnknownClass;
                self.report
                    .amendments
                    .clamp(service, Field::Class(index), reason);
                Some(Class::Rest)
            }
        };
        let entry = |name: Cow<'a, str>| match class {
            Some(class) => Cow::Owned(class.entry(&name)),
            None => name,
        };
        let kept = if self.report.operations.len() < ReportLimits::OPERATIONS {
            text(
                name.into(),
                if class.is_some() {
                    check_classed
                } else {
                    check_operation
                },
            )
        } else {
            Err((FoldReason::TooMany, name.into()))
        };
        match kept {
            Ok(name) => self.push(entry(name), counts),
            Err((reason, name)) => {
                let within = self.report.services.last().map_or("", |last| &last.name);
                self.report.amendments.fold(
                    service,
                    Field::Operation(index),
                    reason,
                    (within.as_bytes(), name.as_bytes()),
                );
                let of = class.map_or(0, |class| class as usize + 1);
                if let Some(folded) = overflow[of].and_then(|at| self.report.operations.get_mut(at))
                {
                    folded.add(counts);
                } else {
                    let mut overflow = overflow;
                    overflow[of] = Some(self.report.operations.len());
                    self.place = Destination::Service { overflow };
                    self.push(entry(OVERFLOW_NAME.into()), counts);
                }
            }
        }
    }

    /// Ends the report.
    #[must_use]
    pub fn finish(mut self) -> Report<'a> {
        let counts = self.fleet_overflow;
        if counts.offered > 0 {
            self.report.services.push(ServiceEntry {
                name: OVERFLOW_NAME.into(),
                instances: 1,
                operations: 0,
            });
            self.push(OVERFLOW_NAME.into(), counts);
        }
        self.report
    }

    fn push(&mut self, name: Cow<'a, str>, counts: Counts) {
        self.report.operations.push(OperationEntry {
            name,
            offered: counts.offered,
            sampled: counts.sampled,
        });
        if let Some(service) = self.report.services.last_mut() {
            service.operations += 1;
        }
    }

    /// An operation's counts; none if the number of offered requests is impossible.
    fn counts(
        &mut self,
        service: usize,
        index: usize,
        offered: Number,
        sampled: Number,
    ) -> Option<Counts> {
        let amendments = &mut self.report.amendments;
        let mut ignore = |reason| amendments.ignore(service, Field::Offered(index), reason);
        let offered = match offered {
            Number::Whole(offered) if offered <= ReportLimits::COUNT => offered,
            Number::Whole(_) => return ignore(IgnoreReason::TooLarge),
            Number::Other => return ignore(IgnoreReason::NotACount),
        };
        let mut clamp = |reason| amendments.clamp(service, Field::Sampled(index), reason);
        let sampled = match sampled {
            Number::Whole(sampled) if sampled <= offered => sampled,
            Number::Whole(_) => {
                clamp(ClampReason::SampledAboveOffered);
                offered
            }
            Number::Other => {
                clamp(ClampReason::SampledNotACount);
                0
            }
        };
        Some(Counts { offered, sampled })
    }
}

impl Counts {
    /// Saturates, although a report is too short to get there.
    fn add(&mut self, more: Self) {
        self.offered = self.offered.saturating_add(more.offered);
        self.sampled = self.sampled.saturating_add(more.sampled);
    }
}

impl OperationEntry<'_> {
    fn add(&mut self, more: Counts) {
        let mut sum = Counts {
            offered: self.offered,
            sampled: self.sampled,
        };
        sum.add(more);
        (self.offered, self.sampled) = (sum.offered, sum.sampled);
    }
}
