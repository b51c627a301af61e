//! Targets: the rate of each rule that a client has.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingTargets`. All three keys are always there; a rule that is not
//! known goes to `UnprocessedStatistics`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::rules::{METHODS, Rule, TAGGED};
use super::statistics::Request;
use crate::access::Refusal;
use crate::snapshot::Snapshot;

/// How often clients tell what they counted, in seconds: what they do unless told otherwise.
pub const INTERVAL_SECONDS: u32 = 10;

/// What a client is answered.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Targets<'a> {
    last_rule_modification: f64,
    sampling_target_documents: Vec<Target<'a>>,
    unprocessed_statistics: Vec<Unprocessed<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Target<'a> {
    rule_name: &'a str,
    fixed_rate: f64,
    /// A client takes nothing beside the rate.
    reservoir_quota: u32,
    #[serde(rename = "ReservoirQuotaTTL")]
    reservoir_quota_ttl: f64,
    interval: u32,
}

/// Statistics that were not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Unprocessed<'a> {
    rule_name: Cow<'a, str>,
    error_code: &'static str,
    message: Cow<'static, str>,
}

impl<'a> Unprocessed<'a> {
    /// Statistics that are wrong: sending them again does not help.
    #[must_use]
    pub fn wrong(rule: Cow<'a, str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule_name: rule,
            error_code: "400",
            message: message.into(),
        }
    }

    /// Statistics that who sent them may not count.
    #[must_use]
    pub fn refused(rule: Cow<'a, str>, refusal: &Refusal) -> Self {
        Self {
            rule_name: rule,
            error_code: if refusal.is_about_rights() {
                "403"
            } else {
                "401"
            },
            message: refusal.to_string().into(),
        }
    }

    /// Statistics that could not be counted now.
    #[must_use]
    pub fn failed(rule: Cow<'a, str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule_name: rule,
            error_code: "500",
            message: message.into(),
        }
    }
}

impl<'a> Targets<'a> {
    /// The targets of the rules in statistics, at a time in seconds since 1970. `unreadable` are the names of
    /// rules whose statistics cannot be read; their rates are answered all the same.
    #[must_use]
    pub fn of(
        told: &'a Request<'_>,
        unprocessed: Vec<Unprocessed<'a>>,
        snapshot: &Snapshot,
        modified: f64,
        now: f64,
    ) -> Self {
        let offered = told.statistics.iter().map(|of| (&*of.rule, of.offered));
        let unreadable = told.unreadable.iter().map(|(rule, _)| (&**rule, 0));
        let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
        for (rule, offered) in offered.chain(unreadable) {
            let most = asked.entry(rule).or_default();
            *most = offered.max(*most);
        }
        let rates = Rates::of(asked.keys().copied(), snapshot);
        let documents = asked.iter().filter_map(|(name, offered)| {
            let rule = Rule::named(name)?;
            Some(Target {
                rule_name: name,
                fixed_rate: rates.rate(&rule, *offered),
                reservoir_quota: 0,
                reservoir_quota_ttl: now + f64::from(INTERVAL_SECONDS),
                interval: INTERVAL_SECONDS,
            })
        });
        Self {
            last_rule_modification: modified,
            sampling_target_documents: documents.collect(),
            unprocessed_statistics: unprocessed,
        }
    }
}

/// The probabilities of the rules of services.
struct Rates<'a> {
    services: BTreeMap<&'a str, Service>,
    others: f64,
    snapshot: &'a Snapshot,
}

/// The rates of a service's rules.
struct Service {
    rest: f64,
    /// Of the methods and of the tagged requests that the plan lists.
    operations: BTreeMap<String, f64>,
}

impl<'a> Rates<'a> {
    fn of(names: impl Iterator<Item = &'a str>, snapshot: &'a Snapshot) -> Self {
        let service = |name: &'a str| name.rsplit_once(':').map(|(service, _)| service);
        let asked: BTreeSet<&str> = names.filter_map(service).collect();
        let services = asked.into_iter().filter_map(|name| {
            let service = snapshot.service(name)?;
            let strategy = snapshot.strategy(service);
            let has_rule = |name: &str| METHODS.contains(&name) || name.starts_with(TAGGED);
            let operations = strategy.operations().filter(|(name, _)| has_rule(name));
            let rates = Service {
                rest: strategy.default_probability,
                operations: operations
                    .map(|(name, probability)| (name.to_owned(), probability))
                    .collect(),
            };
            Some((name, rates))
        });
        Self {
            services: services.collect(),
            others: snapshot.default_strategy().default_probability,
            snapshot,
        }
    }

    /// The rate of a rule under which a client has counted `offered` requests since it last asked.
    fn rate(&self, rule: &Rule<'_>, offered: u64) -> f64 {
        let (service, operation) = match rule {
            Rule::Method { service, method } => (service, Some(Cow::Borrowed(*method))),
            Rule::Tagged { service, rule } => (service, Some(format!("{TAGGED}{rule}").into())),
            Rule::Rest { service } => (service, None),
            Rule::Default => return self.others,
        };
        let held = self.services.get(&**service);
        if self.snapshot.counted_by_edges(service) {
            return 1.0;
        }
        let listed = operation.and_then(|name: Cow<'_, str>| held?.operations.get(&*name));
        let otherwise = || held.map_or(self.others, |held| held.rest);
        match rule {
            Rule::Tagged { service, rule } => self
                .tagged(service, rule, listed.copied(), offered)
                .unwrap_or_else(|| listed.copied().unwrap_or_else(otherwise)),
            _ => listed.copied().unwrap_or_else(otherwise),
        }
    }

    /// The rate of tagged requests, if there is such a rule now. Until a plan has decided, all are kept. A
    /// client that alone has more than the cap is cut at once: a plan may take an interval to see it.
    fn tagged(&self, service: &str, rule: &str, listed: Option<f64>, offered: u64) -> Option<f64> {
        let mut rules = self.snapshot.tagged().of_service(service);
        let rule = rules.find(|known| known.rule == rule && known.active)?;
        let fits = rule.cap * f64::from(INTERVAL_SECONDS) / offered.max(1) as f64;
        Some(listed.unwrap_or(1.0).min(fits).min(1.0))
    }
}
