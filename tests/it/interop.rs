//! Published OpenTelemetry SDKs poll a running Weir and sample at the served rates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, Strategy, http_client};
use crate::support::process::{WeirProcess, eventually};

const SERVICE: &str = "checkout";
const BUSY: &str = "GET /products";
const QUIET: &str = "POST /cart/{id}/items";
const UNLISTED: &str = "GET";

/// Sampling decisions taken per operation.
const DECISIONS: u64 = 20_000;

/// The allowed distance of a sampled share from the probability, in standard deviations: one
/// correct run in a million fails.
const SIGMAS: f64 = 5.0;

const DEADLINE: Duration = Duration::from_secs(60);

/// A Weir that has seen traffic. Its strategies do not change any more, because the traffic has
/// stopped.
struct Served {
    process: WeirProcess,
    client: Client,
    _folder: TempDir,
}

/// 100 traces/s for 2,000 requests/s of one operation and 200 of another: about 0.025 and 0.25.
async fn weir_with_distinct_rates() -> Served {
    let folder = TempDir::new().unwrap();
    let process = WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--interval", "1s")
        .flag("--grace", "500ms")
        .start()
        .await;
    let client = Client::of(&process);
    client.set_budget(100.0).await;
    let every = Duration::from_millis(200);
    let behaviour = Behaviour {
        agents: 2,
        every: Some(every),
        window: every,
        repeated: 0.0,
        counts: Arc::new(|_| vec![count(BUSY, 200), count(QUIET, 20)]),
    };
    let mut agents = Agents::start(behaviour, vec![process.sdk_url().to_owned()]);
    eventually(
        DEADLINE,
        "the two operations get rates far apart",
        async || {
            let strategy = client.strategy(SERVICE).await?;
            let (busy, quiet) = (strategy.listed(BUSY)?, strategy.listed(QUIET)?);
            (0.005 < busy && 4.0 * busy < quiet && quiet < 0.9).then_some(())
        },
    )
    .await;
    agents.finish().await;
    Served {
        process,
        client,
        _folder: folder,
    }
}

fn count(operation: &str, offered: u64) -> Count {
    Count {
        service: SERVICE.to_owned(),
        operation: operation.to_owned(),
        offered,
        sampled: offered / 20,
    }
}

/// Measures until the strategy was the same before and after, so that the SDK must have polled it.
async fn measure_at_one_plan(
    client: &Client,
    mut measure: impl AsyncFnMut() -> BTreeMap<String, u64>,
) -> (Strategy, BTreeMap<String, u64>) {
    eventually(
        DEADLINE,
        "a measurement during which the rates stay",
        async || {
            let before = client.strategy(SERVICE).await?;
            let sampled = measure().await;
            let after = client.strategy(SERVICE).await?;
            (before.body == after.body).then_some((before, sampled))
        },
    )
    .await
}

fn assert_sampled_as_served(strategy: &Strategy, sampled: &BTreeMap<String, u64>) {
    assert!(strategy.listed(BUSY).is_some() && strategy.listed(QUIET).is_some());
    assert_eq!(strategy.listed(UNLISTED), None);
    for operation in [BUSY, QUIET, UNLISTED] {
        let probability = strategy.probability(operation);
        assert!(
            0.0 < probability && probability < 1.0,
            "{operation}: {probability}"
        );
        let expected = DECISIONS as f64 * probability;
        let deviation = (expected * (1.0 - probability)).sqrt();
        let sampled = sampled[operation] as f64;
        assert!(
            (sampled - expected).abs() <= SIGMAS * deviation,
            "{operation}: {sampled} of {DECISIONS} sampled at {probability}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_sdk_samples_at_the_rates_served() {
    let served = weir_with_distinct_rates().await;
    let (strategy, sampled) = measure_at_one_plan(&served.client, async || {
        sample_with_node(&served.process).await
    })
    .await;
    assert_sampled_as_served(&strategy, &sampled);
}

async fn sample_with_node(process: &WeirProcess) -> BTreeMap<String, u64> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/javascript");
    assert!(
        folder.join("node_modules").exists(),
        "the Node.js client is missing: run `make setup`"
    );
    let ended = tokio::process::Command::new("node")
        .current_dir(folder)
        .args([
            "sample.js",
            process.sdk_url(),
            SERVICE,
            &DECISIONS.to_string(),
        ])
        .args([BUSY, QUIET, UNLISTED])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("Node.js is installed: `make setup` does it");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "node: {errors}");
    let printed: Value = serde_json::from_slice(&ended.stdout).expect("the script prints JSON");
    serde_json::from_value(printed["sampled"].clone()).expect("counts by operation")
}

