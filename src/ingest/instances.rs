//! The number of SDK instances of each service in a report.

use super::report::Report;
use crate::allocation::{OVERFLOW_SERVICE, ServiceId};
use crate::names::{Names, OperationRow};

/// A service in a report, and how many SDK instances of it the agent saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceInstances {
    pub service: ServiceId,
    pub instances: u32,
}

impl ServiceInstances {
    /// The services of a report. `rows` are the numbers of its operations, in the same order.
    ///
    /// A service that did not fit is left out: it is served the fleet's default, without a lower
    /// bound. A service without operations is idle; it is looked up, but never added.
    pub fn of(report: &Report<'_>, rows: &[OperationRow], names: &Names) -> Vec<Self> {
        let mut rest = rows;
        let mut seen = Vec::new();
        for service in report.services() {
            let (own, after) = rest.split_at(service.operations.min(rest.len()));
            rest = after;
            let found = match own.first() {
                Some(row) => Some(row.service),
                None => names.find_service(&service.name),
            };
            seen.extend(
                found
                    .filter(|found| *found != OVERFLOW_SERVICE)
                    .map(|found| Self {
                        service: found,
                        instances: service.instances,
                    }),
            );
        }
        seen
    }
}
