//! The whole configuration, through the front door: groups, services and operations, the effect of
//! each change, and the way back.

mod documents;
mod writers;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const WHOLE: &str = "/v1/configuration";

/// Two services; one has two operations with the same traffic.
const RATES: &[(&str, &[(&str, f64)])] = &[
    ("shop", &[("GET /", 1000.0), ("POST /buy", 1000.0)]),
    ("nightly", &[("sweep", 500.0)]),
];

/// An answer's status, `ETag` and body.
struct Answer {
    status: u16,
    tag: Option<String>,
    body: Value,
}

impl Answer {
    /// The revision in the tag.
    fn revision(&self) -> Option<&str> {
        let (revision, _) = self.tag.as_deref()?.trim_matches('"').split_once('-')?;
        Some(revision)
    }
}

async fn put(app: &TestApp, condition: &str, body: &Value) -> Answer {
    let request = app.client.put(format!("{}{WHOLE}", app.admin));
    sent(request.header("If-Match", condition).json(body)).await
}

/// Puts the document if this revision is the newest.
async fn put_after(app: &TestApp, revision: u64, body: &Value) -> Answer {
    let path = format!("{WHOLE}/revisions/{revision}");
    let tag = get(app, &path).await.tag.expect("a tag");
    put(app, &tag, body).await
}

async fn get(app: &TestApp, path: &str) -> Answer {
    sent(app.client.get(format!("{}{path}", app.admin))).await
}

