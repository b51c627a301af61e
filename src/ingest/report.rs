//! A report as it comes from outside, and everything that can be wrong with it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::allocation::{AgentName, OperationName, ServiceName, Timestamp, Window};

/// What a report may at most be.
#[derive(Debug, Clone, Copy)]
pub struct ReportLimits {
    /// Bytes after decompression.
    pub bytes: usize,
    /// The bucket's length: a window may touch [`ReportLimits::BUCKETS`] of them.
    pub bucket: Duration,
    /// The oldest start of a window.
    pub age: Duration,
}

impl ReportLimits {
    /// Operations in one report, over all its services.
    pub const OPERATIONS: usize = 20_000;
    /// Root requests of one operation in one report: far above any machine, far under overflow.
    pub const COUNT: u64 = 1_000_000_000_000;
    /// Buckets that one window may cover.
    pub const BUCKETS: u32 = 60;
    /// The longest window, whatever the bucket.
    pub const WINDOW: Duration = Duration::from_secs(300);
    /// How far into the future a window may end: agents' clocks differ a little.
    pub const AHEAD: TimeDelta = TimeDelta::seconds(30);

    fn window_seconds_max(self) -> f64 {
        (self.bucket * Self::BUCKETS)
            .min(Self::WINDOW)
            .as_secs_f64()
    }
}

/// What is wrong with a report, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ReportError {
    /// Whether the body is no report at all, rather than one with a wrong value.
    pub malformed: bool,
    /// The field, as a path like `services[0].operations[3].sampled`; empty for the body.
    pub field: String,
    /// What is wrong, in words that follow the field's name.
    pub problem: String,
}

impl ReportError {
    fn invalid(field: impl Into<String>, problem: impl ToString) -> Self {
        Self {
            malformed: false,
            field: field.into(),
            problem: problem.to_string(),
        }
    }
}

/// A checked report, borrowed from its body.
#[derive(Debug)]
pub struct Report<'a> {
    /// Who sent it.
    pub agent: AgentName,
    /// New at every start of the agent.
    pub epoch: Uuid,
    /// Counts up within the epoch.
    pub sequence: u64,
    /// The time its counts are of.
    pub window: Window,
    services: Vec<Service<'a>>,
}

/// One service's part of a report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service<'a> {
    #[serde(borrow)]
    service: Cow<'a, str>,
    /// How many SDK instances the agent saw; what a lower bound costs depends on it.
    #[serde(default = "one")]
    instances: u32,
    operations: Vec<Operation<'a>>,
}

/// One operation's part of a report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation<'a> {
    #[serde(borrow)]
    operation: Cow<'a, str>,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept.
    pub sampled: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    agent: Cow<'a, str>,
    epoch: Uuid,
    sequence: u64,
    window_start: DateTime<Utc>,
    window_seconds: f64,
    #[serde(borrow)]
    services: Vec<Service<'a>>,
}

fn one() -> u32 {
    1
}

impl<'a> Service<'a> {
    /// The service's name; checked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.service
    }

    /// How many SDK instances the agent saw; checked.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.instances
    }

    /// Its operations, in the body's order.
    #[must_use]
    pub fn operations(&self) -> &[Operation<'a>] {
        &self.operations
    }
}

impl Operation<'_> {
    /// The operation's name; checked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.operation
    }
}

impl<'a> Report<'a> {
    /// Parses and checks a body.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn parse(
        body: &'a [u8],
        limits: ReportLimits,
        now: DateTime<Utc>,
    ) -> Result<Self, ReportError> {
        let wire: Wire<'a> = serde_json::from_slice(body).map_err(|_| explain(body))?;
        AgentName::check(&wire.agent).map_err(|error| ReportError::invalid("agent", error))?;
        if i64::try_from(wire.sequence).is_err() {
            return Err(ReportError::invalid("sequence", "must be below 2^63"));
        }
        let window = window(&wire, limits, now)?;
        check_services(&wire.services)?;
        let agent =
            AgentName::parse(&wire.agent).map_err(|error| ReportError::invalid("agent", error))?;
        Ok(Self {
            agent,
            epoch: wire.epoch,
            sequence: wire.sequence,
            window,
            services: wire.services,
        })
    }

    /// Every service, in the body's order.
    pub fn services(&self) -> impl Iterator<Item = &Service<'a>> {
        self.services.iter()
    }

    /// Every operation, in the body's order.
    pub fn operations(&self) -> impl Iterator<Item = &Operation<'a>> {
        self.services.iter().flat_map(|service| &service.operations)
    }

    /// Every operation's (service, operation) names, in the body's order.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.services.iter().flat_map(|service| {
            service
                .operations
                .iter()
                .map(|operation| (service.name(), operation.name()))
        })
    }
}

