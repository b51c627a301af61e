//! How many requests a sampled one stands for.
//!
//! # Source
//! The estimator of D. G. Horvitz and D. J. Thompson («A generalization of sampling without replacement
//! from a finite universe», 1952): each sampled one stands for the inverse of its probability.

use crate::allocation::{OperationPlan, Timestamp};
use crate::names::Names;
use crate::snapshot::{ServiceSnapshot, Snapshot};

use super::source::Counted;
use super::{Ingest, SourceExport};

/// How many requests a sampled one stands for, with itself: from 1 to [`Weight::MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(u64);

impl Weight {
    /// A request that stands for itself alone.
    pub const ONE: Self = Self(1 << Self::BITS);

    /// The most requests that one stands for. Senders say with which probability they sampled, so this
    /// bounds what a wrong one does. A process that samples less than this still sends a span a second at a
    /// million requests a second.
    pub const MOST: u64 = 1_000_000;

    /// A weight is kept in parts of a request: to a millionth.
    const BITS: u32 = 20;

    /// The weight of a request that was sampled with this probability. If the number is not in
    /// (0, 1), the request counts as one.
    #[must_use]
    pub fn of_probability(probability: f64) -> Self {
        if !(probability > 0.0 && probability < 1.0) {
            return Self::ONE;
        }
        let parts = (Self::ONE.0 as f64 / probability).round();
        // Saturates.
        Self((parts as u64).min(Self::MOST << Self::BITS))
    }

    /// How many requests it stands for beside itself, in [`Weight::parts`].
    pub(super) fn beside_itself(self) -> u64 {
        self.0 - Self::ONE.0
    }

    /// Splits parts into whole requests and the rest.
    pub(super) fn whole(parts: u64) -> (u64, u64) {
        (parts >> Self::BITS, parts & (Self::ONE.0 - 1))
    }
}

impl Ingest {
    /// Gives each span without a weight the inverse of the probability that was served for its name. Where nobody
    /// asks what is served, SDKs apply something else, and the span stands for itself: otherwise, the less is
    /// served the more would be counted, and so on.
    pub(super) fn weigh(&self, exports: &mut [SourceExport<'_>]) {
        let served = ServedBefore {
            snapshot: &self.served.load(),
            names: &self.dictionary.names(),
            half_a_bucket_ns: self.limits.bucket.as_nanos() as u64 / 2,
        };
        for export in exports {
            let service = served.snapshot.service(&export.service);
            for point in &mut export.points {
                if let Counted::Span { at_start, weight } = &mut point.counted
                    && weight.is_none()
                {
                    let name = (&*export.service, &**at_start);
                    let probability = served.probability(service, name, point.start_ns);
                    *weight = Some(Weight::of_probability(probability));
                }
            }
        }
    }
}

/// What SDKs were served when a span began.
struct ServedBefore<'a> {
    snapshot: &'a Snapshot,
    names: &'a Names,
    half_a_bucket_ns: u64,
}

impl ServedBefore<'_> {
    fn probability(
        &self,
        service: Option<&ServiceSnapshot>,
        (service_name, at_start): (&str, &str),
        start_ns: u64,
    ) -> f64 {
        let plan = self.snapshot.plan();
        let Some(service) = service else {
            return self.cut(start_ns) * plan.served_fleet_default();
        };
        if plan
            .service(service.id)
            .is_some_and(|of| of.polls.nobody_asks())
        {
            return 1.0;
        }
        let found = self.names.find(service_name, at_start);
        let found = found.and_then(|id| {
            let operations = &plan.operations;
            let place = operations.binary_search_by_key(&id, |of| of.operation);
            Some(&operations[place.ok()?])
        });
        let uncut = match found.filter(|operation| operation.is_listed()) {
            Some(operation) => self.of_operation(operation, start_ns),
            None => plan.served_default(service.id),
        };
        self.cut(start_ns) * uncut
    }

    /// The factor of the cut that most SDKs had learned of when a span began.
    fn cut(&self, start_ns: u64) -> f64 {
        let polled_ns = start_ns.saturating_sub(self.half_a_bucket_ns);
        let at = Timestamp((polled_ns / 1_000_000).cast_signed());
        self.snapshot.cuts().at(at)
    }

    /// SDKs poll once an interval. So until half of one after a plan, most of them hold the one before.
    fn of_operation(&self, operation: &OperationPlan, start_ns: u64) -> f64 {
        let published = self.snapshot.published_at();
        let published_ns = published.and_then(|at| at.timestamp_nanos_opt());
        let published_ns = published_ns.map_or(0, |at| at.max(0).cast_unsigned());
        if start_ns < published_ns.saturating_add(self.half_a_bucket_ns) {
            self.snapshot.uncut_before(operation)
        } else {
            self.snapshot.uncut(operation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stands_for_the_inverse_of_its_probability_within_bounds() {
        let parts = |probability: f64| {
            let weight = Weight::of_probability(probability);
            weight.beside_itself() as f64 / f64::from(1 << 20)
        };
        assert_eq!(parts(0.25), 3.0);
        assert!((parts(0.3) - (1.0 / 0.3 - 1.0)).abs() < 1e-6);
        for nothing in [1.0, 0.0, -0.1, 7.0, f64::NAN, f64::INFINITY] {
            assert_eq!(parts(nothing), 0.0, "{nothing}");
        }
        for tiny in [1e-7, 1e-12, 2_f64.powi(-56), f64::MIN_POSITIVE] {
            assert_eq!(parts(tiny), (Weight::MOST - 1) as f64, "{tiny}");
        }
    }
}
