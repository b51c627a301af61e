//! What is expected of an operation not seen yet: the median of comparable ones.

use crate::ServiceId;
use crate::operation::Estimate;

/// The median offered rates of named operations: the expectation for an operation not seen yet.
#[derive(Debug)]
pub(crate) struct Priors {
    services: Vec<(ServiceId, f64)>,
    fleet: Option<f64>,
}

impl Priors {
    /// Takes the medians; for an even number of operations the upper one, which serves less.
    pub(crate) fn of(estimates: &[Estimate]) -> Self {
        let mut rates: Vec<(ServiceId, f64)> = estimates
            .iter()
            .filter(|estimate| !estimate.overflow)
            .map(|estimate| (estimate.service, estimate.rate()))
            .collect();
        let fleet = median(&mut rates);
        rates.sort_unstable_by_key(|(service, _)| *service);
        let services = rates
            .chunk_by_mut(|a, b| a.0 == b.0)
            .filter_map(|group| Some((group.first()?.0, median(group)?)))
            .collect();
        Self { services, fleet }
    }

    /// The median of a service's named operations; of the fleet's where it has none.
    pub(crate) fn of_service(&self, service: ServiceId) -> Option<f64> {
        match self.services.binary_search_by_key(&service, |(id, _)| *id) {
            Ok(index) => Some(self.services[index].1),
            Err(_) => self.fleet,
        }
    }
}

fn median(rates: &mut [(ServiceId, f64)]) -> Option<f64> {
    let middle = rates.len() / 2;
    if rates.is_empty() {
        return None;
    }
    let (_, rate, _) = rates.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1));
    Some(rate.1)
}
