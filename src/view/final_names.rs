//! What is said of final names: which names of an operation's spans exist at their end, and what can be steered.
//!
//! Samplers are asked with the name at start. So all final names of a name at start are served one probability, and
//! a setting for a final name does nothing.

use serde::Serialize;

use super::explanation::figure;
use crate::allocation::OperationPlan;

/// With fewer requests in a window, chance decides too much.
const OFFERED_LEAST: u64 = 100;

/// Counts this many standard deviations away are not chance.
const AWAY: f64 = 5.0;

/// Counts within this many standard deviations may be.
const NEAR: f64 = 3.0;

/// Above this probability, an SDK that samples everything cannot be told from one that applies it.
const TELLING: f64 = 0.9;

/// A final name under an operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinalNameDocument {
    name: String,
    requests: u64,
    requests_per_second: f64,
    share: f64,
}

/// The final names of an operation, each with its part of the operation's rate.
#[must_use]
pub fn documents(offered_per_second: f64, names: &[(&str, u64)]) -> Vec<FinalNameDocument> {
    let all = names.iter().map(|(_, requests)| *requests);
    let all = all.fold(0, u64::saturating_add).max(1) as f64;
    let documents = names.iter().map(|(name, requests)| {
        let share = *requests as f64 / all;
        FinalNameDocument {
            name: (*name).to_owned(),
            requests: *requests,
            requests_per_second: share * offered_per_second,
            share,
        }
    });
    documents.collect()
}

/// Says that all final names of an operation are served the same, and what changes that.
#[must_use]
pub fn one_probability(at_start: &str, probability: f64, names: usize) -> String {
    format!(
        "HTTP servers of OpenTelemetry ask their sampler with {at_start} alone, before the route is known. So \
         all of its final names ({names} are known) are served {}. A route gets a probability of its own only from \
         a sampler that is asked with it, set in code, or where finished traces are sampled, as in a Collector; \
         reports by route do not change what SDKs ask with",
        figure(probability)
    )
}

/// Says that a setting for a final name does nothing, and what does.
#[must_use]
pub fn no_effect(at_start: &str) -> String {
    format!(
        "does nothing: samplers of this service are asked with {at_start} alone, before the route is known. Set it \
         for {at_start}, which all of its routes share, or sample by route where finished traces are seen, as in a \
         Collector (docs/sources.md, Names)"
    )
}

/// Says that the configuration has settings for final names.
#[must_use]
pub fn set_for_nothing(name: &str, others: usize) -> String {
    let more = match others {
        0 => String::new(),
        others => format!(" and {others} more of its final names"),
    };
    format!(
        "The configuration has settings for {name}{more}, which no sampler is asked with: they do nothing"
    )
}

/// The probabilities of two plans: SDKs may hold either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Served {
    least: f64,
    most: f64,
}

impl Served {
    /// What is served of an operation by the plan and by the one before.
    #[must_use]
    pub fn between(now: f64, before: f64) -> Self {
        Self {
            least: now.min(before),
            most: now.max(before),
        }
    }

    /// What is served of everything without a name.
    #[must_use]
    pub fn default(probability: f64) -> Self {
        Self {
            least: probability,
            most: probability,
        }
    }

    /// Whether so many sampled requests are further off than so many standard deviations of a binomial distribution,
    /// and one request.
    fn is_off(self, sampled: f64, offered: f64, deviations: f64) -> bool {
        let scatter = |p: f64| deviations * (p * (1.0 - p) * offered).max(0.0).sqrt() + 1.0;
        sampled < self.least * offered - scatter(self.least)
            || sampled > self.most * offered + scatter(self.most)
    }
}

/// Which name a sampler was asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Own,
    Start,
}

/// Tells from an operation's sampled requests in the newest window whether SDKs apply its own probability or that of
/// the name at start. None if they may apply either, or something else.
fn asked(own: &OperationPlan, served: Served, start: Served) -> Option<Asked> {
    let (sampled, offered) = (own.window_sampled as f64, own.window_offered as f64);
    // Some sources do not say how many were sampled.
    if own.window_offered < OFFERED_LEAST || own.window_sampled == 0 {
        return None;
    }
    let off = |held: Served, deviations| held.is_off(sampled, offered, deviations);
    if !off(served, NEAR) && off(start, AWAY) {
        return Some(Asked::Own);
    }
    let follows = off(served, AWAY) && !off(start, NEAR) && start.most <= TELLING;
    follows.then_some(Asked::Start)
}

/// Says of an operation that has the form of a final name which probability its SDKs apply.
#[must_use]
pub fn which_applies(own: &OperationPlan, served: Served, at_start: &str, start: Served) -> String {
    let sampled = || {
        let (sampled, offered) = (own.window_sampled, own.window_offered);
        format!("In the newest window {sampled} of {offered} requests were sampled")
    };
    let (own_p, start_p) = (figure(served.most), figure(start.most));
    match asked(own, served, start) {
        Some(Asked::Own) => format!(
            "{}, as it is served itself, not as {at_start} is ({start_p}): its samplers are asked with this name",
            sampled()
        ),
        Some(Asked::Start) => format!(
            "{}, as {at_start} is served ({start_p}), not as it is served itself ({own_p}): its samplers are asked \
             with {at_start}, and its own probability is not applied",
            sampled()
        ),
        None => format!(
            "HTTP servers of this service ask their sampler with {at_start} alone. If those that count this \
             operation do, they apply what {at_start} is served ({start_p})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(own: &OperationPlan, start: Served) -> Option<Asked> {
        let served = Served::between(own.probability, own.probability_before());
        asked(own, served, start)
    }
    use crate::allocation::{Belief, Binding, OperationId, Reason, ServiceId};

    /// An operation that is served 0.014, with this many of 302 requests sampled.
    fn hot(sampled: u64) -> OperationPlan {
        OperationPlan {
            operation: OperationId(1),
            service: ServiceId(1),
            overflow: false,
            offered: 5.0,
            belief: Belief::default(),
            belief_before: None,
            share: 0.07,
            probability: 0.014,
            turned: 0,
            binding: Binding::Level,
            reason: Reason::UNKNOWN,
            silent_windows: 0,
            silent_before: 0,
            window_offered: 302,
            window_sampled: sampled,
        }
    }

    #[test]
    fn sampled_counts_tell_which_name_samplers_are_asked_with() {
        let start = Served {
            least: 0.6,
            most: 0.7,
        };
        assert_eq!(told(&hot(203), start), Some(Asked::Start));
        assert_eq!(told(&hot(4), start), Some(Asked::Own));
        assert_eq!(told(&hot(100), start), None, "neither");
        assert_eq!(told(&hot(0), start), None, "its source may not say it");
        let close = Served::default(0.02);
        assert_eq!(told(&hot(4), close), None, "either");
        let all = Served::default(1.0);
        assert_eq!(told(&hot(302), all), None, "it may not sample at all");
        let few = OperationPlan {
            window_offered: 99,
            ..hot(66)
        };
        assert_eq!(told(&few, start), None, "too few requests");
    }
}
