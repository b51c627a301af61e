//! What this replica sees beside the counts that plans are made from: spans that were sampled, and reports that were
//! refused. Begin with [`Observed`].
//!
//! A job takes it at the end of each window and writes it (`jobs/observations.rs`), so that every replica can show what
//! all of them saw. What a replica has seen since then is lost if it dies. Nothing is counted twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::allocation::{OVERFLOW_NAME, ServiceName, Timestamp};
use crate::store::{RefusedReports, ServiceSpans, SpanSums};

/// Services of which spans are counted in a window. Those of others are summed under `__other__`.
const SERVICES: usize = 20_000;

/// Agents whose refused reports are counted in a window. Those of others are summed without a name.
const AGENTS: usize = 1000;

/// The longest reason that is kept, in bytes. It may contain what the sender wrote.
const REASON_BYTES: usize = 300;

/// What was seen since it was last taken.
#[derive(Debug, Default)]
pub struct Observed {
    spans: Mutex<HashMap<Box<str>, ServiceSpans>>,
    refused: Mutex<HashMap<Box<str>, RefusedReports>>,
}

impl Observed {
    /// Counts sampled spans of a service by its metrics: exact, each once.
    pub fn counted(&self, service: &str, spans: SpanSums) {
        if spans != SpanSums::default() {
            self.of_service(service, |of| of.counted = of.counted.and(spans));
        }
    }

    /// Counts sampled spans of a service that were exported.
    pub fn exported(&self, service: &str, spans: SpanSums) {
        if spans != SpanSums::default() {
            self.of_service(service, |of| of.exported = of.exported.and(spans));
        }
    }

    fn of_service(&self, service: &str, add: impl FnOnce(&mut ServiceSpans)) {
        let mut all = locked(&self.spans);
        let name = match ServiceName::check(service) {
            Ok(()) if all.len() < SERVICES || all.contains_key(service) => service,
            _ => OVERFLOW_NAME,
        };
        if let Some(of) = all.get_mut(name) {
            return add(of);
        }
        let mut of = ServiceSpans {
            service: name.to_owned(),
            ..ServiceSpans::default()
        };
        add(&mut of);
        all.insert(name.into(), of);
    }

    /// Counts a report that was refused, or points of one; `agent` is empty if the report does not say it.
    pub fn refused(&self, agent: &str, reason: &str, at: Timestamp) {
        let mut all = locked(&self.refused);
        let agent = match all.len() < AGENTS || all.contains_key(agent) {
            true => agent,
            false => "",
        };
        let of = match all.get_mut(agent) {
            Some(of) => of,
            None => {
                let new = RefusedReports {
                    agent: agent.to_owned(),
                    ..RefusedReports::default()
                };
                all.entry(agent.into()).or_insert(new)
            }
        };
        of.reports = of.reports.saturating_add(1);
        of.at_ms = at.0;
        of.reason.clear();
        let end = reason.floor_char_boundary(REASON_BYTES);
        of.reason.push_str(&reason[..end]);
    }

    /// Takes the spans since the last call, by service.
    #[must_use]
    pub fn take_spans(&self) -> Vec<ServiceSpans> {
        std::mem::take(&mut *locked(&self.spans))
            .into_values()
            .collect()
    }

    /// Takes the refused reports since the last call, by agent.
    #[must_use]
    pub fn take_refused(&self) -> Vec<RefusedReports> {
        std::mem::take(&mut *locked(&self.refused))
            .into_values()
            .collect()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_without_end_are_summed_and_reasons_are_short() {
        let observed = Observed::default();
        let reason = "ä".repeat(REASON_BYTES);
        for agent in 0..AGENTS + 500 {
            observed.refused(&format!("agent-{agent}"), &reason, Timestamp(7));
        }
        observed.refused("agent-3", "again", Timestamp(8));
        let taken = observed.take_refused();
        assert_eq!(taken.len(), AGENTS + 1);
        assert_eq!(taken.iter().map(|of| of.reports).sum::<u64>(), 1501);
        assert!(taken.iter().all(|of| of.reason.len() <= REASON_BYTES));
        let third = taken.iter().find(|of| of.agent == "agent-3").unwrap();
        assert_eq!(
            (third.reports, &*third.reason, third.at_ms),
            (2, "again", 8)
        );
        assert_eq!(observed.take_refused(), []);
    }

    #[test]
    fn spans_of_a_service_add_up() {
        let observed = Observed::default();
        let of = |spans, roots, bytes, weighed| SpanSums {
            spans,
            roots,
            bytes,
            weighed,
        };
        observed.counted("a", of(10, 1, 0, 0));
        observed.counted("a", of(5, 1, 0, 0));
        observed.exported("a", of(3, 1, 900, 3));
        observed.exported("", of(1, 0, 0, 0));
        let mut taken = observed.take_spans();
        taken.sort_by(|one, other| one.service.cmp(&other.service));
        assert_eq!(
            taken[0].service, OVERFLOW_NAME,
            "no name that a service can have"
        );
        assert_eq!(taken[1].counted, of(15, 2, 0, 0));
        assert_eq!(taken[1].exported, of(3, 1, 900, 3));
    }
}