async fn preview(app: &TestApp, body: &Value) -> Value {
    let request = app.client.post(format!("{}{WHOLE}/preview", app.admin));
    let answer = sent(request.json(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn sent(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let tag = response.headers().get("etag");
    Answer {
        status: response.status().as_u16(),
        tag: tag.map(|tag| tag.to_str().expect("ASCII").to_owned()),
        body: response.json().await.expect("JSON"),
    }
}

/// Reports until a plan meets a condition.
async fn reporting<T>(
    app: &TestApp,
    agent: &mut Agent,
    what: &str,
    mut seen: impl AsyncFnMut() -> Option<T>,
) -> T {
    eventually(DEADLINE, what, async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        seen().await
    })
    .await
}

/// The plan after it has settled on a revision of the configuration.
async fn settled(app: &TestApp, agent: &mut Agent, revision: u64, sampled: f64) -> Value {
    let what = format!("a plan of revision {revision} that keeps {sampled}");
    reporting(app, agent, &what, async || {
        let plan = app.plan().await?;
        let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
        let close = (expected / sampled - 1.0).abs() < 0.03;
        (close && plan["configuration_revision"] == revision).then_some(plan)
    })
    .await
}

/// The probability of a service's operation.
async fn served(app: &TestApp, service: &str, operation: &str) -> f64 {
    let body = app.poll(service).await;
    let listed = body["operationSampling"]["perOperationStrategies"].clone();
    let listed = listed.as_array().expect("a list").clone();
    let found = listed.iter().find(|of| of["operation"] == operation);
    let found = found.expect("is listed");
    found["probabilisticSampling"]["samplingRate"]
        .as_f64()
        .expect("a number")
}

async fn reason(app: &TestApp, service: &str, operation: &str) -> Value {
    let path = format!("/v1/services/{service}/operations");
    let (_, page) = app.admin_get(&path).await;
    let listed = page["operations"].as_array().expect("a list").clone();
    let found = listed.into_iter().find(|of| of["operation"] == operation);
    found.expect("is listed")["reason"].clone()
}

#[tokio::test]
async fn a_groups_cap_and_an_override_are_served_and_go_with_their_removal() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    // Nobody has reported any of these names yet.
    let steered = json!({
        "budget": { "traces_per_second": 60 },
        "groups": { "batch": { "cap_traces_per_second": 5 } },
        "services": {
            "nightly": { "group": "batch" },
            "shop": { "operations": { "POST /buy": { "weight": 4 } } },
            "ghost": { "operations": { "GET /": { "probability": 1 } } },
        },
    });
    let written = put_after(&app, 1, &steered).await;
    assert_eq!((written.status, written.revision()), (200, Some("2")));
    let plan = settled(&app, &mut agent, 2, 60.0).await;
    let group = &plan["groups"][0];
    assert_eq!(
        (&group["group"], &group["cap_traces_per_second"]),
        (&json!("batch"), &json!(5.0))
    );
    let shares = async || {
        let [sweep, get, buy] = [
            ("nightly", "sweep"),
            ("shop", "GET /"),
            ("shop", "POST /buy"),
        ];
        [
            500.0 * served(&app, sweep.0, sweep.1).await,
            1000.0 * served(&app, get.0, get.1).await,
            1000.0 * served(&app, buy.0, buy.1).await,
        ]
    };
    let near = |shares: [f64; 3], wanted: [f64; 3]| {
        let mut pairs = shares.iter().zip(wanted);
        pairs.all(|(share, wanted)| (share / wanted - 1.0).abs() < 0.1)
    };
    reporting(&app, &mut agent, "shares 5, 11 and 44", async || {
        near(shares().await, [5.0, 11.0, 44.0]).then_some(())
    })
    .await;
    let why = reason(&app, "nightly", "sweep").await;
    assert_eq!(why["source"], "group", "{why}");
    assert!(why["explanation"].as_str().unwrap().len() > 20, "{why}");
    assert_eq!(reason(&app, "shop", "POST /buy").await["weight"], 4.0);
    let (_, services) = app.admin_get("/v1/services").await;
    assert_eq!(services["services"][0]["group"], "batch");
    assert_eq!(services["services"][1]["group"], Value::Null);

    let scrape = Scrape::of(&app).await;
    let told = |metric: &str, group: &str| {
        scrape.value(&format!(
            "weir_group_{metric}_traces_per_second{{group=\"{group}\"}}"
        ))
    };
    assert_eq!((told("cap", "batch"), told("cap", "none")), (5.0, 60.0));
    assert!((told("sampled", "batch") - 5.0).abs() < 0.25);
    assert!((told("sampled", "none") - 55.0).abs() < 2.75);
    assert_eq!(
        (told("floor", "batch"), told("missing", "batch")),
        (0.0, 0.0)
    );

    // As before the change: all share equally.
    let first = get(&app, "/v1/configuration/revisions/1").await.body;
    let mut back = first.clone();
    back["budget"]["traces_per_second"] = json!(60);
    assert_eq!(put_after(&app, 2, &back).await.status, 200);
    settled(&app, &mut agent, 3, 60.0).await;
    reporting(&app, &mut agent, "equal shares", async || {
        near(shares().await, [20.0, 20.0, 20.0]).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn who_has_not_seen_the_newest_changes_nothing_and_every_revision_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let shown = get(&app, WHOLE).await;
    assert_eq!(shown.revision(), Some("1"));
    assert_eq!(shown.body["budget"]["traces_per_second"], 10.0);
    // A document that is shown can be put back unchanged, and is the same revision then.
    let written = put_after(&app, 1, &shown.body).await;
    assert_eq!((written.status, &written.body), (200, &shown.body));
    assert_eq!(written.revision(), Some("1"));
    let mut other = shown.body.clone();
    other["budget"]["traces_per_second"] = json!(11);
    assert_eq!(put_after(&app, 1, &other).await.revision(), Some("2"));
    let grouped = json!({ "groups": { "batch": {} }, "services": { "a": { "group": "batch" } } });
    assert_eq!(put_after(&app, 1, &grouped).await.status, 412);
    assert_eq!(put(&app, "*", &grouped).await.status, 200);
    // The budget is a part of the same document.
    app.set_budget(77.0).await;
    let newest = get(&app, WHOLE).await;
    assert_eq!(newest.revision(), Some("4"));
    assert_eq!(newest.body["budget"]["traces_per_second"], 77.0);
    assert_eq!(newest.body["services"], grouped["services"]);
    app.stop().await;

    let app = TestApp::start(directory.path(), &[]).await;
    assert_eq!(get(&app, WHOLE).await.body, newest.body);
    let revisions = get(&app, "/v1/configuration/revisions").await.body;
    let numbers = revisions["revisions"].as_array().unwrap().iter();
    let numbers: Vec<u64> = numbers.map(|of| of["revision"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let third = get(&app, "/v1/configuration/revisions/3").await;
    assert_eq!(third.body["budget"]["traces_per_second"], 10.0);
    let mut written = put_after(&app, 4, &third.body).await.body;
    let warnings = written.as_object_mut().unwrap().remove("warnings");
    assert_eq!(written, third.body);
    let unknown = warnings.expect("nobody has reported a");
    assert!(
        unknown["services.a"]
            .as_str()
            .unwrap()
            .contains("no service"),
        "{unknown}"
    );
    let request = app.client.post(format!("{}{WHOLE}/rollback", app.admin));
    let request = request
        .header("If-Match", "*")
        .json(&json!({ "revision": 4 }));
    let back = sent(request).await;
    assert_eq!((back.status, back.revision()), (200, Some("6")));
    assert_eq!(back.body, newest.body);
    app.stop().await;
}

#[tokio::test]
async fn a_preview_changes_nothing_and_says_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    app.set_budget(50.0).await;
    settled(&app, &mut agent, 2, 50.0).await;
    let wanted = json!({
        "budget": { "traces_per_second": 90 },
        "groups": { "batch": { "cap_traces_per_second": 4 } },
        "services": {
            "nightly": { "group": "batch" },
            "shop": { "operations": { "GET /": { "probability": 0.02 },
                "POST /buy": { "probability_max": 0.03 } } },
        },
    });
    let said = preview(&app, &wanted).await;
    let change = |of: &Value| {
        (
            of["before"].as_f64().unwrap(),
            of["after"].as_f64().unwrap(),
        )
    };
    assert_eq!(change(&said["budget_traces_per_second"]), (50.0, 90.0));
    let predicted = change(&said["expected_sampled_traces_per_second"]).1;
    assert!((predicted / 54.0 - 1.0).abs() < 0.1, "20 + 30 + 4: {said}");
    assert_eq!(said["operations_changed"], 3, "{said}");
    assert_eq!(said["groups"][0]["group"], "batch");
    let largest = &said["services"][0];
    assert_eq!(said["services"].as_array().unwrap().len(), 2, "{said}");
    assert!(change(&largest["share_traces_per_second"]).1 > 0.0);
    for operation in said["operations"].as_array().unwrap() {
        let binding = match operation["operation"].as_str().unwrap() {
            "GET /" => "pin",
            "POST /buy" => "cap",
            _ => "level",
        };
        assert_eq!(operation["reason"]["binding"], binding, "{operation}");
    }
    let short = json!({
        "budget": { "traces_per_second": 10 },
        "services": { "shop": { "operations": {
            "GET /": { "floor_traces_per_second": 9, "priority": 9 },
            "POST /buy": { "floor_traces_per_second": 9, "priority": 1 },
        } } },
    });
    let short = preview(&app, &short).await;
    assert_eq!(change(&short["missing_traces_per_second"]).1, 8.0);
    let by_priority = short["missing_by_priority"].as_array().unwrap();
    assert_eq!(
        (by_priority.len(), &by_priority[0]["priority"]),
        (1, &json!(1))
    );

    let newest = get(&app, WHOLE).await;
    assert_eq!(newest.revision(), Some("2"), "nothing was written");
    assert_eq!(newest.body["budget"]["traces_per_second"], 50.0);
    let applied = async |body: &Value| {
        let id = said["id"].as_str().unwrap();
        let request = app.client.put(format!("{}{WHOLE}?preview={id}", app.admin));
        sent(request.header("If-Match", "*").json(body))
            .await
            .status
    };
    assert_eq!(
        applied(&json!({})).await,
        412,
        "another document was previewed"
    );
    assert_eq!(applied(&wanted).await, 200);
    assert_eq!(
        applied(&wanted).await,
        412,
        "the configuration has moved on"
    );
    let plan = settled(&app, &mut agent, 3, predicted).await;
    let realised = plan["expected_sampled_traces_per_second"].as_f64().unwrap();
    assert!((realised / predicted - 1.0).abs() < 0.03);
    app.stop().await;
}
