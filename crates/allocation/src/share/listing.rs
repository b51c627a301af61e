//! Which operations a service's strategy lists; the others are served the service's default.
//!
//! A strategy holds a limited number of operations, and SDKs apply the default to a name that it
//! does not list. So the plan allots what is served: operations beyond [`LISTED_MAX`] share their
//! service's default probability, which keeps as many of their traces as their own shares would.

use std::cmp::Reverse;

use crate::limits::{Limit, Rules};
use crate::operation::Estimate;
use crate::solve::Solution;
use crate::unknown::rules_default;
use crate::{OperationId, Policy, ServiceId};

/// The most operations that one strategy lists: the busiest, and those that an operator bounds by
/// name before all others.
///
/// # Source
/// gRPC clients accept answers of 4 MiB. An operation takes at most 529 bytes of `sampling.proto`:
/// 512 for its name, 9 for its probability and 8 for tags and lengths.
pub const LISTED_MAX: usize = 7_500;

/// The operations of a plan that strategies do not list.
#[derive(Debug)]
pub(crate) struct Unlisted {
    /// Whether each operation is listed, in the estimates' order; empty when all are.
    left_out: Vec<bool>,
    /// The services with more operations than a strategy lists, sorted.
    services: Vec<ServiceId>,
}

impl Unlisted {
    /// Chooses what is listed, by traffic in powers of two, so that two operations of about the
    /// same traffic do not take turns.
    pub(crate) fn among(policy: &Policy, estimates: &[Estimate]) -> Self {
        let services = crowded(policy, estimates);
        if services.is_empty() {
            return Self {
                left_out: Vec::new(),
                services,
            };
        }
        let named = |(at, estimate): (usize, &Estimate)| {
            let place = services.binary_search(&estimate.service).ok()?;
            let is_named = !estimate.overflow && !is_class(policy, estimate);
            is_named.then(|| (place, rank(policy, estimate), at))
        };
        let mut ranked: Vec<_> = estimates.iter().enumerate().filter_map(named).collect();
        ranked.sort_unstable();
        let mut left_out = vec![false; estimates.len()];
        for service in ranked.chunk_by(|one, other| one.0 == other.0) {
            for (_, _, at) in &service[LISTED_MAX..] {
                left_out[*at] = true;
            }
        }
        Self { left_out, services }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    pub(crate) fn holds(&self, at: usize) -> bool {
        self.left_out.get(at).copied().unwrap_or(false)
    }

    /// Turns the limits of all that is served its service's default into that default: unlisted
    /// operations and, in the same services, overflow entries.
    ///
    /// A default keeps as many traces as the shares of those that it stands for, as far as a
    /// default may go.
    pub(crate) fn serve_defaults(
        &self,
        rules: &Rules<'_>,
        estimates: &[Estimate],
        solution: &Solution,
        pin_scale: f64,
        limits: &mut [Limit],
    ) {
        let served: Vec<(usize, usize)> = estimates
            .iter()
            .enumerate()
            .filter_map(|(at, estimate)| Some((self.default_of(rules, at, estimate)?, at)))
            .collect();
        let mut kept = vec![0.0; self.services.len()];
        let mut offered = kept.clone();
        for &(place, at) in &served {
            let (demand, pin) = (estimates[at].demand(), limits[at].pin);
            let share = pin.map_or(solution.shares[at], |pin| pin * pin_scale * demand);
            kept[place] += share;
            offered[place] += demand;
        }
        let default = |place: usize| {
            let service = self.services[place];
            let (ceiling, _) = rules.ceiling(service, rules.from.default_probability(service));
            let wanted = kept[place] / offered[place];
            wanted.clamp(0.0, rules.unknown_max).min(ceiling)
        };
        let defaults: Vec<f64> = (0..self.services.len()).map(default).collect();
        for (place, at) in served {
            limits[at].serve_default(defaults[place]);
        }
    }

    /// The index of the service whose default an operation is served; none if it has its own probability.
    fn default_of(&self, rules: &Rules<'_>, at: usize, estimate: &Estimate) -> Option<usize> {
        let unknown = &rules.tuning.share.unknown;
        let overflow = estimate.overflow && rules_default(estimate.demand(), unknown);
        if self.holds(at) || overflow {
            self.services.binary_search(&estimate.service).ok()
        } else {
            None
        }
    }
}

/// The services with more named operations than a strategy lists, sorted.
fn crowded(policy: &Policy, estimates: &[Estimate]) -> Vec<ServiceId> {
    if estimates.len() <= LISTED_MAX {
        return Vec::new();
    }
    let named = estimates
        .iter()
        .filter(|estimate| !estimate.overflow && !is_class(policy, estimate));
    let mut services: Vec<ServiceId> = named.map(|estimate| estimate.service).collect();
    services.sort_unstable();
    let runs = services.chunk_by(|one, other| one == other);
    runs.filter(|run| run.len() > LISTED_MAX)
        .map(|run| run[0])
        .collect()
}

/// Whether it is a class of an operation. Edges are told all of them, in no strategy.
fn is_class(policy: &Policy, estimate: &Estimate) -> bool {
    policy.classes.contains_key(&estimate.operation)
}

/// Lower is listed first.
fn rank(policy: &Policy, estimate: &Estimate) -> (bool, Reverse<u16>, OperationId) {
    let operation = estimate.operation;
    let bounded = policy.operations.contains_key(&operation);
    (!bounded, Reverse(magnitude(estimate.demand())), operation)
}

/// The power of two below a rate that is not negative, as the exponent in its bits.
#[must_use]
pub fn magnitude(rate: f64) -> u16 {
    (rate.max(0.0).to_bits() >> 52) as u16
}
