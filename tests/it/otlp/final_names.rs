//! Final names: what is shown of them under the names that samplers are asked with, and which settings do nothing.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use weir::clock::{Clock, SystemClock};

use crate::support::app::{TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000_000;

fn now_ns() -> u64 {
    SystemClock.timestamp().0.unsigned_abs() * 1_000_000
}

/// A process whose requests over HTTP are counted by route.
struct Process {
    name: &'static str,
    start_ns: u64,
    time_ns: u64,
    /// Requests since its start, by route; an empty route is none.
    requests: Vec<(String, u64)>,
}

impl Process {
    fn begin(name: &'static str) -> Self {
        Self {
            name,
            start_ns: now_ns() - 2 * SECOND,
            time_ns: 0,
            requests: Vec::new(),
        }
    }

    fn attribute(key: &str, value: &str) -> Value {
        json!({ "key": key, "value": { "stringValue": value } })
    }

    fn point(&self, (route, requests): &(String, u64)) -> Value {
        let mut attributes = vec![Self::attribute("http.request.method", "GET")];
        if !route.is_empty() {
            attributes.push(Self::attribute("http.route", route));
        }
        json!({
            "attributes": attributes,
            "startTimeUnixNano": self.start_ns.to_string(),
            "timeUnixNano": self.time_ns.to_string(),
            "count": requests.to_string(),
        })
    }

    /// Serves these requests, and exports what it has served since its start.
    async fn export(&mut self, app: &TestApp, served: &[(&str, u64)]) {
        self.time_ns = now_ns().max(self.time_ns + 1);
        for (route, requests) in served {
            match self.requests.iter_mut().find(|of| of.0 == *route) {
                Some(of) => of.1 += requests,
                None => self.requests.push(((*route).into(), *requests)),
            }
        }
        self.send(app).await;
    }

    async fn send(&self, app: &TestApp) {
        let points: Vec<Value> = self.requests.iter().map(|of| self.point(of)).collect();
        let metric = json!({
            "name": "http.server.request.duration",
            "histogram": { "aggregationTemporality": 2, "dataPoints": points },
        });
        let body = json!({ "resourceMetrics": [{
            "resource": { "attributes": [
                Self::attribute("service.name", "shop"),
                Self::attribute("service.instance.id", self.name),
            ] },
            "scopeMetrics": [{ "metrics": [metric] }],
        }] });
        let request = app.client.post(format!("{}/v1/metrics", app.sdk));
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "{}");
    }
}

/// Two replicas on one database.
async fn pair() -> (TestDatabase, [TestApp; 2]) {
    let database = TestDatabase::create().await;
    let flags = ["--database-url", database.url(), "--interval", "1s"];
    let first = TestApp::start_with(config(&flags)).await;
    let second = TestApp::start_with(config(&flags)).await;
    (database, [first, second])
}

/// An operation of the service, and when its final names were heard, once it is as wanted.
async fn operation(app: &TestApp, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(DEADLINE, "the operation is as wanted", async || {
        let (status, page) = app.admin_get("/v1/services/shop/operations").await;
        if status != 200 {
            return None;
        }
        let operations = page["operations"].as_array()?;
        let found = operations.iter().find(|of| of["operation"] == name)?;
        wanted(found).then(|| found.clone())
    })
    .await
}

/// The final names of an operation, each with its requests.
fn names(operation: &Value) -> Vec<(String, u64)> {
    let names = operation["final_names"].as_array().unwrap();
    let name = |of: &Value| {
        let name = of["name"].as_str().unwrap().to_owned();
        (name, of["requests"].as_u64().unwrap())
    };
    names.iter().map(name).collect()
}

