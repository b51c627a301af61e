//! What must hold for every body, whatever is in it.

pub mod edge;
pub mod stored;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use prost::Message;
use weir::allocation::{
    AgentCount, AgentId, AgentReport, Basis, Inputs, OperationCount, OperationId, Plan, ServiceId,
    Timestamp, Window, WindowCounts, next_plan,
};
use weir::api::reports::parse;
use weir::configuration::{Configuration, Origins, Outline};
use weir::grpc::{SMALL_REQUEST, message};
use weir::ingest::{ReportBuilder, ReportLimits};
use weir::names::Names;
use weir::protocols::jaeger::protobuf::SamplingStrategyParameters;
use weir::protocols::otlp::{
    Encoding, Extracted, POINTS_MAX, SOURCES_MAX, Unreadable, check_export, read_metrics,
    read_traces,
};
use weir::protocols::xray::rules::Rule;
use weir::protocols::xray::statistics::{self, STATISTICS_MAX};
use weir::store::ConfigurationRevision;

/// Reads an export of OTLP.
type Read = for<'a> fn(Encoding, &'a [u8]) -> Result<Extracted<'a>, Unreadable>;

/// Reads an export of metrics. It may be refused; what is read keeps the bounds, and is the same again.
pub fn otlp(encoding: Encoding, body: &[u8]) {
    let _ = check_export(encoding, body);
    holds(read_metrics, encoding, body);
}

/// The same of an export of traces. Each root span is a point.
pub fn otlp_traces(encoding: Encoding, body: &[u8]) {
    holds(read_traces, encoding, body);
}

fn holds(read: Read, encoding: Encoding, body: &[u8]) {
    let Ok(said) = read(encoding, body) else {
        return;
    };
    assert!(said.points() <= POINTS_MAX as u64);
    assert!(said.sources.len() <= SOURCES_MAX);
    let keys: HashSet<_> = said.sources.iter().map(|source| source.key).collect();
    assert_eq!(keys.len(), said.sources.len(), "a source is there once");
    let agents: HashSet<_> = said.sources.iter().map(|source| &source.agent).collect();
    assert_eq!(
        agents.len(),
        said.sources.len(),
        "agents have different names"
    );
    for source in &said.sources {
        assert!(!source.points.is_empty());
        assert!(source.points.iter().all(|point| point.time_ns > 0));
    }
    let again = read(encoding, body).expect("it was read before");
    assert_eq!(said, again);
}

/// Reads an agent's report. What is read has valid names and possible counts only.
pub fn reports(body: &[u8]) {
    let now = "2026-11-20T09:00:10Z".parse().expect("a time");
    let limits = ReportLimits {
        bucket: Duration::from_secs(60),
        age: Duration::from_secs(3600),
    };
    let Ok(report) = parse(body, |head| ReportBuilder::new(head, limits, now)) else {
        return;
    };
    assert!(report.window.start < report.window.end);
    let operations = report.operations().count();
    assert_eq!(report.names().count(), operations);
    // Every service has an entry for what is folded, and so has the fleet.
    let folded = report.services().count() + 1;
    assert!(operations <= ReportLimits::OPERATIONS + folded);
    for service in report.services() {
        assert!((1..=ReportLimits::INSTANCES).contains(&service.instances));
    }
    for operation in report.operations() {
        assert!(operation.sampled <= operation.offered);
    }
}

/// Reads what a client of X-Ray's protocol has counted.
pub fn xray(body: &[u8]) {
    let Ok(told) = statistics::parse(body) else {
        return;
    };
    assert!(told.statistics.len() + told.unreadable.len() <= STATISTICS_MAX);
    for of in &told.statistics {
        assert!(of.sampled <= of.offered && of.offered <= ReportLimits::COUNT);
        assert!(of.time_ns > 0);
        if let Some(rule) = Rule::named(&of.rule) {
            assert_eq!(rule.name(), of.rule);
        }
    }
}

/// Reads a poll over gRPC: a framed message, which may be compressed.
pub fn poll(body: &[u8]) {
    let Some((encoding, framed)) = body.split_first() else {
        return;
    };
    let mut request = hyper::Request::new(Full::new(Bytes::copy_from_slice(framed)));
    let encoding = ["identity", "gzip", "zstd"][usize::from(encoding % 3)];
    let encoding = encoding.parse().expect("a header");
    request.headers_mut().insert("grpc-encoding", encoding);
    let read = message::read(request, SMALL_REQUEST).now_or_never();
    let Ok(read) = read.expect("the body is there") else {
        return;
    };
    assert!(read.len() <= SMALL_REQUEST);
    if let Ok(asked) = SamplingStrategyParameters::decode(read) {
        let again = SamplingStrategyParameters::decode(&*asked.encode_to_vec());
        assert_eq!(again.expect("it was encoded here"), asked);
    }
}

/// Reads the operators' configuration. What is accepted can be stored, says the same again, and gives a
/// plan.
pub fn configuration(body: &[u8]) {
    part(body);
    let Ok(document) = std::str::from_utf8(body) else {
        return;
    };
    let read = |document: String| {
        Configuration::read(&ConfigurationRevision {
            revision: 1,
            document,
            written_at: "2026-11-20T09:00:10Z".parse().expect("a time"),
            written_by: None,
        })
    };
    let Ok(configuration) = read(document.to_owned()) else {
        return;
    };
    let again = read(configuration.document()).expect("it was accepted before");
    assert_eq!(again, configuration);
    let policy = configuration.policy(1, &Names::default(), Timestamp(0));
    let plan = next_plan(
        &Plan::genesis(&policy),
        &policy,
        Inputs::new(1, &[window()]),
    );
    assert!((0.0..=1.0).contains(&plan.fleet.default_probability));
    assert!(plan.fleet.expected_sampled <= policy.budget * (1.0 + 1e-9));
}

/// Reads the part that a file owns, and who wrote what. A part that is accepted puts nothing into the place of what it
/// does not own; origins that are accepted say the same again.
fn part(body: &[u8]) {
    if let Some(origins) = std::str::from_utf8(body)
        .ok()
        .and_then(|text| Origins::read(text).ok())
    {
        let again = Origins::read(&origins.document()).expect("it was accepted before");
        assert_eq!(again, origins);
    }
    let outline = serde_json::from_slice::<Outline>(body);
    let wanted = serde_json::from_slice::<Configuration>(body);
    let (Ok(outline), Ok(wanted)) = (outline, wanted) else {
        return;
    };
    let Ok(Some(part)) = outline.part(&wanted) else {
        return;
    };
    let held = Configuration::default();
    let next = part.over(&held);
    let changed = held.objects_differing(&next);
    assert!(changed.iter().all(|object| part.owns.has_object(object)));
    assert_eq!(part.over(&next), next, "applied again it changes nothing");
}

/// A minute in which one service was busy with two operations.
fn window() -> WindowCounts {
    let window = Window {
        start: Timestamp(0),
        end: Timestamp(60_000),
    };
    let count = |operation, offered| OperationCount {
        operation: OperationId(operation),
        service: ServiceId(1),
        overflow: false,
        offered,
        sampled: 0,
    };
    WindowCounts {
        window,
        operations: vec![count(1, 60_000), count(2, 1)],
        reports: vec![AgentReport {
            agent: AgentId(1),
            epoch: 1,
            sequence: 1,
            span: window,
            last: false,
            basis: Basis::default(),
        }],
        agents: vec![AgentCount {
            agent: AgentId(1),
            service: Some(ServiceId(1)),
            offered: 60_001,
            sampled: 0,
        }],
        ..WindowCounts::default()
    }
}
