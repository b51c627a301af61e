//! X-Ray's centralised sampling: clients ask for rules, tell what their samplers counted, and follow.

mod tagged;

use std::time::Duration;

use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use crate::support::app::{TestApp, config};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const SERVICE: &str = "check out/ü";
const IN_PATH: &str = "check%20out%2F%C3%BC";

async fn start(folder: &tempfile::TempDir, flags: &[&str]) -> TestApp {
    let own = ["--xray-listen", "127.0.0.1:0", "--grace", "500ms"];
    TestApp::start(folder.path(), &[&own, flags].concat()).await
}

/// A client of one service, which says its service in the path.
struct Client<'a> {
    app: &'a TestApp,
    id: &'static str,
    base: &'static str,
}

impl<'a> Client<'a> {
    fn new(app: &'a TestApp, id: &'static str) -> Self {
        let base = IN_PATH;
        Self { app, id, base }
    }

    fn url(&self, call: &str) -> String {
        let listener = self.app.xray();
        match self.base {
            "" => format!("{listener}/{call}"),
            service => format!("{listener}/s/{service}/{call}"),
        }
    }

    async fn rules(&self) -> String {
        let asked = self.app.client.post(self.url("GetSamplingRules"));
        let answer = asked.body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    /// Tells counts by rule, and returns the answer.
    async fn tell(&self, at: f64, counts: &[(&str, u64, u64)]) -> Value {
        let documents: Vec<Value> = counts
            .iter()
            .map(|(rule, offered, sampled)| {
                json!({ "ClientID": self.id, "RuleName": rule, "Timestamp": at,
                    "RequestCount": offered, "SampledCount": sampled, "BorrowCount": 0 })
            })
            .collect();
        let body = json!({ "SamplingStatisticsDocuments": documents,
            "SamplingBoostStatisticsDocuments": [] });
        let (status, answer) = self.send(&body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn send(&self, body: &str) -> (u16, Value) {
        let asked = self.app.client.post(self.url("SamplingTargets"));
        let answer = asked.body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }
}

fn rule(method: &str) -> String {
    format!("{SERVICE}:{method}")
}

fn now() -> f64 {
    SystemClock.timestamp().0 as f64 / 1000.0
}

/// The rate in an answer.
fn rate(answer: &Value, rule: &str) -> f64 {
    let targets = answer["SamplingTargetDocuments"].as_array().unwrap();
    let found = targets.iter().find(|target| target["RuleName"] == rule);
    found.unwrap_or_else(|| panic!("{rule} is not in {answer}"))["FixedRate"]
        .as_f64()
        .unwrap()
}

/// What the service offered and sampled in all windows, by operation.
async fn counted(app: &TestApp, operation: &str) -> (u64, u64) {
    let operation = operation.replace('*', "%2A");
    let path = format!("/v1/services/{IN_PATH}/history?operation={operation}");
    let (status, history) = app.admin_get(&path).await;
    if status == 404 {
        return (0, 0);
    }
    assert_eq!(status, 200, "{history}");
    let sum = |field: &str| {
        let points = history["points"].as_array().unwrap();
        points
            .iter()
            .filter_map(|point| point[field].as_u64())
            .sum()
    };
    (sum("offered"), sum("sampled"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_counted_and_follow_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    app.set_budget(10.0).await;
    let client = Client::new(&app, "0123456789abcdef01234567");
    let first = client.rules().await;
    let (get, post, rest) = (rule("GET"), rule("POST"), rule("*"));
    let mut told = (0, 0);
    eventually(DEADLINE, "the rates of a plan", async || {
        let sampled = told.0 % 3;
        let counts = [(&*get, 40, sampled), (&*post, 4, 0), (&*rest, 0, 0)];
        let answer = client.tell(now(), &counts).await;
        told = (told.0 + 40, told.1 + sampled);
        assert_eq!(answer["UnprocessedStatistics"], json!([]));
        let [often, seldom] = [&get, &post].map(|rule| rate(&answer, rule));
        assert!(0.0 < rate(&answer, &rest) && rate(&answer, &rest) < 1.0);
        (0.0 < often && seldom > 2.0 * often).then_some(())
    })
    .await;
    eventually(DEADLINE, "all that was told is in history", async || {
        (counted(&app, "GET").await == told).then_some(())
    })
    .await;
    assert_eq!(client.rules().await, first, "not a byte may change");
    let calls = Scrape::of(&app).await;
    let answered = "weir_xray_calls_total{call=\"rules\",outcome=\"answered\"}";
    assert_eq!(calls.value(answered), 2.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let (one, other) = (Client::new(&app, "one"), Client::new(&app, "other"));
    let (get, at) = (rule("GET"), now());
    for client in [&one, &other, &one] {
        client.tell(at, &[(&get, 100, 7)]).await;
    }
    one.tell(at + 1.0, &[(&get, 50, 3)]).await;
    eventually(DEADLINE, "each once", async || {
        (counted(&app, "GET").await == (250, 17)).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_path_have_a_rule_of_each_service() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let known = Client::new(&app, "one");
    let stranger = Client {
        base: "",
        ..Client::new(&app, "two")
    };
    let names = |rules: &str| -> Vec<(String, String)> {
        let rules: Value = serde_json::from_str(rules).unwrap();
        assert_eq!(rules["NextToken"], Value::Null);
        let records = rules["SamplingRuleRecords"].as_array().unwrap();
        let of = |record: &Value| {
            let text = |field: &str| record["SamplingRule"][field].as_str().unwrap().to_owned();
            (text("RuleName"), text("ServiceName"))
        };
        records.iter().map(of).collect()
    };
    let everything = ("Default".to_owned(), "*".to_owned());
    assert_eq!(
        names(&stranger.rules().await),
        std::slice::from_ref(&everything)
    );
    let rest = rule("*");
    eventually(DEADLINE, "a rule of the service", async || {
        known.tell(now(), &[(&rest, 10, 1)]).await;
        let rules = names(&stranger.rules().await);
        let expected = [(rest.clone(), SERVICE.to_owned()), everything.clone()];
        (rules == expected).then_some(())
    })
    .await;
    let answer = stranger
        .tell(now(), &[(&rest, 30, 2), ("Default", 5, 0)])
        .await;
    assert_eq!(answer["UnprocessedStatistics"], json!([]));
    let (mine, others) = (rate(&answer, &rest), rate(&answer, "Default"));
    assert!(0.0 < mine && mine <= 1.0 && 0.0 < others && others < 1.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_have_every_field_that_clients_need() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let rules: Value = serde_json::from_str(&Client::new(&app, "one").rules().await).unwrap();
    let record = &rules["SamplingRuleRecords"][0];
    let expected = json!({
        "CreatedAt": 1.7e9, "ModifiedAt": 1.7e9,
        "SamplingRule": {
            "RuleName": rule("GET"),
            "RuleARN": format!("arn:aws:xray:us-east-1:000000000000:sampling-rule/{}", rule("GET")),
            "ResourceARN": "*", "Priority": 100, "FixedRate": 0.001, "ReservoirSize": 0,
            "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "GET",
            "URLPath": "*", "Version": 1, "Attributes": {},
        },
    });
    assert_eq!(record, &expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder, &[]).await;
    let client = Client::new(&app, "one");
    let get = rule("GET");
    let wrong = [("another:GET", 5, 0), ("nonsense", 5, 0), ("Default", 5, 0)];
    let answer = client
        .tell(now(), &[&[(&*get, 9, 1)], &wrong[..]].concat())
        .await;
    let unprocessed = answer["UnprocessedStatistics"].as_array().unwrap();
    assert_eq!(unprocessed.len(), wrong.len(), "{answer}");
    for (of, (name, ..)) in unprocessed.iter().zip(wrong) {
        assert_eq!(of["RuleName"], name);
        assert_eq!(of["ErrorCode"], "400");
    }
    assert!(rate(&answer, &get) > 0.0);
    eventually(DEADLINE, "the right one is counted", async || {
        (counted(&app, "GET").await == (9, 1)).then_some(())
    })
    .await;
    let long = format!(
        "{{\"SamplingStatisticsDocuments\":[{}]}}",
        " ".repeat(2 << 20)
    );
    for body in [
        "",
        "[]",
        "\u{fffd}",
        "{\"SamplingStatisticsDocuments\":[{}]}",
        &long,
    ] {
        let (status, answer) = client.send(body).await;
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["__type"], "InvalidRequestException");
    }
    app.stop().await;
}

/// Some clients forget their rules after an answer that is not 200.
#[tokio::test(flavor = "multi_thread")]
async fn rates_are_answered_while_nothing_can_be_counted() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--data-dir",
        folder.path().to_str().unwrap(),
        "--interval",
        "1h",
    ];
    let xray = ["--xray-listen", "127.0.0.1:0"];
    let app = TestApp::start_with(config(&[&flags[..], &xray].concat())).await;
    let client = Client::new(&app, "one");
    let get = rule("GET");
    let lost = json!([{ "RuleName": get, "ErrorCode": "500" }]);
    let file = folder.path().join("weir.db");
    let lock = write_lock(&file).await;
    let answer = client.tell(now(), &[(&get, 9, 1)]).await;
    drop(lock);
    assert_eq!(rate(&answer, &get), 0.001);
    let unprocessed = &answer["UnprocessedStatistics"][0];
    for field in ["RuleName", "ErrorCode"] {
        assert_eq!(unprocessed[field], lost[0][field], "{answer}");
    }
    client.rules().await;
    app.stop().await;
}

/// Holds the database's write lock for as long as the value exists.
async fn write_lock(file: &std::path::Path) -> sqlx::SqliteConnection {
    use sqlx::{Connection, Executor};
    let url = format!("sqlite://{}", file.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    connection.execute("begin immediate").await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let app = TestApp::start_with(config(&["--data-dir", folder, "--interval", "1h"])).await;
    assert_eq!(app.xray, None);
    let asked = app.client.post(format!("{}/GetSamplingRules", app.sdk));
    assert_eq!(asked.send().await.unwrap().status(), 404);
    app.stop().await;
}
