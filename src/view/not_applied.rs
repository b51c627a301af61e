//! Services that do not apply the strategy that they are served: they sample nearly everything, although
//! they are served much less.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::allocation::{Plan, ServiceId, Serving};
use crate::names::Names;

/// With fewer requests in a window, chance may look like it.
const OFFERED_LEAST: u64 = 100;

/// Nearly everything: some requests are not sampled because an SDK stops, or starts.
const SAMPLED_LEAST: f64 = 0.9;

/// Above this probability, sampling everything is close to what is served.
const SERVED_MOST: f64 = 0.5;

/// The windows in a row after which a service is named in the log: SDKs poll once a minute, some every
/// five.
const WINDOWS_LEAST: u32 = 10;

/// The windows after which it is named again: an hour of the usual interval.
const WINDOWS_BETWEEN: u32 = 60;

/// The services named in the log with one plan. The others follow with the next.
const SERVICES_NAMED: usize = 5;

/// What a service counted in a plan's window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Applied {
    /// Root requests before sampling.
    pub offered: u64,
    /// Those sampled.
    pub sampled: u64,
    /// Those due by the higher of the two probabilities that SDKs may hold, in traces.
    due: f64,
}

impl Applied {
    /// Adds an operation of the service, at this place in the plan.
    pub fn add(&mut self, plan: &Plan, place: usize) {
        let operation = &plan.operations[place];
        let served = match plan.steered {
            Some(_) => plan.served(place),
            None => operation.probability.max(operation.probability_before()),
        };
        self.offered = self.offered.saturating_add(operation.window_offered);
        self.sampled = self.sampled.saturating_add(operation.window_sampled);
        self.due += served * operation.window_offered as f64;
    }

    /// Whether the service applies what it is served. None if the window does not show it: too few
    /// requests, or nearly everything is to be sampled.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        let offered = self.offered as f64;
        let shows = self.offered >= OFFERED_LEAST && self.due <= SERVED_MOST * offered;
        shows.then_some((self.sampled as f64) < SAMPLED_LEAST * offered)
    }
}

/// The services of a plan that do not apply it, by number.
#[must_use]
pub fn not_applying(plan: &Plan) -> Vec<(ServiceId, Applied)> {
    // While Weir only observes, SDKs need not ask yet.
    if plan.serving() == Serving::Observe {
        return Vec::new();
    }
    let mut found: HashMap<ServiceId, Applied> = HashMap::new();
    let services = plan
        .operations
        .chunk_by(|one, next| one.service == next.service);
    let mut place = 0;
    // Operations are in the order of their numbers, so a service is in several pieces.
    for piece in services {
        let Some(first) = piece.first() else { continue };
        let applied = found.entry(first.service).or_default();
        (place..place + piece.len()).for_each(|place| applied.add(plan, place));
        place += piece.len();
    }
    let mut found: Vec<(ServiceId, Applied)> = found
        .into_iter()
        .filter(|(_, applied)| applied.verdict() == Some(false))
        .filter(|(service, _)| plan.sampled_known(*service))
        .collect();
    found.sort_unstable_by_key(|(service, _)| *service);
    found
}

/// Names services that do not apply their strategy in the log, if it lasts.
#[derive(Debug, Default)]
pub struct NotAppliedLog(Mutex<HashMap<ServiceId, Seen>>);

/// For how many windows a service has not applied its strategy, and how long ago it was named.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    windows: u32,
    named_before: Option<u32>,
}

impl NotAppliedLog {
    /// Logs the services of a plan that are due.
    pub fn log(&self, plan: &Plan, names: &Names) {
        for (service, applied) in self.due(not_applying(plan)) {
            let service = names.service(service);
            tracing::warn!(
                plan = plan.number,
                service = service.as_deref().unwrap_or("(unknown)"),
                offered = applied.offered,
                sampled = applied.sampled,
                "a service samples everything, although it is served less: its SDK does not apply \
                 the strategy. In Go, JavaScript and Python, OTEL_TRACES_SAMPLER=jaeger_remote means \
                 100 %: set the sampler in code"
            );
        }
    }

    /// Those to name now.
    fn due(&self, found: Vec<(ServiceId, Applied)>) -> Vec<(ServiceId, Applied)> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *seen);
        let mut due = Vec::new();
        for (service, applied) in found {
            let mut now = before.get(&service).copied().unwrap_or_default();
            now.windows = now.windows.saturating_add(1);
            now.named_before = now.named_before.map(|windows| windows.saturating_add(1));
            let named = now
                .named_before
                .is_some_and(|windows| windows < WINDOWS_BETWEEN);
            if now.windows >= WINDOWS_LEAST && !named && due.len() < SERVICES_NAMED {
                now.named_before = Some(0);
                due.push((service, applied));
            }
            seen.insert(service, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(offered: u64, sampled: u64, probability: f64) -> Applied {
        Applied {
            offered,
            sampled,
            due: probability * offered as f64,
        }
    }

    #[test]
    fn a_service_that_samples_everything_does_not_apply_a_lower_rate() {
        assert_eq!(applied(1000, 1000, 0.01).verdict(), Some(false));
        assert_eq!(applied(1000, 950, 0.5).verdict(), Some(false));
        assert_eq!(applied(1000, 600, 0.5).verdict(), Some(true));
        assert_eq!(applied(1000, 0, 0.01).verdict(), Some(true));
        assert_eq!(
            applied(1000, 1000, 0.6).verdict(),
            None,
            "close to what is served"
        );
        assert_eq!(applied(99, 99, 0.01).verdict(), None, "too few");
        assert_eq!(applied(0, 0, 0.0).verdict(), None);
    }

    #[test]
    fn a_service_is_named_when_it_lasts_and_once_an_hour() {
        let log = NotAppliedLog::default();
        let found = || vec![(ServiceId(7), applied(1000, 1000, 0.01))];
        let named = |windows: u32| (0..windows).map(|_| log.due(found()).len()).sum::<usize>();
        assert_eq!(named(WINDOWS_LEAST - 1), 0);
        assert_eq!(named(1), 1);
        assert_eq!(named(WINDOWS_BETWEEN - 1), 0);
        assert_eq!(named(1), 1);
        assert_eq!(log.due(Vec::new()).len(), 0);
        assert_eq!(named(WINDOWS_LEAST - 1), 0, "the count starts again");
        let many = (10..19).map(|number| (ServiceId(number), applied(1000, 1000, 0.01)));
        let many: Vec<_> = many.collect();
        let counts: Vec<usize> = (0..12).map(|_| log.due(many.clone()).len()).collect();
        assert_eq!(counts[9..], [5, 4, 0]);
    }
}