fn named(names: &[(&str, u64)]) -> Vec<(String, u64)> {
    names
        .iter()
        .map(|(name, requests)| ((*name).into(), *requests))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_replicas_show_what_either_has_heard_under_the_name_at_start() {
    let (_database, replicas) = pair().await;
    let [first, second] = &replicas;
    let (mut one, mut other) = (Process::begin("one"), Process::begin("other"));
    one.export(first, &[("/hot", 300), ("/users/{id}", 50), ("", 10)])
        .await;
    other.export(second, &[("/hot", 100)]).await;
    // The next export of a process goes to the other replica, is sent again, and both count it once.
    one.export(second, &[("/hot", 40)]).await;
    one.send(second).await;
    one.send(first).await;
    let expected = named(&[("GET /hot", 440), ("GET /users/{id}", 50), ("GET", 10)]);
    for app in &replicas {
        let found = operation(app, "GET", |of| names(of) == expected).await;
        let hot = &found["final_names"][0];
        assert_eq!(hot["share"], 0.88);
        let rate = found["offered_per_second"].as_f64().unwrap();
        assert!(rate > 0.0, "{found}");
        assert_eq!(hot["requests_per_second"], 0.88 * rate);
        let said = found["reason"]["explanation"].as_str().unwrap();
        assert!(said.contains("ask their sampler with GET alone"), "{said}");
        assert!(said.contains("(3 are known) are served"), "{said}");
    }
    for app in replicas {
        app.stop().await;
    }
}

/// Python names requests that it has no route for by their paths.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_ids_are_folded_and_routes_stay() {
    let (_database, replicas) = pair().await;
    let [app, _] = &replicas;
    let mut process = Process::begin("one");
    let ids: Vec<String> = (0..1500).map(|id| format!("/nope/{id}")).collect();
    let mut served: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    // The busiest is read last.
    served.push(("/zoo", 500));
    process.export(app, &served).await;
    let found = operation(app, "GET", |of| !names(of).is_empty()).await;
    let names = names(&found);
    assert!(names.len() <= 201, "{}", names.len());
    assert_eq!(names[0], ("GET /zoo".into(), 500));
    assert_eq!(names.last().unwrap().0, "__other__");
    assert_eq!(
        names.iter().map(|of| of.1).sum::<u64>(),
        2000,
        "all are counted"
    );
    let folded = names.last().unwrap().1;
    let metric = Scrape::of(app)
        .await
        .value("weir_final_names_folded_requests_total");
    assert_eq!(metric, folded as f64);
    assert!(folded >= 1300, "{folded}");
    for app in replicas {
        app.stop().await;
    }
}

