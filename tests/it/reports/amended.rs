//! Entries that are not valid: the rest of their report is counted, and the answer says what
//! became of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;
use weir::store::sqlite::SqliteStore;

use crate::support::agents::Totals;
use crate::support::app::{TestApp, report};
use crate::support::stored::stored_totals;

const OTHER: &str = "__other__";

/// Sends reports of these services, and returns their answers, what was stored, and the metrics.
async fn send(reports: &[Value]) -> (Vec<Value>, Totals, String) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut answers = Vec::new();
    for (sequence, services) in (1..).zip(reports) {
        let mut body = report("node-17", Uuid::nil(), sequence, 0);
        body["services"] = services.clone();
        let (status, answer) = app.report(&body).await;
        assert_eq!(status, 200, "{answer}");
        answers.push(answer);
    }
    let metrics = app.client.get(format!("{}/metrics", app.admin)).send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    app.stop().await;
    let store = SqliteStore::open(&directory.path().join("weir.db")).await;
    (answers, stored_totals(&store.unwrap()).await, metrics)
}

fn operation(
    name: impl Into<Value>,
    offered: impl Into<Value>,
    sampled: impl Into<Value>,
) -> Value {
    json!({ "operation": name.into(), "offered": offered.into(), "sampled": sampled.into() })
}

fn service(name: impl Into<Value>, operations: Vec<Value>) -> Value {
    json!({ "service": name.into(), "instances": 1, "operations": operations })
}

fn totals(expected: &[(&str, &str, u64, u64)]) -> Totals {
    let entry = |&(service, operation, offered, sampled): &(&str, &str, u64, u64)| {
        (
            (service.to_owned(), operation.to_owned()),
            (offered, sampled),
        )
    };
    expected.iter().map(entry).collect()
}

/// The changes that an answer lists, by the field that was changed.
fn changes(answer: &Value, kind: &str) -> BTreeMap<String, String> {
    let first = answer[kind]["first"].as_array();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let changes: BTreeMap<_, _> = first
        .into_iter()
        .flatten()
        .map(|change| (text(&change["field"]), text(&change["reason"])))
        .collect();
    assert_eq!(
        answer[kind]["total"].as_u64().unwrap_or(0),
        changes.len() as u64
    );
    changes
}

fn listed(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected
        .iter()
        .map(|(field, reason)| (field.to_string(), reason.to_string()))
        .collect()
}

