//! `POST /v1/reports`: what is taken, what is refused, and how it says so.

mod amended;

use std::io::Write;

use chrono::SubsecRound;
use serde_json::{Value, json};
use uuid::Uuid;
use weir::allocation::{AgentCount, AgentName, AgentReport, Timestamp, Window};
use weir::names::agent_id;
use weir::store::sqlite::SqliteStore;

use crate::support::app::{TestApp, report};
use crate::support::client::{now, rfc3339};
use crate::support::stored::ReadWhole;

async fn start() -> (TestApp, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (TestApp::start(directory.path(), &[]).await, directory)
}

async fn send(app: &TestApp, kind: &str, encoding: &str, body: Vec<u8>) -> (u16, Value, String) {
    let response = app
        .client
        .post(format!("{}/v1/reports", app.sdk))
        .header("Content-Type", kind)
        .header("Content-Encoding", encoding)
        .body(body)
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (
        response.status().as_u16(),
        response.json().await.unwrap(),
        kind,
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What plans need to know of agents: which report it was, the time it covers, and what it counted.
#[tokio::test]
async fn what_a_report_says_of_its_agent_is_stored() {
    let (app, directory) = start().await;
    let epoch = Uuid::from_u128(0x0102_0304 << 96);
    let mut late = report("node-17", epoch, 42, 1200);
    let start = now().trunc_subsecs(3) - chrono::TimeDelta::seconds(30);
    late["window_start"] = json!(rfc3339(start));
    late["window_seconds"] = json!(2.5);
    late["last"] = json!(true);
    late["services"][0]["operations"][0]["sampled"] = json!(12);
    assert_eq!(app.report(&late).await.0, 200);
    app.stop().await;
    let store = SqliteStore::open(&directory.path().join("weir.db")).await;
    let everything = Timestamp(i64::MIN)..Timestamp(i64::MAX);
    let deltas = store.unwrap().read_deltas(everything).await.unwrap();
    let sent = AgentReport {
        agent: agent_id(&AgentName::parse("node-17").unwrap()),
        epoch: 0x0102_0304,
        sequence: 42,
        span: Window {
            start: Timestamp(start.timestamp_millis()),
            end: Timestamp(start.timestamp_millis() + 2500),
        },
        last: true,
        basis: Default::default(),
    };
    let (noted, counted): (Vec<_>, Vec<_>) =
        deltas.iter().partition(|delta| !delta.late.is_empty());
    assert!((3..=4).contains(&counted.len()), "{counted:?}");
    for delta in &counted {
        assert_eq!(delta.reports, [sent]);
        assert!(delta.bucket.overlap_milliseconds(sent.span) > 0);
    }
    let agents = counted.iter().flat_map(|delta| &delta.agents);
    let sum = |counts: (u64, u64), of: &AgentCount| (counts.0 + of.offered, counts.1 + of.sampled);
    assert_eq!(agents.clone().fold((0, 0), sum), (1200, 12));
    let mut services: Vec<_> = agents.map(|of| (of.agent, of.service)).collect();
    services.dedup();
    assert_eq!(services.len(), 1);
    assert!(services[0].0 == sent.agent && services[0].1.is_some());
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(
        (&noted[0].late[..], &noted[0].operations[..]),
        (&[sent][..], &[][..])
    );
    assert!(noted[0].bucket.start.0 >= sent.span.end.0 + 1000);
}

#[tokio::test]
async fn a_report_is_counted_once_however_often_it_is_sent() {
    let (app, _directory) = start().await;
    let epoch = Uuid::new_v4();
    let first = report("node-17", epoch, 42, 1200);
    assert_eq!(
        app.report(&first).await,
        (200, json!({ "result": "counted" }))
    );
    assert_eq!(
        app.report(&first).await,
        (200, json!({ "result": "duplicate" }))
    );
    let second = report("node-17", epoch, 43, 7);
    assert_eq!(app.report(&second).await.1["result"], "counted");
    let late = report("node-17", epoch, 41, 7);
    assert_eq!(
        app.report(&late).await.1["result"],
        "counted",
        "out of order is not lost"
    );
    let restarted = report("node-17", Uuid::new_v4(), 42, 1200);
    assert_eq!(
        app.report(&restarted).await.1["result"],
        "counted",
        "a new epoch counts anew"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_sequence_too_far_behind_is_a_conflict() {
    let (app, _directory) = start().await;
    let epoch = Uuid::new_v4();
    app.report(&report("a", epoch, 1000, 1)).await;
    let (status, problem) = app.report(&report("a", epoch, 100, 1)).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("urn:weir:problem:conflict"))
    );
    app.stop().await;
}

#[tokio::test]
async fn compressed_reports_are_taken() {
    let (app, _directory) = start().await;
    let plain = |sequence| serde_json::to_vec(&report("a", Uuid::nil(), sequence, 1)).unwrap();
    let zstd = zstd::encode_all(&plain(2)[..], 3).unwrap();
    let json = "application/json";
    for (encoding, body) in [
        ("gzip", gzip(&plain(1))),
        ("zstd", zstd),
        ("identity", plain(3)),
    ] {
        let (status, answer, _) = send(&app, json, encoding, body).await;
        assert_eq!(
            (status, &answer["result"]),
            (200, &json!("counted")),
            "{encoding}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn whatever_cannot_be_read_is_a_problem_document() {
    let (app, _directory) = start().await;
    let fine = serde_json::to_vec(&report("a", Uuid::nil(), 1, 1)).unwrap();
    let json = "application/json";
    let bomb = vec![b' '; 64 << 20];
    let zstd_bomb = zstd::encode_all(&bomb[..], 3).unwrap();
    let cases = [
        (400, json, "identity", b"{\"agent\":".to_vec()),
        (400, json, "identity", Vec::new()),
        (400, json, "gzip", fine.clone()),
        (400, json, "zstd", fine.clone()),
        (413, json, "gzip", gzip(&bomb)),
        (413, json, "zstd", zstd_bomb),
        (413, json, "identity", vec![b' '; 5 << 20]),
        (415, "text/plain", "identity", fine.clone()),
        (415, json, "br", fine),
    ];
    for (expected, kind, encoding, body) in cases {
        let (status, problem, answered) = send(&app, kind, encoding, body).await;
        assert_eq!(status, expected, "{problem}");
        assert_eq!(answered, "application/problem+json");
        assert_eq!(problem["status"], expected);
        for key in ["type", "title", "detail"] {
            assert!(problem[key].is_string(), "{problem}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_head_is_named_and_nothing_of_its_report_is_stored() {
    let (app, _directory) = start().await;
    let mut body = report("a", Uuid::nil(), 1, 5);
    body["window_seconds"] = 301.into();
    let (status, problem) = app.report(&body).await;
    assert_eq!(status, 422);
    assert_eq!(problem["field"], "window_seconds");
    let again = app.report(&report("a", Uuid::nil(), 1, 5)).await;
    assert_eq!(
        again.1["result"], "counted",
        "the refused report left no mark"
    );
    app.stop().await;
}

#[tokio::test]
async fn strange_paths_and_methods_are_problem_documents_too() {
    let (app, _directory) = start().await;
    let (status, problem) = app.get(format!("{}/v1/nothing", app.sdk)).await;
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:weir:problem:not-found"))
    );
    let (status, problem) = app.get(format!("{}/v1/reports", app.sdk)).await;
    assert_eq!(
        (status, &problem["type"]),
        (405, &json!("urn:weir:problem:method-not-allowed"))
    );
    app.stop().await;
}