/// Reads a refused body again, slowly, to name the field.
fn explain(body: &[u8]) -> ReportError {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read: Result<Wire<'_>, _> = serde_path_to_error::deserialize(&mut reader);
    let (path, error) = match read {
        Ok(_) => match reader.end() {
            Err(error) => (String::new(), error),
            Ok(()) => return ReportError::invalid("", "could not be read"),
        },
        Err(error) => (error.path().to_string(), error.into_inner()),
    };
    ReportError {
        malformed: !error.is_data(),
        field: if path == "." { String::new() } else { path },
        problem: error.to_string(),
    }
}

fn window(
    wire: &Wire<'_>,
    limits: ReportLimits,
    now: DateTime<Utc>,
) -> Result<Window, ReportError> {
    let most = limits.window_seconds_max();
    if !(0.001..=most).contains(&wire.window_seconds) {
        let problem = format!("must be between 0.001 and {most}");
        return Err(ReportError::invalid("window_seconds", problem));
    }
    let milliseconds = (wire.window_seconds * 1000.0).round() as i64;
    let end = wire
        .window_start
        .checked_add_signed(TimeDelta::milliseconds(milliseconds));
    let Some(end) = end.filter(|end| *end <= now + ReportLimits::AHEAD) else {
        let problem = format!("lies in the future: it is {} here", now.to_rfc3339());
        return Err(ReportError::invalid("window_start", problem));
    };
    let age = TimeDelta::from_std(limits.age).unwrap_or(TimeDelta::MAX);
    if now.signed_duration_since(wire.window_start) > age {
        let limit = humantime::format_duration(limits.age);
        let problem = format!("is more than {limit} ago: it is {} here", now.to_rfc3339());
        return Err(ReportError::invalid("window_start", problem));
    }
    Ok(Window {
        start: Timestamp(wire.window_start.timestamp_millis()),
        end: Timestamp(end.timestamp_millis()),
    })
}