#[tokio::test]
async fn a_name_that_is_not_valid_is_counted_in_the_overflow_entry() {
    let services = json!([
        service(
            "checkout",
            vec![
                operation("GET /", 100, 10),
                operation(format!("query {}", "x".repeat(600)), 7, 1),
                operation("a\tb", 5, 0),
                operation("", 3, 0),
                operation(Value::Null, 1, 0),
            ]
        ),
        service(
            "s".repeat(257),
            vec![operation("GET /", 20, 2), operation("", 1, 0)]
        ),
        service("new\nline", vec![operation("GET /", 40, 4)]),
        service("all\u{2003}bad", vec![operation("\u{0}", 9, 9)]),
    ]);
    let (answers, stored, metrics) = send(&[services]).await;
    assert_eq!(answers[0]["result"], "counted");
    let expected = [
        ("services[0].operations[1].operation", "too_long"),
        ("services[0].operations[2].operation", "control_character"),
        ("services[0].operations[3].operation", "empty"),
        ("services[0].operations[4].operation", "empty"),
        ("services[1].service", "too_long"),
        ("services[2].service", "control_character"),
        ("services[3].operations[0].operation", "control_character"),
    ];
    assert_eq!(changes(&answers[0], "folded"), listed(&expected));
    let expected = totals(&[
        ("checkout", "GET /", 100, 10),
        ("checkout", OTHER, 16, 1),
        (OTHER, OTHER, 61, 6),
        ("all\u{2003}bad", OTHER, 9, 9),
    ]);
    assert_eq!(stored, expected);
    for (reason, count) in [("too_long", 2), ("control_character", 3), ("empty", 2)] {
        let series = format!("weir_report_entries_folded_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&series), "{series}");
    }
}

#[tokio::test]
async fn a_number_that_cannot_be_is_clamped_or_its_operation_is_ignored() {
    let services = json!([
        {
            "service": "checkout", "instances": 0, "operations": [
                operation("one above", 12, 13),
                operation("no number", 10, Value::Null),
                operation("absurd", 1_000_000_000_001_u64, 0),
                operation("larger than any integer", 1e30, 0),
                operation("negative", -5, 0),
                operation("a fraction", 1.5, 0),
                operation("a whole fraction", 4.0, 1.0),
                operation("largest", 1_000_000_000_000_u64, 0),
                { "operation": "nothing" },
            ],
        },
    ]);
    let (answers, stored, metrics) = send(&[services]).await;
    let expected = [
        ("services[0].instances", "instances_out_of_range"),
        ("services[0].operations[0].sampled", "sampled_above_offered"),
        ("services[0].operations[1].sampled", "sampled_not_a_count"),
    ];
    assert_eq!(changes(&answers[0], "clamped"), listed(&expected));
    let expected = [
        ("services[0].operations[2].offered", "too_large"),
        ("services[0].operations[3].offered", "too_large"),
        ("services[0].operations[4].offered", "not_a_count"),
        ("services[0].operations[5].offered", "not_a_count"),
        ("services[0].operations[8].offered", "not_a_count"),
    ];
    assert_eq!(changes(&answers[0], "ignored"), listed(&expected));
    let expected = totals(&[
        ("checkout", "one above", 12, 12),
        ("checkout", "no number", 10, 0),
        ("checkout", "a whole fraction", 4, 1),
        ("checkout", "largest", 1_000_000_000_000, 0),
    ]);
    assert_eq!(stored, expected);
    for series in [
        "weir_report_entries_ignored_total{reason=\"too_large\"} 2\n",
        "weir_report_entries_ignored_total{reason=\"not_a_count\"} 3\n",
        "weir_report_entries_clamped_total{reason=\"sampled_above_offered\"} 1\n",
    ] {
        assert!(metrics.contains(series), "{series}");
    }
}

#[tokio::test]
async fn entries_of_one_name_add_up() {
    let services = json!([
        service(
            "checkout",
            vec![operation("GET /", 1, 1), operation("GET /", 2, 0)]
        ),
        service(
            "checkout",
            vec![operation("GET /", 4, 0), operation("POST /", 8, 0)]
        ),
        service(
            "checkout",
            vec![operation(OTHER, 16, 0), operation("\t", 32, 0)]
        ),
    ]);
    let (answers, stored, _) = send(&[services]).await;
    assert_eq!(changes(&answers[0], "folded").len(), 1);
    let expected = totals(&[
        ("checkout", "GET /", 7, 1),
        ("checkout", "POST /", 8, 0),
        ("checkout", OTHER, 48, 0),
    ]);
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_report_of_too_many_operations_is_counted_whole() {
    let names = |from: usize, to: usize| (from..to).map(|name| operation(format!("{name}"), 1, 0));
    let services = json!([
        service("first", names(0, 15_000).collect()),
        service("second", names(0, 10_000).collect()),
    ]);
    let (answers, stored, _) = send(&[services]).await;
    assert_eq!(answers[0]["folded"]["total"], 5_000);
    assert_eq!(
        answers[0]["folded"]["first"].as_array().unwrap().len(),
        20,
        "the answer is short"
    );
    let first = json!({ "field": "services[1].operations[5000].operation", "reason": "too_many" });
    assert_eq!(answers[0]["folded"]["first"][0], first);
    let of = |service: &str| -> u64 {
        let counts = stored.iter().filter(|((name, _), _)| name == service);
        counts.map(|(_, (offered, _))| offered).sum()
    };
    assert_eq!((of("first"), of("second")), (15_000, 10_000));
}

#[tokio::test]
async fn what_a_newer_agent_adds_is_ignored_and_a_duplicate_is_told_the_same() {
    let mut services = json!([service(
        "checkout",
        vec![operation("GET /", 1, 0), operation("", 1, 0)]
    )]);
    services[0]["region"] = "north".into();
    services[0]["operations"][0]["errors"] = 1.into();
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut body = report("node-17", Uuid::nil(), 1, 0);
    body["services"] = services;
    body["version"] = 2.into();
    for result in ["counted", "duplicate"] {
        let (status, answer) = app.report(&body).await;
        assert_eq!((status, &answer["result"]), (200, &json!(result)));
        assert_eq!(answer["folded"]["total"], 1);
    }
    let (_, answer) = app.report(&report("node-17", Uuid::nil(), 2, 1)).await;
    assert_eq!(
        answer,
        json!({ "result": "counted" }),
        "nothing is told where nothing was changed"
    );
    app.stop().await;
}

/// What an application or a broken encoder may put where a number belongs.
fn any_number() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "null",
        "true",
        "[]",
        "{}",
        "[[{\"a\":[]}]]",
        "\"1\"",
        "-1",
        "-0.0",
        "1.5",
        "12.0",
        "1e3",
        "1e308",
        "4.9e-324",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1000000000001",
        "99999999999999999999999999999999999999",
    ];
    prop_oneof![
        prop::sample::select(ODD).prop_map(str::to_owned),
        prop::num::f64::NORMAL.prop_map(|number| json!(number).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
    ]
}

/// What an application may name itself or a span, as an encoder may write it.
fn any_name() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "null",
        "\"\"",
        "\"a\\u0000b\"",
        "\"\\ud800\"",
        "\"\\u202e\"",
        "\"\u{feff}\"",
        "\"\t\"",
    ];
    prop_oneof![
        prop::sample::select(ODD).prop_map(str::to_owned),
        any::<String>().prop_map(|text| json!(text).to_string()),
        (500..520usize).prop_map(|length| json!("é".repeat(length / 2)).to_string()),
    ]
}

