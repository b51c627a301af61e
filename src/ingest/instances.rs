//! How many SDK instances of each service a report is of.

use super::report::Report;
use crate::allocation::{OVERFLOW_SERVICE, ServiceId};
use crate::names::{Names, OperationRow};

/// A service that a report names, and how many of its SDK instances the agent saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceInstances {
    pub service: ServiceId,
    pub instances: u32,
}

impl ServiceInstances {
    /// The services of a report whose operations stand for `rows`, in the same order.
    ///
    /// One that found no room is left out: it is served the fleet's default, which guarantees
    /// nothing. One that is reported idle, without an operation, is looked up and never added.
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