fn check_services(services: &[Service<'_>]) -> Result<(), ReportError> {
    let total: usize = services
        .iter()
        .map(|service| service.operations.len())
        .sum();
    if total > ReportLimits::OPERATIONS || services.len() > ReportLimits::OPERATIONS {
        let problem = format!(
            "must hold at most {} operations in all",
            ReportLimits::OPERATIONS
        );
        return Err(ReportError::invalid("services", problem));
    }
    let mut seen = HashSet::with_capacity(services.len());
    for (index, service) in services.iter().enumerate() {
        let at = || format!("services[{index}]");
        ServiceName::check(&service.service)
            .map_err(|error| ReportError::invalid(at() + ".service", error))?;
        if !seen.insert(service.name()) {
            return Err(ReportError::invalid(
                at() + ".service",
                "stands in the report twice",
            ));
        }
        if !(1..=1_000_000).contains(&service.instances) {
            let problem = "must be between 1 and 1000000";
            return Err(ReportError::invalid(at() + ".instances", problem));
        }
        check_operations(&service.operations).map_err(|(operation, field, problem)| {
            ReportError::invalid(format!("{}.operations[{operation}].{field}", at()), problem)
        })?;
    }
    Ok(())
}

/// Where an operation is wrong (its index and field), and how.
type OperationError = (usize, &'static str, String);

fn check_operations(operations: &[Operation<'_>]) -> Result<(), OperationError> {
    let mut seen = HashSet::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let wrong = |field, problem: String| Err((index, field, problem));
        if let Err(error) = OperationName::check(&operation.operation) {
            return wrong("operation", error.to_string());
        }
        if !seen.insert(operation.name()) {
            return wrong("operation", "stands in its service twice".into());
        }
        if operation.offered > ReportLimits::COUNT {
            return wrong(
                "offered",
                format!("must be at most {}", ReportLimits::COUNT),
            );
        }
        if operation.sampled > operation.offered {
            return wrong("sampled", "must not exceed offered".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReportLimits = ReportLimits {
        bytes: 1 << 20,
        bucket: Duration::from_secs(60),
        age: Duration::from_secs(3600),
    };

    fn now() -> DateTime<Utc> {
        "2026-11-20T09:00:10Z".parse().unwrap()
    }

    fn body(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut body = serde_json::json!({
            "agent": "node-17", "epoch": "0f4e2c70-31f0-4a4e-9d40-4a8ff7b9a001", "sequence": 42,
            "window_start": "2026-11-20T09:00:00Z", "window_seconds": 10,
            "services": [{"service": "checkout", "instances": 3, "operations": [
                {"operation": "POST /cart", "offered": 1200, "sampled": 12}]}]
        });
        change(&mut body);
        serde_json::to_vec(&body).unwrap()
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> (String, String) {
        let error = Report::parse(&body(change), LIMITS, now()).unwrap_err();
        assert!(!error.malformed, "{error}");
        (error.field, error.problem)
    }

    #[test]
    fn the_example_is_read() {
        let bytes = body(|_| ());
        let report = Report::parse(&bytes, LIMITS, now()).unwrap();
        assert_eq!(report.window.seconds(), 10.0);
        let operation = report.operations().next().unwrap();
        assert_eq!(report.names().next().unwrap(), ("checkout", "POST /cart"));
        assert_eq!((operation.offered, operation.sampled), (1200, 12));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let operation = "services[0].operations[0]";
        type Change = Box<dyn FnOnce(&mut serde_json::Value)>;
        let cases: Vec<(String, Change)> = vec![
            ("agent".into(), Box::new(|b| b["agent"] = "".into())),
            ("agent".into(), Box::new(|b| b["agent"] = "a\u{7}".into())),
            ("epoch".into(), Box::new(|b| b["epoch"] = "x".into())),
            ("sequence".into(), Box::new(|b| b["sequence"] = (-1).into())),
            (
                "sequence".into(),
                Box::new(|b| b["sequence"] = u64::MAX.into()),
            ),
            (
                "window_seconds".into(),
                Box::new(|b| b["window_seconds"] = 0.into()),
            ),
            (
                "window_seconds".into(),
                Box::new(|b| b["window_seconds"] = 301.into()),
            ),
            (
                "window_start".into(),
                Box::new(|b| b["window_start"] = "2026-11-20T09:01:00Z".into()),
            ),
            (
                "window_start".into(),
                Box::new(|b| b["window_start"] = "2026-11-20T07:00:00Z".into()),
            ),
            (
                "window_start".into(),
                Box::new(|b| b["window_start"] = "yesterday".into()),
            ),
            (
                "services[0].service".into(),
                Box::new(|b| b["services"][0]["service"] = "x".repeat(257).into()),
            ),
            (
                "services[0].instances".into(),
                Box::new(|b| b["services"][0]["instances"] = 0.into()),
            ),
            (
                format!("{operation}.operation"),
                Box::new(|b| b["services"][0]["operations"][0]["operation"] = "".into()),
            ),
            (
                format!("{operation}.offered"),
                Box::new(|b| b["services"][0]["operations"][0]["offered"] = (-5).into()),
            ),
            (
                format!("{operation}.offered"),
                Box::new(|b| b["services"][0]["operations"][0]["offered"] = 1.5.into()),
            ),
            (
                format!("{operation}.offered"),
                Box::new(|b| b["services"][0]["operations"][0]["offered"] = u64::MAX.into()),
            ),
            (
                format!("{operation}.sampled"),
                Box::new(|b| b["services"][0]["operations"][0]["sampled"] = 1201.into()),
            ),
            (
                format!("{operation}.surprise"),
                Box::new(|b| b["services"][0]["operations"][0]["surprise"] = 1.into()),
            ),
            (
                "services[0].operations[1].operation".into(),
                Box::new(|b| {
                    let twice = b["services"][0]["operations"][0].clone();
                    b["services"][0]["operations"]
                        .as_array_mut()
                        .unwrap()
                        .push(twice);
                }),
            ),
            (
                "services[1].service".into(),
                Box::new(|b| {
                    let twice = b["services"][0].clone();
                    b["services"].as_array_mut().unwrap().push(twice);
                }),
            ),
        ];
        for (field, change) in cases {
            assert_eq!(refused(change).0, field);
        }
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in [
            &b"{\"agent\":"[..],
            b"",
            b"\xff\xfe",
            b"{\"agent\":\"a\"} trailing",
        ] {
            assert!(Report::parse(body, LIMITS, now()).is_err());
        }
        assert!(
            Report::parse(b"{\"agent\":", LIMITS, now())
                .unwrap_err()
                .malformed
        );
    }
}
