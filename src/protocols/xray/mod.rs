//! X-Ray's centralised sampling: clients ask for rules, tell what their samplers counted under each,
//! and get the rates. So they need no agent.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingRules` and `GetSamplingTargets`. After an answer that is not
//! 200, some clients forget every rule, and sample 1 a second and 5 %. So rules are always answered.

pub mod rules;
pub mod statistics;
mod targets;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::web::{Data, Path, Payload, to};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::rules::Rule;
use self::statistics::Statistics;
use self::targets::{Targets, Unprocessed};
use crate::access::{Caller, Credentials, Guard, Need, Refusal};
use crate::clock::Clock;
use crate::http::body::{BodyRoom, read_in};
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::ingest::{Counted, Ingest, Point, SourceExport, Temporality};
use crate::snapshot::{APPLIES_TAGGED, Served, Snapshot};
use crate::telemetry::metrics::{Metrics, XrayCall, XrayOutcome};

/// When rules were last changed unless operators made some for tagged requests, in seconds since 1970. A client that
/// sees a later time fetches them again.
const RULES_SINCE: f64 = 1.7e9;

/// How long after operators changed a rule for tagged requests clients are told that it changed, beside two windows:
/// the next plan takes the change over, and all replicas follow it. A client that fetches sooner than its replica
/// has the change fetches again.
const CHANGE_SECONDS: f64 = 60.0;

/// The largest body, in bytes: statistics of every rule of the longest names that are common.
pub const BYTES_MAX: usize = 1 << 20;

/// The paths of a client whose service is known from its rules' names, and of one whose path says it.
/// They need an [`Xray`] as application data.
pub const ROUTES: &[Route] = &[
    Route::new("POST", "/GetSamplingRules", Need::Nothing, || to(all_rules)).ignoring_others(),
    Route::new("POST", "/SamplingTargets", Need::Nothing, || {
        to(any_targets)
    })
    .ignoring_others(),
    Route::new(
        "POST",
        "/s/{service}/GetSamplingRules",
        Need::Nothing,
        || to(rules_of),
    )
    .ignoring_others(),
    Route::new(
        "POST",
        "/s/{service}/SamplingTargets",
        Need::Nothing,
        || to(targets_of),
    )
    .ignoring_others(),
];

/// What the handlers need.
pub struct Xray {
    /// What is served.
    pub served: Arc<Served>,
    /// Where counts go.
    pub ingest: Ingest,
    /// The room that bodies share.
    pub room: BodyRoom,
    /// Who may count requests.
    pub guard: Arc<Guard>,
    /// The time all replicas agree on.
    pub clock: Arc<dyn Clock>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
}

async fn all_rules(xray: Data<Xray>) -> HttpResponse {
    xray.rules(rules::of_all(&xray.served.snapshot()))
}

async fn rules_of(service: Path<String>, xray: Data<Xray>) -> HttpResponse {
    xray.rules(rules::of_service(&service, &xray.served.snapshot()))
}

async fn any_targets(request: HttpRequest, payload: Payload, xray: Data<Xray>) -> HttpResponse {
    xray.targets(&request, payload, None).await
}

async fn targets_of(
    request: HttpRequest,
    payload: Payload,
    service: Path<String>,
    xray: Data<Xray>,
) -> HttpResponse {
    xray.targets(&request, payload, Some(&service)).await
}

impl Xray {
    fn rules(&self, body: Vec<u8>) -> HttpResponse {
        self.count(XrayCall::Rules, XrayOutcome::Answered);
        json(StatusCode::OK, body)
    }

    fn count(&self, call: XrayCall, outcome: XrayOutcome) {
        self.metrics.xray_calls.of((call, outcome)).inc();
    }

