//! What a plan gives each service: the sums of its operations, which pages and metrics ask for again and again.

use crate::allocation::OperationPlan;

/// The sums of a service's operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServiceSums {
    /// Requests per second before sampling.
    pub offered: f64,
    /// Traces per second that the plan gives them.
    pub share: f64,
    /// By how much their floors are missed, in traces per second.
    pub missing: f64,
    /// What was counted as sampled in the plan's window.
    pub sampled: u64,
}

impl ServiceSums {
    /// Sums operations.
    pub(super) fn of<'o>(operations: impl Iterator<Item = &'o OperationPlan>) -> Self {
        operations.fold(Self::default(), |sum, of| Self {
            offered: sum.offered + of.offered,
            share: sum.share + of.share,
            missing: sum.missing + of.floor_missed(),
            sampled: sum.sampled.saturating_add(of.window_sampled),
        })
    }
}
