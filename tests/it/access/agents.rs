//! Agents' tokens: reports, exports and statistics of X-Ray, each refused in its own form.

use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;
use weir::access::Role;
use weir::allocation::ServiceName;
use weir::simulate::client::{Client, ReportAnswer};

use super::{Bearer, Door, in_seconds, stored};
use crate::otlp::messages::{METRICS, fixture, protobuf};
use crate::support::app::{TestApp, config, report};
use crate::support::grpc::{Raw, framed, poll};
use crate::support::tls::{Authority, Secret, TlsClient, Valid};

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// A Weir that wants a token from agents, and some tokens.
struct Agents {
    app: TestApp,
    all: String,
    /// Limited to the service `checkout`.
    checkout: String,
    viewer: String,
    expired: String,
    _directory: tempfile::TempDir,
}

impl Agents {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        let (all, _) = stored(folder, Role::Agent, |_| ()).await;
        let (checkout, _) = stored(folder, Role::Agent, |token| {
            token.services = vec![ServiceName::parse("checkout").unwrap()];
        })
        .await;
        let (viewer, _) = stored(folder, Role::Viewer, |_| ()).await;
        let expired = stored(folder, Role::Agent, |token| {
            token.expires_at = Some(in_seconds(-1))
        });
        let (expired, _) = expired.await;
        let flags = ["--require-agent-token", "--xray-listen", "127.0.0.1:0"];
        Self {
            app: TestApp::start(folder, &flags).await,
            all,
            checkout,
            viewer,
            expired,
            _directory: directory,
        }
    }

    /// Whom reports are refused, with the status of HTTP and the code of gRPC.
    fn refused(&self) -> [(Option<&str>, u16, i32); 4] {
        [
            (None, 401, 16),
            (Some(Door::NOBODYS), 401, 16),
            (Some(&self.expired), 401, 16),
            (Some(&self.viewer), 403, 7),
        ]
    }
}

fn with(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

#[tokio::test]
async fn a_report_needs_a_token_and_counts_for_its_services_only() {
    let weir = Agents::start().await;
    let (url, epoch) = (format!("{}/v1/reports", weir.app.sdk), Uuid::new_v4());
    let send = async |token: Option<&str>, body: &Value| {
        let post = with(weir.app.client.post(&url), token).json(body);
        let answer = post.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let mut body = report("a", epoch, 1, 7);
    for (token, status, _) in weir.refused() {
        let (answered, problem) = send(token, &body).await;
        assert_eq!(answered, status, "{problem}");
        assert_eq!(problem["status"], status);
    }
    let other = json!({ "service": "stock", "operations": [
        { "operation": "GET /", "offered": 5, "sampled": 0 },
        { "operation": "PUT /", "offered": 5, "sampled": 0 }] });
    let unnamed = json!({ "service": "", "operations": [
        { "operation": "GET /", "offered": 5, "sampled": 0 }] });
    body["services"]
        .as_array_mut()
        .unwrap()
        .extend([other, unnamed]);
    let (status, answer) = send(Some(&weir.checkout), &body).await;
    assert_eq!((status, &answer["result"]), (200, &json!("counted")));
    assert_eq!(answer["ignored"]["total"], 3, "{answer}");
    assert_eq!(answer["ignored"]["first"][0]["reason"], "out_of_scope");
    let scrape = crate::support::scrape::Scrape::of(&weir.app).await;
    assert_eq!(scrape.value("weir_reported_offered_total"), 7.0);
    let (status, answer) = send(Some(&weir.all), &report("b", epoch, 1, 7)).await;
    assert_eq!((status, &answer["result"]), (200, &json!("counted")));
    weir.app.stop().await;
}

#[tokio::test]
async fn an_export_over_http_is_refused_with_a_status_of_its_own() {
    let weir = Agents::start().await;
    let url = format!("{}/v1/metrics", weir.app.sdk);
    // Of the service `checkout`.
    let body = fixture("http-cumulative");
    for (token, status, code) in weir.refused() {
        let post = with(weir.app.client.post(&url), token).json(&body);
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(
            answer.headers().contains_key("www-authenticate"),
            status == 401
        );
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["code"], code, "{said}");

        let post = with(weir.app.client.post(&url), token);
        let post = post.header("Content-Type", "application/x-protobuf");
        let answer = post.body(protobuf(METRICS, &body)).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
        let said = Status::decode(answer.bytes().await.unwrap()).unwrap();
        assert_eq!(said.code, code, "{said:?}");
    }
    let allowed = weir.app.client.post(&url).bearer(&weir.all).json(&body);
    assert_eq!(allowed.send().await.unwrap().status(), 200);
    weir.app.stop().await;
}

/// A fixture, under another service's name.
fn of_service(name: &str) -> Value {
    let mut body = fixture("http-cumulative");
    let resources = body["resourceMetrics"].as_array_mut().unwrap();
    for resource in resources {
        let attributes = resource["resource"]["attributes"].as_array_mut().unwrap();
        for attribute in attributes {
            if attribute["key"] == "service.name" {
                attribute["value"] = json!({ "stringValue": name });
            }
        }
    }
    body
}

#[tokio::test]
async fn an_export_counts_for_the_services_of_its_token() {
    let weir = Agents::start().await;
    let url = format!("{}/v1/metrics", weir.app.sdk);
    let export = async |body: &Value| {
        let post = weir.app.client.post(&url).bearer(&weir.checkout).json(body);
        let answer = post.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let (ours, theirs) = (of_service("checkout"), of_service("stock"));
    assert_eq!(export(&ours).await, (200, json!({})));
    let (status, said) = export(&theirs).await;
    assert_eq!((status, &said["code"]), (403, &json!(7)), "{said}");
    let mut both = ours.clone();
    let more = theirs["resourceMetrics"].as_array().unwrap().clone();
    both["resourceMetrics"].as_array_mut().unwrap().extend(more);
    let (status, said) = export(&both).await;
    assert_eq!(status, 200);
    let partial = &said["partialSuccess"];
    assert_ne!(partial["rejectedDataPoints"], Value::Null, "{said}");
    let why = partial["errorMessage"].as_str().unwrap();
    assert!(why.contains("services that the token is not for"), "{why}");
    weir.app.stop().await;
}

#[tokio::test]
async fn an_export_over_grpc_is_refused_with_its_codes_and_polls_are_not() {
    let weir = Agents::start().await;
    let mut raw = Raw::connect(weir.app.grpc()).await;
    let body = framed(0, &protobuf(METRICS, &of_service("checkout")));
    for (token, _, code) in weir.refused() {
        let value = token.map(|token| format!("Bearer {token}"));
        let headers = value.as_deref().map(|value| ("authorization", value));
        let headers: Vec<_> = headers.into_iter().collect();
        let answer = raw.call(EXPORT, &headers, body.clone()).await;
        assert_eq!(answer.code(), Some(code), "{answer:?}");
        assert!(answer.message().contains("token"), "{answer:?}");
    }
    let value = format!("Bearer {}", weir.checkout);
    let headers = [("authorization", &*value)];
    let answer = raw.call(EXPORT, &headers, body).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    let others = framed(0, &protobuf(METRICS, &of_service("stock")));
    let answer = raw.call(EXPORT, &headers, others).await;
    assert_eq!(answer.code(), Some(7), "{answer:?}");

    let channel = crate::support::grpc::channel(weir.app.grpc()).await;
    assert!(poll(&channel, "checkout", None).await.is_ok());
    weir.app.poll("checkout").await;
    weir.app.stop().await;
}

#[tokio::test]
async fn xray_answers_rates_to_everybody_and_counts_for_agents() {
    let weir = Agents::start().await;
    let url = format!("{}/s/checkout/SamplingTargets", weir.app.xray());
    let now = in_seconds(0).timestamp();
    let told = json!({ "SamplingStatisticsDocuments": [{
        "ClientID": "0123456789abcdef01234567", "RuleName": "checkout:*", "Timestamp": now,
        "RequestCount": 9, "SampledCount": 0, "BorrowCount": 0 }] });
    let tell = async |token: Option<&str>, body: &Value| {
        let post = with(weir.app.client.post(&url), token).body(body.to_string());
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), 200, "else clients forget their rules");
        answer.json::<Value>().await.unwrap()
    };
    let counted = async || {
        let scrape = crate::support::scrape::Scrape::of(&weir.app).await;
        scrape.value("weir_reported_offered_total")
    };
    for (token, status, _) in weir.refused() {
        let answer = tell(token, &told).await;
        let unprocessed = &answer["UnprocessedStatistics"][0];
        assert_eq!(unprocessed["ErrorCode"], status.to_string(), "{answer}");
        assert_eq!(
            answer["SamplingTargetDocuments"].as_array().unwrap().len(),
            1
        );
    }
    assert_eq!(counted().await, 0.0);
    let answer = tell(Some(&weir.checkout), &told).await;
    assert_eq!(answer["UnprocessedStatistics"], json!([]));
    assert_eq!(counted().await, 9.0);
    let rules = weir
        .app
        .client
        .post(format!("{}/GetSamplingRules", weir.app.xray()));
    assert_eq!(rules.body("{}").send().await.unwrap().status(), 200);
    weir.app.stop().await;
}

