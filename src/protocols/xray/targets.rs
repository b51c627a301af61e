//! Targets: the rate of each rule that a client has.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingTargets`. All three keys are always there; a rule that is not
//! known goes to `UnprocessedStatistics`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::rules::Rule;
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
    /// The targets of rules by their names, at a time in seconds since 1970.
    #[must_use]
    pub fn of(
        names: &BTreeSet<&'a str>,
        unprocessed: Vec<Unprocessed<'a>>,
        snapshot: &Snapshot,
        now: f64,
    ) -> Self {
        let rates = Rates::of(names, snapshot);
        let rules = names
            .iter()
            .filter_map(|name| Some((name, Rule::named(name)?)));
        Self {
            last_rule_modification: super::RULES_SINCE,
            sampling_target_documents: rules
                .map(|(name, rule)| Target {
                    rule_name: name,
                    fixed_rate: rates.rate(&rule),
                    reservoir_quota: 0,
                    reservoir_quota_ttl: now + f64::from(INTERVAL_SECONDS),
                    interval: INTERVAL_SECONDS,
                })
                .collect(),
            unprocessed_statistics: unprocessed,
        }
    }
}

/// The probabilities of the methods of services.
struct Rates<'a> {
    services: BTreeMap<&'a str, Service>,
    others: f64,
}

/// The rates of a service's rules.
struct Service {
    rest: f64,
    /// Of the methods that the plan lists.
    methods: BTreeMap<&'static str, f64>,
}

impl<'a> Rates<'a> {
    fn of(names: &BTreeSet<&'a str>, snapshot: &Snapshot) -> Self {
        let of = |name: &&'a str| name.rsplit_once(':').map(|(service, _)| service);
        let asked: BTreeSet<&str> = names.iter().filter_map(of).collect();
        let services = asked.into_iter().filter_map(|name| {
            let service = snapshot.service(name)?;
            let strategy = snapshot.strategy(service);
            let methods = strategy.operations().filter_map(|(name, probability)| {
                let method = super::rules::METHODS
                    .into_iter()
                    .find(|method| *method == name)?;
                Some((method, probability))
            });
            let rates = Service {
                rest: strategy.default_probability,
                methods: methods.collect(),
            };
            Some((name, rates))
        });
        Self {
            services: services.collect(),
            others: snapshot.default_strategy().default_probability,
        }
    }

    fn rate(&self, rule: &Rule<'_>) -> f64 {
        let (service, method) = match rule {
            Rule::Method { service, method } => (service, Some(*method)),
            Rule::Rest { service } => (service, None),
            Rule::Default => return self.others,
        };
        let Some(service) = self.services.get(&**service) else {
            return self.others;
        };
        let listed = method.and_then(|method| service.methods.get(method));
        listed.copied().unwrap_or(service.rest)
    }
}
