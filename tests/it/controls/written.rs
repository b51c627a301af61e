//! What is written, and what is refused: budgets in other units, wrong values, replicas of the release before.

use serde_json::{Value, json};
use weir::store::sqlite::SqliteStore;
use weir::store::{Store, WriteFormat};

use super::{RATES, asked, figure, operations, put, reporting, sent};
use crate::support::app::{Agent, TestApp};

#[tokio::test]
async fn a_budget_may_be_stated_in_spans_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let budget = async |body: Value| {
        let request = app.client.put(format!("{}/v1/budget", app.admin));
        sent(request.header("If-Match", "*").json(&body)).await
    };
    let (status, refused) = budget(json!({ "spans_per_second": 500 })).await;
    assert_eq!(status, 422, "{refused}");
    assert_eq!(refused["field"], "cost.spans_per_trace");
    let (status, refused) = budget(json!({ "spans_per_second": 5, "traces_per_second": 5 })).await;
    assert_eq!(status, 422, "{refused}");
    let (_, mut document) = app.admin_get("/v1/configuration").await;
    document["budget"] = json!({ "spans_per_second": 1000 });
    document["cost"] = json!({ "spans_per_trace": 10, "bytes_per_span": 500 });
    let request = app.client.put(format!("{}/v1/configuration", app.admin));
    let (status, written) = sent(request.header("If-Match", "*").json(&document)).await;
    assert_eq!(status, 200, "{written}");
    let (_, shown) = app.admin_get("/v1/budget").await;
    assert_eq!(figure(&shown, "traces_per_second"), 100.0);
    assert_eq!(figure(&shown, "spans_per_second"), 1000.0);
    assert!((figure(&shown, "traces_per_month") / 262.98e6 - 1.0).abs() < 1e-6);
    reporting(
        &app,
        &mut agent,
        RATES,
        "the budget is shared",
        async || {
            let all = operations(&app).await?;
            let shared = all
                .iter()
                .all(|of| (figure(of, "share_traces_per_second") / 50.0 - 1.0).abs() < 0.08);
            (all.len() == 2 && shared).then_some(())
        },
    )
    .await;
    // The traces of the only service have twice as many spans, so half as many fit.
    document["services"] = json!({ "checkout": { "cost": { "spans_per_trace": 20 } } });
    let request = app.client.put(format!("{}/v1/configuration", app.admin));
    let (status, written) = sent(request.header("If-Match", "*").json(&document)).await;
    assert_eq!(status, 200, "{written}");
    reporting(&app, &mut agent, RATES, "half as many fit", async || {
        let plan = app.plan().await?;
        ((figure(&plan, "budget_traces_per_second") - 50.0).abs() < 1e-6).then_some(())
    })
    .await;
    let (status, shown) = budget(json!({ "gigabytes_per_month": 2629.8 })).await;
    assert_eq!(status, 200, "{shown}");
    assert!(
        (figure(&shown, "traces_per_second") - 100.0).abs() < 1e-6,
        "{shown}"
    );
    app.stop().await;
}

#[tokio::test]
async fn what_the_release_before_cannot_read_waits_for_the_end_of_the_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let store = SqliteStore::open(&directory.path().join("weir.db"))
        .await
        .unwrap();
    store.set_write_format(WriteFormat::Previous).await.unwrap();
    let emergency = asked(json!({ "factor": 0.1 }));
    for (path, body) in [
        ("/v1/freeze", asked(json!({}))),
        ("/v1/emergency", emergency),
        ("/v1/mode", json!({ "mode": "observe" })),
    ] {
        let (status, refused) = put(&app, path, &body).await;
        assert_eq!(status, 409, "{path} {refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("--write-format newest"), "{detail}");
    }
    assert_eq!(
        put(&app, "/v1/mode", &json!({ "mode": "enforce" })).await.0,
        200
    );
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for (path, body, field) in [
        (
            "/v1/freeze",
            json!({ "reason": "x", "made-up": 1 }),
            "made-up",
        ),
        (
            "/v1/freeze",
            json!({ "owner": " ", "reason": "x" }),
            "owner",
        ),
        (
            "/v1/freeze",
            asked(json!({ "for_seconds": 0 })),
            "for_seconds",
        ),
        (
            "/v1/freeze",
            asked(json!({ "for_seconds": 5, "expires": "never" })),
            "for_seconds",
        ),
        ("/v1/emergency", asked(json!({ "factor": 1.5 })), "factor"),
        (
            "/v1/emergency",
            asked(json!({ "factor": 0.5, "expires": "2020-01-01T00:00:00Z" })),
            "expires",
        ),
        (
            "/v1/emergency",
            asked(json!({ "factor": 0.5, "expires": "never" })),
            "expires",
        ),
        ("/v1/mode", json!({ "mode": "off" }), "mode"),
    ] {
        let (status, refused) = put(&app, path, &body).await;
        assert_eq!(
            (status, &refused["field"]),
            (422, &json!(field)),
            "{refused}"
        );
    }
    app.stop().await;
}