#[tokio::test]
async fn a_replay_presents_its_tokens() {
    let door = Door::open(&["--require-agent-token"]).await;
    let (operator, agent) = (
        door.token("operator", &[]).await,
        door.token("agent", &[]).await,
    );
    let client = Client::new(&door.app.sdk, &door.app.admin).unwrap();
    let body = serde_json::to_vec(&report("a", Uuid::new_v4(), 1, 7)).unwrap();
    assert!(client.budget().await.is_err());
    let refused = client.report(body.clone()).await;
    assert!(matches!(refused, ReportAnswer::Rejected(_)), "{refused:?}");

    // As they stand in files.
    let (operator, agent) = (format!("{operator}\n"), format!("{agent}\n"));
    let client = client.with_tokens(Some(&operator), Some(&agent)).unwrap();
    assert!(!format!("{client:?}").contains(&operator[5..20]));
    let budget = client.budget().await.unwrap();
    client.set_budget(7.0, &budget.tag).await.unwrap();
    client.current_plan().await.unwrap();
    let counted = client.report(body).await;
    assert!(matches!(counted, ReportAnswer::Counted), "{counted:?}");
    door.app.stop().await;
}

#[tokio::test]
async fn who_has_presented_a_certificate_needs_no_token() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let identity = servers.server(Valid::NOW);
    let mut secret = Secret::of(&identity);
    secret.replace(&identity.certificate, &identity.key, Some(&clients.pem()));
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key, ca) = (
        secret.file("tls.crt"),
        secret.file("tls.key"),
        secret.file("ca.crt"),
    );
    let flags = [
        "--data-dir",
        directory.path().to_str().unwrap(),
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--client-ca",
        &ca,
        "--tls-listeners",
        "sdk",
        "--require-agent-token",
    ];
    let app = TestApp::start_with(config(&flags)).await;
    let client = TlsClient::trusting(&servers.pem()).with(&clients.client(Valid::NOW));
    let mut stream = client.connect(&app.sdk).await.unwrap();
    let body = report("a", Uuid::new_v4(), 1, 7).to_string();
    let head = format!(
        "POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    app.stop().await;
}
