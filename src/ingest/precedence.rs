//! Which of the sources that count the same requests is counted.
//!
//! Agents, metrics of SDKs and a Collector may all count the requests of one service. The plan says which
//! counts are left out, the same to all replicas. Their streams are followed, so that nothing of them is
//! counted later.

use super::Ingest;
use super::streams::{Counts, Measure};
use crate::allocation::Basis;
use crate::telemetry::metrics::CountBasis;

/// What becomes of a source's counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// They are counted. SDKs of the service sample requests that have no name with this probability.
    Counts {
        /// Between 0 and 1.
        probability: f64,
    },
    /// The service is counted by something better.
    LeftOut,
}

/// The label of a basis.
#[must_use]
pub fn basis_label(basis: Basis) -> CountBasis {
    match basis {
        Basis::Reports => CountBasis::Reports,
        Basis::Roots => CountBasis::Roots,
        Basis::Requests => CountBasis::Requests,
        Basis::Spans => CountBasis::Spans,
        Basis::Calls => CountBasis::Calls,
    }
}

/// By what an export was counted.
pub(super) fn basis(counts: &Counts<'_>) -> Basis {
    match counts.measure {
        Measure::Decisions => Basis::Reports,
        Measure::Roots if counts.sampled_known => Basis::Roots,
        Measure::Roots | Measure::Requests => Basis::Requests,
        Measure::Spans => Basis::Spans,
        Measure::Calls => Basis::Calls,
    }
}

impl Ingest {
    /// What becomes of counts of a service by this basis.
    pub(super) fn standing(&self, service: &str, basis: Basis) -> Standing {
        let snapshot = self.served.load();
        let plan = snapshot.plan();
        let held = snapshot.service(service);
        let planned = held.and_then(|held| plan.service(held.id));
        let by_edges = snapshot.counted_by_edges(service);
        if by_edges || planned.is_some_and(|of| of.leaves_out(basis)) {
            return Standing::LeftOut;
        }
        let probability = held.map_or_else(
            || snapshot.served_fleet_default(),
            |held| snapshot.served_default(held.id),
        );
        // SDKs that do not ask apply something else than what is served: see `Ingest::weigh`.
        let nobody_asks = planned.is_some_and(|of| of.polls.nobody_asks());
        Standing::Counts {
            probability: if nobody_asks { 1.0 } else { probability },
        }
    }
}

/// How many requests there were for this many sampled ones.
///
/// # Source
/// The estimator of D. G. Horvitz and D. J. Thompson («A generalization of sampling without replacement
/// from a finite universe», 1952): each sampled one stands for as many as the inverse of its probability.
pub(super) fn offered(sampled: u64, probability: f64) -> u64 {
    if probability > 0.0 && probability < 1.0 {
        ((sampled as f64 / probability).round() as u64).max(sampled)
    } else {
        sampled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampled_request_stands_for_those_that_were_not() {
        assert_eq!(offered(3, 0.01), 300);
        assert_eq!(offered(3, 1.0), 3);
        assert_eq!(offered(3, 0.0), 3);
        assert_eq!(offered(0, 0.5), 0);
        assert_eq!(offered(u64::MAX, 1e-300), u64::MAX);
    }
}
