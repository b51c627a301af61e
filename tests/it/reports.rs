//! `POST /v1/reports`: what is taken, what is refused, and how it says so.

mod amended;

use std::io::Write;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, report};

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
