//! What of an export is not counted when it is read.

use crate::telemetry::metrics::{Label, LeftOutReason};

/// How many points were left out, by the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut([u64; LeftOutReason::ALL.len()]);

impl LeftOut {
    pub(super) fn add(&mut self, reason: LeftOutReason) {
        self.0[reason.place()] += 1;
    }

    /// Adds points of one reason.
    pub(super) fn add_many(&mut self, reason: LeftOutReason, points: u64) {
        self.0[reason.place()] += points;
    }

    /// How many, for each reason that there is.
    pub fn by_reason(&self) -> impl Iterator<Item = (LeftOutReason, u64)> {
        let all = LeftOutReason::ALL.iter().copied().zip(self.0);
        all.filter(|(_, count)| *count > 0)
    }
}
