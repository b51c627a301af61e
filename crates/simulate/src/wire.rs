//! Counts the requests and answers of a run.

use serde::Serialize;

use super::client::ClientError;
use super::strategy::Violation;

/// The requests and answers of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WireTally {
    /// Root requests of the fleet.
    pub offered: u64,
    /// Root requests in acknowledged reports.
    pub offered_reported: u64,
    /// Polls that were answered with a strategy.
    pub polls_answered: u64,
    /// Polls without an answer, or with a 5xx.
    pub polls_failed: u64,
    /// The error of the last one.
    pub last_poll_failure: Option<String>,
    /// Answers that a real client would have refused.
    pub violations: u64,
    /// The first of them.
    pub first_violation: Option<String>,
    /// Reports acknowledged.
    pub reports_counted: u64,
    /// Reports acknowledged as duplicates: the first acknowledgement was lost.
    pub reports_duplicate: u64,
    /// How often a report had to be sent again.
    pub reports_unanswered: u64,
    /// The error of the last time.
    pub last_report_failure: Option<String>,
    /// Reports that were refused for good.
    pub reports_rejected: u64,
    /// The reason for the first one.
    pub first_rejection: Option<String>,
    /// How often an agent had to begin a new epoch.
    pub epochs_renewed: u64,
}

impl WireTally {
    pub(super) fn poll_failed(&mut self, error: &ClientError) {
        self.polls_failed += 1;
        self.last_poll_failure = Some(error.to_string());
    }

    pub(super) fn violated(&mut self, service: &str, violation: &Violation) {
        self.violations += 1;
        self.first_violation
            .get_or_insert_with(|| format!("{service}: {violation}"));
    }

    pub(super) fn report_counted(&mut self, offered: u64) {
        self.reports_counted += 1;
        self.offered_reported += offered;
    }

    pub(super) fn report_rejected(&mut self, why: String) {
        self.reports_rejected += 1;
        self.first_rejection.get_or_insert(why);
    }

    pub(super) fn report_unanswered(&mut self, why: String) {
        self.reports_unanswered += 1;
        self.last_report_failure = Some(why);
    }

    /// Whether all requests and answers were correct.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations == 0 && self.reports_rejected == 0 && self.offered == self.offered_reported
    }
}