/// `make interop` builds the Java client and runs this.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Maven and a JDK: make interop"]
async fn java_sdk_samples_at_the_rates_served_over_grpc() {
    let served = weir_with_distinct_rates().await;
    let (strategy, sampled) = measure_at_one_plan(&served.client, async || {
        let arguments = [BUSY, QUIET, UNLISTED];
        let ended = java(served.process.grpc_url(), &arguments).await;
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "java: {errors}");
        let printed: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        serde_json::from_value(printed["sampled"].clone()).expect("counts by operation")
    })
    .await;
    assert_sampled_as_served(&strategy, &sampled);
}

/// Whoever gives it the wrong port reads in its log where gRPC is.
#[tokio::test]
#[ignore = "needs Maven and a JDK: make interop"]
async fn java_sdk_logs_where_grpc_is() {
    let folder = TempDir::new().unwrap();
    let command = WeirProcess::command().flag("--data-dir", folder.path());
    let weir = command.start().await;
    let ended = java(weir.sdk_url(), &[BUSY]).await;
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "it takes no strategy over");
    let (_, port) = weir.grpc_url().rsplit_once(':').unwrap();
    let expected = format!("gRPC is on port {port} (--grpc-listen)");
    assert!(errors.contains(&expected), "{errors}");
}

/// Runs the Java client to its end.
async fn java(endpoint: &str, operations: &[&str]) -> std::process::Output {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/java/target");
    assert!(folder.join("libraries").exists(), "run `make interop`");
    tokio::process::Command::new("java")
        .current_dir(folder)
        .args([
            "-cp",
            "interop-1.jar:libraries/*",
            "Sample",
            endpoint,
            SERVICE,
        ])
        .arg(DECISIONS.to_string())
        .args(operations)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("there is a JDK")
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_sdk_samples_at_the_rates_served() {
    let served = weir_with_distinct_rates().await;
    let (strategy, sampled) = measure_at_one_plan(&served.client, async || {
        sample_with_rust(&served.process).await
    })
    .await;
    assert_sampled_as_served(&strategy, &sampled);
}

async fn sample_with_rust(process: &WeirProcess) -> BTreeMap<String, u64> {
    let polls = Arc::new(AtomicU64::new(0));
    let transport = Transport {
        http: http_client(),
        polls: Arc::clone(&polls),
    };
    let sampler = Sampler::jaeger_remote(Tokio, transport, Sampler::AlwaysOff, SERVICE)
        .with_endpoint(format!("{}/sampling", process.sdk_url()))
        .with_update_interval(Duration::from_millis(50))
        .build()
        .unwrap();
    // It asks again only after it has applied the previous answer.
    eventually(DEADLINE, "the sampler polls twice", async || {
        (polls.load(Ordering::Relaxed) >= 2).then_some(())
    })
    .await;
    let mut random = StdRng::seed_from_u64(20_261_120);
    [BUSY, QUIET, UNLISTED]
        .map(|operation| {
            (
                operation.to_owned(),
                count_sampled(&sampler, operation, &mut random),
            )
        })
        .into()
}

fn count_sampled(sampler: &Sampler, operation: &str, random: &mut StdRng) -> u64 {
    let root = Context::new();
    let decide = |trace: u128| {
        let trace = TraceId::from(trace);
        sampler
            .should_sample(Some(&root), trace, operation, &SpanKind::Server, &[], &[])
            .decision
    };
    (0..DECISIONS)
        .filter(|_| decide(random.random()) == SamplingDecision::RecordAndSample)
        .count() as u64
}

/// The SDK's transport; counts the answers that the SDK can use.
#[derive(Debug)]
struct Transport {
    http: reqwest::Client,
    polls: Arc<AtomicU64>,
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let response = response.body(answer.bytes().await?)?;
        if response.status() == 200 {
            self.polls.fetch_add(1, Ordering::Relaxed);
        }
        Ok(response)
    }
}
