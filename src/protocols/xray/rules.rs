//! Sampling rules: what requests are told apart by.
//!
//! A client asks every five minutes, and loses the counts of the meantime if a byte differs from the
//! answer before. So a service's rules never change: one for each method of HTTP, under whose name
//! samplers are asked elsewhere too, and one for the rest. Rates travel in targets.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingRules`. The clients' own sources: every field must be there,
//! and no other; whole numbers without a fraction.

use std::borrow::Cow;

use serde::Serialize;

/// The methods that have a rule of their own.
pub const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
];

/// What a client samples with until its first targets come, ten seconds later.
pub const FIRST_RATE: f64 = 0.001;

/// The most rules of an answer. A client that does not say its service gets a rule of each.
pub const RULES_MAX: usize = 1000;

/// The name of the rule that applies where no other does.
const DEFAULT: &str = "Default";

/// The method in the name of a service's last rule.
const REST: &str = "*";

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule<'a> {
    /// Requests of one service with one method.
    Method {
        /// Which service.
        service: Cow<'a, str>,
        /// Which method, as in [`METHODS`].
        method: &'static str,
    },
    /// The other requests of a service.
    Rest {
        /// Which service.
        service: Cow<'a, str>,
    },
    /// The requests of services without rules.
    Default,
}

impl<'a> Rule<'a> {
    /// The rule with a name, unless there cannot be one.
    #[must_use]
    pub fn named(name: &'a str) -> Option<Self> {
        if name == DEFAULT {
            return Some(Self::Default);
        }
        let (service, method) = name.rsplit_once(':')?;
        let service = Cow::Borrowed(service);
        if method == REST {
            return Some(Self::Rest { service });
        }
        let method = METHODS.into_iter().find(|known| *known == method)?;
        Some(Self::Method { service, method })
    }

    /// The name, from which [`Rule::named`] makes the rule again.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Method { service, method } => format!("{service}:{method}").into(),
            Self::Rest { service } => format!("{service}:{REST}").into(),
            Self::Default => DEFAULT.into(),
        }
    }

    /// Where it stands: a client applies the first one that matches.
    fn priority(&self) -> u32 {
        match self {
            Self::Method { .. } => 100,
            Self::Rest { .. } => 1000,
            Self::Default => 10_000,
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Method { method, .. } => method,
            Self::Rest { .. } | Self::Default => "*",
        }
    }
}

/// The rules of a service that clients name in the path. The name that the client itself gives to its
/// service does not matter.
#[must_use]
pub fn of_service(service: &str) -> Vec<u8> {
    let methods = METHODS.into_iter().map(|method| Rule::Method {
        service: service.into(),
        method,
    });
    let rest = Rule::Rest {
        service: service.into(),
    };
    let rules: Vec<Rule<'_>> = methods.chain([rest]).collect();
    encode(rules.iter().map(|rule| (rule, "*")))
}

/// The rules for clients that do not say their service: one for each known service, by name, and one
/// for all others.
///
/// A name is a pattern in a rule, so services whose names have `*` or `?` get none.
#[must_use]
pub fn of_all<'s>(services: impl Iterator<Item = &'s str>) -> Vec<u8> {
    let mut known: Vec<&str> = services.filter(|name| !name.contains(['*', '?'])).collect();
    known.sort_unstable();
    known.truncate(RULES_MAX - 1);
    let of = |service| Rule::Rest {
        service: Cow::Borrowed(service),
    };
    let mut rules: Vec<(Rule<'_>, &str)> = known.iter().map(|name| (of(*name), *name)).collect();
    rules.push((Rule::Default, "*"));
    encode(rules.iter().map(|(rule, service)| (rule, *service)))
}

fn encode<'r, 'a: 'r>(rules: impl Iterator<Item = (&'r Rule<'a>, &'r str)>) -> Vec<u8> {
    let answer = Answer {
        next_token: None,
        records: rules
            .map(|(rule, service)| Record::of(rule, service))
            .collect(),
    };
    serde_json::to_vec(&answer).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "NextToken")]
    next_token: Option<()>,
    #[serde(rename = "SamplingRuleRecords")]
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    created_at: f64,
    modified_at: f64,
    sampling_rule: Document<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    rule_name: Cow<'a, str>,
    #[serde(rename = "RuleARN")]
    rule_arn: String,
    #[serde(rename = "ResourceARN")]
    resource_arn: &'static str,
    priority: u32,
    fixed_rate: f64,
    reservoir_size: u32,
    service_name: &'a str,
    service_type: &'static str,
    host: &'static str,
    #[serde(rename = "HTTPMethod")]
    http_method: &'static str,
    #[serde(rename = "URLPath")]
    url_path: &'static str,
    version: u32,
    attributes: Attributes,
}

/// An object without fields.
#[derive(Serialize)]
struct Attributes {}

impl<'a> Record<'a> {
    fn of(rule: &'a Rule<'_>, service: &'a str) -> Self {
        let name = rule.name();
        Self {
            created_at: super::RULES_SINCE,
            modified_at: super::RULES_SINCE,
            sampling_rule: Document {
                rule_arn: format!("arn:aws:xray:us-east-1:000000000000:sampling-rule/{name}"),
                rule_name: name,
                resource_arn: "*",
                priority: rule.priority(),
                fixed_rate: FIRST_RATE,
                reservoir_size: 0,
                service_name: service,
                service_type: "*",
                host: "*",
                http_method: rule.method(),
                url_path: "*",
                version: 1,
                attributes: Attributes {},
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_name() {
        for service in ["checkout", "a:b", "", "a:GET", "*"] {
            let rest = Rule::Rest {
                service: service.into(),
            };
            assert_eq!(Rule::named(&rest.name()), Some(rest.clone()));
            for method in METHODS {
                let rule = Rule::Method {
                    service: service.into(),
                    method,
                };
                assert_eq!(Rule::named(&rule.name()), Some(rule.clone()));
            }
        }
        assert_eq!(Rule::named("Default"), Some(Rule::Default));
        for name in ["", "checkout", "checkout:get", "checkout:GET /", "default"] {
            assert_eq!(Rule::named(name), None, "{name}");
        }
    }
}