    /// Counts what a client tells, and answers the rates. The rates are there even if nothing could be
    /// counted, because clients have forgotten by then what they told.
    async fn targets(
        &self,
        request: &HttpRequest,
        payload: Payload,
        service: Option<&str>,
    ) -> HttpResponse {
        let body = match read_in(&self.room, request, payload, BYTES_MAX).await {
            Ok(body) => body,
            Err(problem) => return self.refuse(&problem),
        };
        let told = match statistics::parse(&body) {
            Ok(told) => told,
            Err(error) => {
                let detail = error.to_string();
                let field = String::new();
                return self.refuse(&Problem::Malformed { field, detail });
            }
        };
        let caller = self.caller(request);
        let names: BTreeSet<&str> = told.statistics.iter().map(|of| &*of.rule).collect();
        let wrong = told.unreadable.iter();
        let mut unprocessed: Vec<Unprocessed<'_>> = wrong
            .map(|(rule, why)| Unprocessed::wrong(Cow::Borrowed(rule), *why))
            .collect();
        let refused = |of: &str| match &caller {
            Ok(caller) if caller.may_count(of) => None,
            Ok(_) => Some(self.guard.out_of_scope(of)),
            Err(refusal) => Some(refusal.clone()),
        };
        let snapshot = self.served.snapshot();
        let from = (service, &*snapshot);
        let taken = take(&told.statistics, from, refused, &mut unprocessed);
        let outcome = match self.ingest.export(taken).await {
            Ok(_) if caller.is_err() => XrayOutcome::NotCounted,
            Ok(_) if unprocessed.is_empty() => XrayOutcome::Answered,
            Ok(_) => XrayOutcome::Partial,
            Err(error) => {
                let failed = |name: &&'_ str| {
                    Unprocessed::failed(Cow::Owned((*name).to_owned()), error.to_string())
                };
                unprocessed.extend(names.iter().map(failed));
                XrayOutcome::NotCounted
            }
        };
        self.count(XrayCall::Targets, outcome);
        let now = self.clock.now().timestamp_millis() as f64 / 1000.0;
        let modified = modified(&snapshot, service);
        let answer = Targets::of(&told, unprocessed, &snapshot, modified, now);
        let body = serde_json::to_vec(&answer).expect("texts and numbers are JSON");
        json(StatusCode::OK, body)
    }

    /// Who tells what samplers counted. The call is a poll as well: who may not count is answered the rates,
    /// because some clients forget every rule after an error.
    fn caller(&self, request: &HttpRequest) -> Result<Caller, Refusal> {
        let values = request.headers().get_all(AUTHORIZATION);
        let presented = Credentials::of(values.map(|value| value.as_bytes()));
        let from = request.peer_addr().map(|from| from.ip());
        self.guard.check(presented, from, Need::Agent, None)
    }

    /// Refuses a call as X-Ray does.
    fn refuse(&self, problem: &Problem) -> HttpResponse {
        #[derive(Serialize)]
        struct Refusal {
            #[serde(rename = "__type")]
            kind: &'static str,
            message: String,
        }
        let (kind, outcome) = match problem {
            Problem::Unavailable { .. } => ("ThrottledException", XrayOutcome::NotCounted),
            _ => ("InvalidRequestException", XrayOutcome::Malformed),
        };
        self.count(XrayCall::Targets, outcome);
        let message = problem.to_string();
        let refusal = serde_json::to_vec(&Refusal { kind, message });
        let status = match problem {
            Problem::Unavailable { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        };
        json(status, refusal.expect("texts are JSON"))
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(body)
}

/// When the rules of clients were last changed, in seconds since 1970.
fn modified(snapshot: &Snapshot, service: Option<&str>) -> f64 {
    let settled = 2.0 * snapshot.plan().window.seconds() + CHANGE_SECONDS;
    let rules = snapshot.tagged().iter();
    let own = rules.filter(|rule| service.is_none_or(|service| rule.is_for(service)));
    let changed = own.map(|rule| rule.changed_at.0 as f64 / 1000.0 + settled);
    changed.fold(RULES_SINCE, f64::max)
}

/// What can be counted of statistics, by client and service. The service is the one that the path says, and
/// `refused` says for which services the sender may not count.
fn take<'a>(
    statistics: &'a [Statistics<'a>],
    (service, snapshot): (Option<&'a str>, &Snapshot),
    refused: impl Fn(&str) -> Option<Refusal>,
    unprocessed: &mut Vec<Unprocessed<'a>>,
) -> Vec<SourceExport<'a>> {
    let mut exports: BTreeMap<(&str, Cow<'a, str>), SourceExport<'a>> = BTreeMap::new();
    for told in statistics {
        let Some((of, at_start)) = counted_under(told, service, snapshot) else {
            let rule = Cow::Borrowed(&*told.rule);
            unprocessed.push(Unprocessed::wrong(rule, "there is no such rule"));
            continue;
        };
        if let Some(refusal) = refused(&of) {
            unprocessed.push(Unprocessed::refused(Cow::Borrowed(&*told.rule), &refusal));
            continue;
        }
        if told.offered == 0 {
            continue;
        }
        let export = exports.entry((&told.client, of.clone()));
        let export = export.or_insert_with(|| SourceExport {
            key: key(&told.client, &of),
            agent: format!("{APPLIES_TAGGED}{} of {of}", told.client).into(),
            service: of,
            points: Vec::new(),
        });
        export.points.push(Point {
            series: series(&told.rule),
            counted: Counted::Decisions {
                at_start,
                sampled: told.sampled,
            },
            temporality: Temporality::Delta,
            start_ns: 0,
            time_ns: told.time_ns,
            value: told.offered,
        });
    }
    exports.into_values().collect()
}

/// The service and the name at start of what is counted under a rule. Those that no service is known of
/// are the fleet's other ones.
fn counted_under<'a>(
    told: &'a Statistics<'a>,
    service: Option<&'a str>,
    snapshot: &Snapshot,
) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let (of, at_start) = match Rule::named(&told.rule)? {
        Rule::Method { service, method } => (service, method.into()),
        Rule::Tagged { service, rule } => {
            let at_start = tagged(&service, &rule, snapshot);
            (service, at_start.unwrap_or_default().to_owned().into())
        }
        Rule::Rest { service } => (service, "".into()),
        Rule::Default => (crate::allocation::OVERFLOW_NAME.into(), "".into()),
    };
    (service.is_none() || service == Some(&*of)).then_some((of, at_start))
}

/// The operation of tagged requests. None if operators have no such rule any more: then they are the other requests
/// of their service, because clients may not name operations.
fn tagged<'s>(service: &str, rule: &str, snapshot: &'s Snapshot) -> Option<&'s str> {
    let mut rules = snapshot.tagged().of_service(service);
    let known = rules.find(|known| known.rule == rule)?;
    Some(&known.operation)
}

/// A digest of the client and the service.
fn key(client: &str, service: &str) -> Uuid {
    let digest = Sha256::new()
        .chain_update("xray\0")
        .chain_update(client)
        .chain_update("\0")
        .chain_update(service)
        .finalize();
    let (front, _) = digest.split_first_chunk().expect("it has 32 bytes");
    Uuid::from_bytes(*front)
}

/// A digest of the rule's name.
fn series(rule: &str) -> u64 {
    let digest = Sha256::digest(rule);
    let (front, _) = digest.split_first_chunk().expect("it has 32 bytes");
    u64::from_be_bytes(*front)
}