/// Threads that answer polls count names, so they leave it to a job to compare them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_names_give_way_within_a_window() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().to_str().unwrap();
    let flags = ["--data-dir", directory, "--interval", "10m"];
    let app = TestApp::start_with(config(&flags)).await;
    let mut process = Process::begin("one");
    let ids: Vec<String> = (0..1500).map(|id| format!("/nope/{id}")).collect();
    let served: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    process.export(&app, &served).await;
    eventually(DEADLINE, "199 names and __other__ are left", async || {
        let held = Scrape::of(&app).await.value("weir_final_names");
        (held == 200.0).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_for_a_final_name_says_that_it_does_nothing() {
    let (_database, replicas) = pair().await;
    let [app, other] = &replicas;
    let mut process = Process::begin("one");
    process.export(other, &[("/hot", 300), ("/cold", 3)]).await;
    operation(app, "GET", |of| names(of).len() == 2).await;
    let wanted = json!({ "services": { "shop": { "operations": {
        "GET": { "weight": 2.0 },
        "GET /hot": { "probability": 0.5 },
        "GET /new": { "probability": 0.5 },
        "POST": { "weight": 2.0 },
    } } } });
    let request = app
        .client
        .post(format!("{}/v1/configuration/preview", app.admin));
    let preview: Value = request
        .json(&wanted)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let request = app.client.put(format!("{}/v1/configuration", app.admin));
    let put = request
        .header("If-Match", "*")
        .json(&wanted)
        .send()
        .await
        .unwrap();
    let put: Value = put.json().await.unwrap();
    for answer in [&preview, &put] {
        let mut warnings = answer["warnings"].as_object().expect("warnings").clone();
        let unknown = warnings.remove("services.shop.operations.POST");
        let unknown = unknown.expect("nobody has reported it");
        assert!(
            unknown.as_str().unwrap().contains("has been reported"),
            "{unknown}"
        );
        let fields: Vec<&str> = warnings.keys().map(String::as_str).collect();
        let expected = ["GET /hot", "GET /new"].map(|of| format!("services.shop.operations.{of}"));
        assert_eq!(fields, expected);
        for said in warnings.values() {
            let said = said.as_str().unwrap();
            assert!(
                said.contains("does nothing") && said.contains("Set it for GET"),
                "{said}"
            );
        }
    }
    // The answer can be put back as it is.
    let request = app.client.put(format!("{}/v1/configuration", app.admin));
    let again = request
        .header("If-Match", "*")
        .json(&put)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().await.unwrap(), put);
    let (_, stored) = app.admin_get("/v1/configuration").await;
    assert_eq!(
        stored.get("warnings"),
        None,
        "they are not part of the document"
    );
    let said = "The configuration has settings for GET /hot and 1 more of its final names";
    operation(app, "GET", |of| {
        let explanation = of["reason"]["explanation"].as_str();
        explanation.is_some_and(|explanation| explanation.contains(said))
    })
    .await;
    for app in replicas {
        app.stop().await;
    }
}

/// An agent that reports by final name, beside samplers that are asked with the method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_is_a_final_name_says_which_probability_is_applied() {
    let (_database, replicas) = pair().await;
    let [app, _] = &replicas;
    let mut process = Process::begin("one");
    process.export(app, &[("/hot", 10)]).await;
    let start = SystemClock.now() - chrono::TimeDelta::seconds(1);
    let report = json!({
        "agent": "a", "epoch": uuid::Uuid::new_v4(), "sequence": 1,
        "window_start": start, "window_seconds": 1,
        "services": [{ "service": "shop", "instances": 1, "operations": [
            { "operation": "GET /hot", "offered": 20, "sampled": 0 }] }],
    });
    assert_eq!(app.report(&report).await.0, 200);
    let said = "apply what GET is served";
    operation(app, "GET /hot", |of| {
        let explanation = of["reason"]["explanation"].as_str();
        explanation.is_some_and(|explanation| explanation.contains(said))
    })
    .await;
    for app in replicas {
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_has_heard_when_it_stops_is_written() {
    let (_database, [first, second]) = pair().await;
    let mut process = Process::begin("one");
    process.export(&first, &[("/hot", 10)]).await;
    first.stop().await;
    let expected = named(&[("GET /hot", 10)]);
    operation(&second, "GET", |of| names(of) == expected).await;
    second.stop().await;
}

/// People see the plan even if the database does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_shown_without_final_names_if_these_cannot_be_read() {
    let (database, replicas) = pair().await;
    let [app, _] = &replicas;
    let mut process = Process::begin("one");
    process.export(app, &[("/hot", 10)]).await;
    operation(app, "GET", |of| !names(of).is_empty()).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let hidden = "alter table final_names rename to hidden";
    sqlx::raw_sql(hidden)
        .execute(&mut connection)
        .await
        .unwrap();
    let (status, page) = app.admin_get("/v1/services/shop/operations").await;
    assert_eq!((status, &page["final_names"]), (200, &Value::Null));
    let found = page["operations"].as_array().unwrap();
    let get = found.iter().find(|of| of["operation"] == "GET").unwrap();
    assert_eq!(get["final_names"], json!([]));
    let wanted =
        json!({ "services": { "shop": { "operations": { "GET /hot": { "weight": 2 } } } } });
    let request = app
        .client
        .post(format!("{}/v1/configuration/preview", app.admin));
    let preview = request.json(&wanted).send().await.unwrap();
    assert_eq!(preview.status(), 200);
    let shown: Value = preview.json().await.unwrap();
    // That it does nothing is not known now.
    let warning = &shown["warnings"]["services.shop.operations.GET /hot"];
    assert!(
        warning.as_str().unwrap().contains("has been reported"),
        "{shown}"
    );
    for app in replicas {
        app.stop().await;
    }
}
