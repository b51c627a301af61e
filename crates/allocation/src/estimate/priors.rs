//! What is expected of an operation not seen yet: the median of comparable ones.
//!
//! Of a class other than the rest, only the same class is comparable: errors are rare everywhere.

use std::collections::BTreeMap;

use crate::operation::Estimate;
use crate::{Class, ClassEntry, OperationId, ServiceId};

/// What is comparable: a class, or none for the rest and for operations without classes.
type Kind = Option<Class>;

/// The median offered rates of named operations: the expectation for an operation not seen yet.
#[derive(Debug)]
pub(crate) struct Priors {
    services: Vec<((Kind, ServiceId), f64)>,
    fleet: Vec<(Kind, f64)>,
}

impl Priors {
    /// Takes the medians; for an even number of operations the upper one, which serves less.
    pub(crate) fn of(estimates: &[Estimate], classes: &BTreeMap<OperationId, ClassEntry>) -> Self {
        let named = estimates.iter().filter(|estimate| !estimate.overflow);
        let mut rates: Vec<((Kind, ServiceId), f64)> = named
            .map(|estimate| {
                let class = classes.get(&estimate.operation).map(|entry| entry.class);
                ((kind(class), estimate.service), estimate.rate())
            })
            .collect();
        rates.sort_unstable_by_key(|(key, _)| *key);
        Self {
            services: medians(&mut rates, |key| key),
            fleet: medians(&mut rates, |(kind, _)| kind),
        }
    }

    /// The median of a service's named operations in a class; of the fleet's where it has none.
    pub(crate) fn of_service(&self, service: ServiceId, class: Option<Class>) -> Option<f64> {
        let kind = kind(class);
        let own = self
            .services
            .binary_search_by_key(&(kind, service), |(key, _)| *key);
        let fleet = || self.fleet.binary_search_by_key(&kind, |(kind, _)| *kind);
        let rate = own.map(|at| self.services[at].1);
        rate.or_else(|_| fleet().map(|at| self.fleet[at].1)).ok()
    }
}

fn kind(class: Option<Class>) -> Kind {
    class.filter(|class| *class != Class::Rest)
}

/// The median of each group of rates, which are sorted by it.
fn medians<K: PartialEq>(
    rates: &mut [((Kind, ServiceId), f64)],
    of: impl Fn((Kind, ServiceId)) -> K,
) -> Vec<(K, f64)> {
    let groups = rates.chunk_by_mut(|a, b| of(a.0) == of(b.0));
    groups
        .map(|group| {
            let key = of(group[0].0);
            let middle = group.len() / 2;
            let (_, (_, rate), _) =
                group.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1));
            (key, *rate)
        })
        .collect()
}