#[test]
fn whatever_an_entry_holds_the_other_entries_are_counted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let app = runtime.block_on(TestApp::start(directory.path(), &[]));
    let entries = (
        any_name(),
        any_number(),
        any_name(),
        any_number(),
        any_number(),
    );
    let sequences = std::cell::Cell::new(0);
    TestRunner::default()
        .run(&entries, |(service, instances, name, offered, sampled)| {
            let sequence = sequences.get() + 1;
            sequences.set(sequence);
            let mut body = report("node-17", Uuid::nil(), sequence, 1);
            body["services"][0]["service"] = "steady".into();
            body["services"]
                .as_array_mut()
                .unwrap()
                .push("ENTRY".into());
            let entry = format!(
                r#"{{"service":{service},"instances":{instances},"operations":[
                {{"operation":{name},"offered":{offered},"sampled":{sampled}}}]}}"#
            );
            let body = body.to_string().replace("\"ENTRY\"", &entry);
            let (status, answer) = runtime.block_on(async {
                let request = app.client.post(format!("{}/v1/reports", app.sdk));
                let request = request.header("Content-Type", "application/json");
                let response = request.body(body).send().await.unwrap();
                (response.status(), response.text().await.unwrap())
            });
            prop_assert_eq!(status, 200, "{}", answer);
            Ok(())
        })
        .unwrap();
    runtime.block_on(app.stop());
    let stored = runtime.block_on(async {
        let store = SqliteStore::open(&directory.path().join("weir.db"))
            .await
            .unwrap();
        stored_totals(&store).await
    });
    let sequence = sequences.get();
    let steady = stored[&("steady".to_owned(), "POST /cart".to_owned())];
    assert_eq!(steady.0, sequence);
    let most = stored.values().map(|total| total.0).max().unwrap();
    assert!(
        most <= sequence * 1_000_000_000_000,
        "no absurd count is taken"
    );
    assert!(stored.values().all(|total| total.1 <= total.0));
}
