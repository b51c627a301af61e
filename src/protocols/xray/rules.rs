//! Sampling rules: what requests are told apart by.
//!
//! A client asks every five minutes, and loses the counts of the meantime if a byte differs from the
//! answer before. So a service's rules never change: one for each method of HTTP, under whose name
//! samplers are asked elsewhere too, and one for the rest. Before them come those that operators made for tagged
//! requests, which change when operators change them. Rates travel in targets.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingRules`. The clients' own sources: every field must be there,
//! and no other; whole numbers without a fraction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::snapshot::{Snapshot, TaggedRule};

/// The methods that have a rule of their own.
pub const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
];

/// What a client samples with until its first targets come, ten seconds later.
pub const FIRST_RATE: f64 = 0.001;

/// The same of tagged requests: all of them, as operators ask for.
const FIRST_TAGGED_RATE: f64 = 1.0;

/// The most rules of an answer. A client that does not say its service gets a rule of each.
pub const RULES_MAX: usize = 1000;

/// The most of these that are for tagged requests.
pub const TAGGED_MAX: usize = RULES_MAX / 2;

/// The name of the rule that applies where no other does.
const DEFAULT: &str = "Default";

/// The method in the name of a service's last rule.
const REST: &str = "*";

/// What stands before the name of the operators' rule, in the name of a rule for tagged requests.
pub(super) const TAGGED: &str = "tagged=";

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
    /// Tagged requests of one service.
    Tagged {
        /// Which service.
        service: Cow<'a, str>,
        /// The name of the operators' rule.
        rule: Cow<'a, str>,
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
        if let Some(rule) = method.strip_prefix(TAGGED) {
            let rule = Cow::Borrowed(rule);
            return Some(Self::Tagged { service, rule });
        }
        let method = METHODS.into_iter().find(|known| *known == method)?;
        Some(Self::Method { service, method })
    }

    /// The name, from which [`Rule::named`] makes the rule again.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Method { service, method } => format!("{service}:{method}").into(),
            Self::Tagged { service, rule } => format!("{service}:{TAGGED}{rule}").into(),
            Self::Rest { service } => format!("{service}:{REST}").into(),
            Self::Default => DEFAULT.into(),
        }
    }

    /// Where it stands: a client applies the first one that matches.
    fn priority(&self) -> u32 {
        match self {
            Self::Tagged { .. } => 10,
            Self::Method { .. } => 100,
            Self::Rest { .. } => 1000,
            Self::Default => 10_000,
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Method { method, .. } => method,
            Self::Tagged { .. } | Self::Rest { .. } | Self::Default => "*",
        }
    }
}

/// A rule as it is sent: for which services by their own name, and what the operators want of it.
struct Sent<'a> {
    rule: Rule<'a>,
    service_name: &'a str,
    tagged: Option<&'a TaggedRule>,
}

impl<'a> Sent<'a> {
    fn tagged(service: &'a str, service_name: &'a str, tagged: &'a TaggedRule) -> Self {
        let rule = Rule::Tagged {
            service: service.into(),
            rule: Cow::Borrowed(&tagged.rule),
        };
        Self {
            rule,
            service_name,
            tagged: Some(tagged),
        }
    }

    fn plain(rule: Rule<'a>, service_name: &'a str) -> Self {
        Self {
            rule,
            service_name,
            tagged: None,
        }
    }
}

/// The rules of a service that clients name in the path. The name that the client itself gives to its
/// service does not matter.
#[must_use]
pub fn of_service(service: &str, snapshot: &Snapshot) -> Vec<u8> {
    let tagged = snapshot.tagged().of_service(service);
    let tagged = tagged.filter(|rule| rule.active);
    let tagged = tagged.map(|rule| Sent::tagged(service, "*", rule));
    let methods = METHODS.into_iter().map(|method| Rule::Method {
        service: service.into(),
        method,
    });
    let rest = Rule::Rest {
        service: service.into(),
    };
    let others = methods.chain([rest]).map(|rule| Sent::plain(rule, "*"));
    encode(tagged.chain(others))
}

/// The rules for clients that do not say their service: one for each known service, by name, and one
/// for all others. Before them those for tagged requests, as many as fit.
///
/// A name is a pattern in a rule, so services whose names have `*` or `?` get none.
#[must_use]
pub fn of_all(snapshot: &Snapshot) -> Vec<u8> {
    let services = snapshot.services().map(|(name, _)| &**name);
    let mut known: Vec<&str> = services.filter(|name| !name.contains(['*', '?'])).collect();
    known.sort_unstable();
    let active = || snapshot.tagged().iter().filter(|rule| rule.active);
    let of = |service| active().filter(move |rule| rule.is_for(service));
    let tagged = known.iter().flat_map(|service| {
        let rules = of(service);
        rules.map(move |rule| Sent::tagged(service, service, rule))
    });
    let tagged: Vec<Sent<'_>> = tagged.take(TAGGED_MAX).collect();
    let rest = |service| Rule::Rest {
        service: Cow::Borrowed(service),
    };
    let others = known.iter().take(RULES_MAX - 1 - tagged.len());
    let others = others.map(|name| Sent::plain(rest(*name), name));
    encode(
        tagged
            .into_iter()
            .chain(others)
            .chain([Sent::plain(Rule::Default, "*")]),
    )
}

fn encode<'a>(rules: impl Iterator<Item = Sent<'a>>) -> Vec<u8> {
    let rules: Vec<Sent<'_>> = rules.collect();
    let answer = Answer {
        next_token: None,
        records: rules.iter().map(Record::of).collect(),
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
    attributes: BTreeMap<&'a str, &'a str>,
}

impl<'a> Record<'a> {
    fn of(sent: &'a Sent<'_>) -> Self {
        let Sent {
            rule,
            service_name,
            tagged,
        } = sent;
        let name = rule.name();
        let written_at = |tagged: &TaggedRule| tagged.written_at.0 as f64 / 1000.0;
        let since = tagged.map_or(super::RULES_SINCE, written_at);
        let attributes = tagged.iter().flat_map(|tagged| &tagged.attributes);
        Self {
            created_at: since,
            modified_at: since,
            sampling_rule: Document {
                rule_arn: format!("arn:aws:xray:us-east-1:000000000000:sampling-rule/{name}"),
                rule_name: name,
                resource_arn: "*",
                priority: rule.priority(),
                fixed_rate: match tagged {
                    Some(_) => FIRST_TAGGED_RATE,
                    None => FIRST_RATE,
                },
                reservoir_size: 0,
                service_name,
                service_type: "*",
                host: "*",
                http_method: rule.method(),
                url_path: "*",
                version: 1,
                attributes: attributes.map(|(key, value)| (&**key, &**value)).collect(),
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
            let tagged = Rule::Tagged {
                service: service.into(),
                rule: "GET".into(),
            };
            assert_eq!(Rule::named(&tagged.name()), Some(tagged.clone()));
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
