//! Weir's HTTP interface, as agents, SDKs and operators use it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use super::process::WeirProcess;

/// How long a request may take before its sender gives up and repeats it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The machine's clock, for what agents write into their reports.
pub fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// An instant as reports write it.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The part of a report about one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub service: String,
    pub operation: String,
    pub offered: u64,
    pub sampled: u64,
}

/// What stays the same when a report is sent again.
#[derive(Debug, Clone)]
pub struct Report {
    pub agent: String,
    pub epoch: Uuid,
    pub sequence: u64,
    pub window_start: DateTime<Utc>,
    pub window_seconds: f64,
    pub counts: Vec<Count>,
}

impl Report {
    /// The body of `POST /v1/reports`.
    pub fn body(&self) -> Value {
        let mut services: Vec<Value> = Vec::new();
        for count in &self.counts {
            let operation = json!({
                "operation": count.operation, "offered": count.offered, "sampled": count.sampled,
            });
            let known = services
                .iter_mut()
                .find(|known| known["service"] == *count.service);
            match known.and_then(|known| known["operations"].as_array_mut()) {
                Some(operations) => operations.push(operation),
                None => services.push(json!({
                    "service": count.service, "instances": 1, "operations": [operation],
                })),
            }
        }
        json!({
            "agent": self.agent,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "window_start": rfc3339(self.window_start),
            "window_seconds": self.window_seconds,
            "services": services,
        })
    }
}

/// The outcome of sending a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Counted,
    Duplicate,
    /// No answer, or one that asks for a repeat.
    Again,
    /// Anything else: its status and body.
    Refused(u16, String),
}

/// A service's strategy as SDKs receive it.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    pub plan: u64,
    pub body: Value,
}

impl Strategy {
    /// The probability that an SDK applies to an operation: its own, or the default.
    pub fn probability(&self, operation: &str) -> f64 {
        self.listed(operation).unwrap_or_else(|| {
            number(&self.body["operationSampling"]["defaultSamplingProbability"])
        })
    }

    /// The probability of an operation that is listed.
    pub fn listed(&self, operation: &str) -> Option<f64> {
        self.all_listed().get(operation).copied()
    }

    /// The probabilities of all operations that are listed.
    pub fn all_listed(&self) -> BTreeMap<&str, f64> {
        self.body["operationSampling"]["perOperationStrategies"]
            .as_array()
            .expect("the list of operations")
            .iter()
            .map(|entry| {
                let name = entry["operation"].as_str().expect("a name");
                (
                    name,
                    number(&entry["probabilisticSampling"]["samplingRate"]),
                )
            })
            .collect()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// What identifies a plan, as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanMark {
    pub number: u64,
    pub term: u64,
}

/// A client of one Weir.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    sdk_url: String,
    admin_url: String,
}

impl Client {
    /// A client of a running process.
    pub fn of(process: &WeirProcess) -> Self {
        Self {
            http: http_client(),
            sdk_url: process.sdk_url().to_owned(),
            admin_url: process.admin_url().to_owned(),
        }
    }

    /// The strategy that SDKs of a service receive.
    pub async fn strategy(&self, service: &str) -> Option<Strategy> {
        let url = format!("{}/sampling", self.sdk_url);
        let url = reqwest::Url::parse_with_params(&url, [("service", service)]).ok()?;
        let response = self.http.get(url).send().await.ok()?;
        let plan = response
            .headers()
            .get("Weir-Plan")?
            .to_str()
            .ok()?
            .parse()
            .ok()?;
        let body = response.json().await.ok()?;
        Some(Strategy { plan, body })
    }

    /// The plan that it serves.
    pub async fn plan(&self) -> Option<PlanMark> {
        let url = format!("{}/v1/plans/current", self.admin_url);
        let body: Value = self.http.get(url).send().await.ok()?.json().await.ok()?;
        Some(PlanMark {
            number: body["plan"].as_u64()?,
            term: body["term"].as_u64()?,
        })
    }

    /// The process's own clock, as its answers' `Date` shows it.
    pub async fn clock(&self) -> DateTime<Utc> {
        let url = format!("{}/livez", self.admin_url);
        let response = self
            .http
            .get(url)
            .send()
            .await
            .expect("an answer from a live process");
        let date = response.headers()["Date"]
            .to_str()
            .expect("a date is ASCII");
        DateTime::parse_from_rfc2822(date)
            .expect("RFC 9110 says so")
            .to_utc()
    }

    /// Sets the fleet's budget, replacing any other.
    pub async fn set_budget(&self, traces_per_second: f64) {
        let response = self
            .http
            .put(format!("{}/v1/budget", self.admin_url))
            .header("If-Match", "*")
            .json(&json!({ "traces_per_second": traces_per_second }))
            .send()
            .await
            .expect("an answer to the new budget");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
    }
}

/// Sends a report to the Weir at `sdk_url`.
pub async fn send(http: &reqwest::Client, sdk_url: &str, report: &Value) -> Answer {
    let request = http.post(format!("{sdk_url}/v1/reports")).json(report);
    let Ok(response) = request.send().await else {
        return Answer::Again;
    };
    let status = response.status().as_u16();
    let Ok(text) = response.text().await else {
        return Answer::Again;
    };
    let result = serde_json::from_str::<Value>(&text).map(|body| body["result"].clone());
    match (status, result.ok().as_ref().and_then(Value::as_str)) {
        (200, Some("counted")) => Answer::Counted,
        (200, Some("duplicate")) => Answer::Duplicate,
        (503, _) => Answer::Again,
        _ => Answer::Refused(status, text),
    }
}

/// A client with a time limit.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .build()
        .expect("a client without TLS needs nothing")
}
