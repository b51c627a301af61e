//! Published samplers poll a running Weir, keep what it serves within the binomial error, and follow
//! when the plan changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use super::programs::{Program, built, class_path, command, source};
use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, Strategy};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

pub const SERVICE: &str = "checkout";
pub const BUSY: &str = "GET /products";
pub const QUIET: &str = "POST /cart/{id}/items";
pub const UNLISTED: &str = "GET";
pub const OPERATIONS: [&str; 3] = [BUSY, QUIET, UNLISTED];

/// Sampling decisions taken per operation.
pub const DECISIONS: u64 = 20_000;

/// The allowed distance of a sampled share from the probability, in standard deviations: one
/// correct run in a million fails.
const SIGMAS: f64 = 5.0;

const DEADLINE: Duration = Duration::from_secs(60);

const BUDGET: f64 = 100.0;

/// How many polls the client makes before it is measured. Once the second has begun, the answer to
/// the first is in use; a poll may have been on its way when the count began.
const POLLS: f64 = 3.0;

/// How many of each operation were sampled.
pub type Sampled = BTreeMap<String, u64>;

/// What a client does with an operation that no plan lists.
pub enum Unlisted {
    /// It always applies the default that is served.
    Follows,
    /// It applies the default that was served when the operation was first seen. Weir lists
    /// whatever is reported, so this lasts until the first report.
    KeepsItsFirstDefault,
}

/// A Weir that has seen traffic. Its strategies change with its budget alone, because the traffic
/// has stopped.
pub struct Served {
    pub process: WeirProcess,
    client: Client,
    _folder: TempDir,
}

impl Served {
    /// 100 traces/s for 2,000 requests/s of one operation and 200 of another: about 0.025 and 0.25.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let process = WeirProcess::command()
            .flag("--data-dir", folder.path())
            .flag("--interval", "1s")
            .flag("--grace", "500ms")
            .start()
            .await;
        let client = Client::of(&process);
        client.set_budget(BUDGET).await;
        let every = Duration::from_millis(200);
        let behaviour = Behaviour {
            agents: 2,
            every: Some(every),
            window: every,
            repeated: 0.0,
            counts: Arc::new(|_| vec![count(BUSY, 200), count(QUIET, 20)]),
        };
        let mut agents = Agents::start(behaviour, vec![process.sdk_url().to_owned()]);
        let served = Self {
            process,
            client,
            _folder: folder,
        };
        served
            .rates("the two operations get rates far apart", |busy, quiet| {
                0.005 < busy && 4.0 * busy < quiet && quiet < 0.9
            })
            .await;
        agents.finish().await;
        eventually(DEADLINE, "the rates stay without traffic", async || {
            let before = served.strategy().await?;
            let after = eventually(DEADLINE, "three more plans", async || {
                let strategy = served.strategy().await?;
                (strategy.plan >= before.plan + 3).then_some(strategy)
            })
            .await;
            (before.body == after.body).then_some(())
        })
        .await;
        served
    }

    /// Waits for rates of the busy and the quiet operation.
    async fn rates(&self, what: &str, are_right: impl Fn(f64, f64) -> bool) {
        eventually(DEADLINE, what, async || {
            let strategy = self.strategy().await?;
            let (busy, quiet) = (strategy.listed(BUSY)?, strategy.listed(QUIET)?);
            are_right(busy, quiet).then_some(())
        })
        .await;
    }

    /// The polls that were answered, and those of this test.
    async fn polls(&self) -> Option<f64> {
        let scrape = Scrape::of_process(&self.process).await?;
        Some(scrape.families["weir_polls_total"].samples.values().sum())
    }

    /// Checks the client at one plan, and again at a lower budget.
    pub async fn is_followed(&self, unlisted: Unlisted, mut decide: impl AsyncFnMut() -> Sampled) {
        let (first, sampled) = self.measure(&mut decide).await;
        assert_sampled_as_served(&first, first.probability(UNLISTED), &sampled);
        self.cut_the_budget().await;
        let (second, sampled) = self.measure(&mut decide).await;
        let default = match unlisted {
            Unlisted::Follows => &second,
            Unlisted::KeepsItsFirstDefault => &first,
        };
        assert_sampled_as_served(&second, default.probability(UNLISTED), &sampled);
    }

    /// Waits until a fifth of the budget is served.
    pub async fn cut_the_budget(&self) {
        self.client.set_budget(BUDGET / 5.0).await;
        self.rates("the rates fall with the budget", |_, quiet| quiet < 0.1)
            .await;
    }

    /// What SDKs receive.
    pub async fn strategy(&self) -> Option<Strategy> {
        self.client.strategy(SERVICE).await
    }

    /// Measures until the strategy was the same before and after. In between the client polled.
    async fn measure(&self, decide: &mut impl AsyncFnMut() -> Sampled) -> (Strategy, Sampled) {
        eventually(
            DEADLINE,
            "a measurement during which the rates stay",
            async || {
                let before = self.strategy().await?;
                let polls = self.polls().await?;
                eventually(DEADLINE, "the client polls", async || {
                    (self.polls().await? >= polls + POLLS).then_some(())
                })
                .await;
                let sampled = decide().await;
                let after = self.strategy().await?;
                (before.body == after.body).then_some((before, sampled))
            },
        )
        .await
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

/// Checks the counts of [`OPERATIONS`] against a strategy, and the default that the unlisted one gets.
pub fn assert_sampled_as_served(strategy: &Strategy, unlisted: f64, sampled: &Sampled) {
    assert_eq!(strategy.listed(UNLISTED), None);
    let listed = |operation| strategy.listed(operation).expect("it is listed");
    let probabilities = [listed(BUSY), listed(QUIET), unlisted];
    for (operation, probability) in OPERATIONS.into_iter().zip(probabilities) {
        assert_within_error(operation, probability, sampled);
    }
}

/// Checks how many of an operation were sampled at a probability.
pub fn assert_within_error(operation: &str, probability: f64, sampled: &Sampled) {
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

/// Checks a program that takes decisions for each line of its input.
async fn is_followed_by(served: &Served, command: Command, unlisted: Unlisted) {
    let mut program = Program::start(command);
    served
        .is_followed(unlisted, async || sampled_by(&mut program).await)
        .await;
}

/// Lets a program decide once more.
pub async fn sampled_by(program: &mut Program) -> Sampled {
    let answer = program.ask().await;
    serde_json::from_value(answer["sampled"].clone()).expect("counts by operation")
}

/// Adds where to poll, for which service, and what to decide.
pub fn polling(mut command: Command, endpoint: &str) -> Command {
    command
        .args([endpoint, SERVICE, &DECISIONS.to_string()])
        .args(OPERATIONS);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn node_sdk_samples_at_the_rates_served() {
    let folder = source("tests/interop/javascript");
    assert!(
        folder.join("node_modules").exists(),
        "the Node.js client is missing: run `make setup`"
    );
    let served = Served::start().await;
    let mut node = command("node");
    node.arg(folder.join("decide.js"));
    is_followed_by(
        &served,
        polling(node, served.process.sdk_url()),
        Unlisted::Follows,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Go: make interop"]
async fn go_sdk_samples_at_the_rates_served() {
    let decide = built("go/decide");
    let served = Served::start().await;
    is_followed_by(
        &served,
        polling(command(decide), served.process.sdk_url()),
        Unlisted::Follows,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Maven and a JDK: make interop"]
async fn java_sdk_samples_at_the_rates_served_over_grpc() {
    let java = java("DecideWithSampler");
    let served = Served::start().await;
    is_followed_by(
        &served,
        polling(java, served.process.grpc_url()),
        Unlisted::Follows,
    )
    .await;
}

/// Whoever gives it the wrong port reads in its log where gRPC is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Maven and a JDK: make interop"]
async fn java_sdk_logs_where_grpc_is() {
    let folder = TempDir::new().unwrap();
    let command = WeirProcess::command().flag("--data-dir", folder.path());
    let weir = command.start().await;
    let program = Program::start(polling(java("DecideWithSampler"), weir.sdk_url()));
    let (_, port) = weir.grpc_url().rsplit_once(':').unwrap();
    let expected = format!("gRPC is on port {port} (--grpc-listen)");
    eventually(DEADLINE, "it logs where gRPC is", async || {
        program.errors().contains(&expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Maven and a JDK: make interop"]
async fn java_agent_samples_at_the_rates_served_over_grpc() {
    let agent = built("java/agent/opentelemetry-javaagent.jar");
    let served = Served::start().await;
    let mut java = command("java");
    java.arg(format!("-javaagent:{}", agent.display()))
        .args(["-cp", &class_path(), "DecideWithAgent"])
        .arg(DECISIONS.to_string())
        .args(OPERATIONS)
        .env("OTEL_SERVICE_NAME", SERVICE)
        .env("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote")
        .env(
            "OTEL_TRACES_SAMPLER_ARG",
            format!(
                "endpoint={},pollingIntervalMs=500,initialSamplingRate=0",
                served.process.grpc_url()
            ),
        );
    for signal in ["TRACES", "METRICS", "LOGS"] {
        java.env(format!("OTEL_{signal}_EXPORTER"), "none");
    }
    is_followed_by(&served, java, Unlisted::Follows).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn legacy_node_client_samples_at_the_rates_served() {
    let decide = built("legacy-node/decide.js");
    let served = Served::start().await;
    let mut node = command("node");
    node.arg(decide);
    is_followed_by(
        &served,
        polling(node, served.process.sdk_url()),
        Unlisted::KeepsItsFirstDefault,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn legacy_python_client_samples_at_the_rates_served() {
    let python = built("legacy-python/bin/python");
    let served = Served::start().await;
    let mut python = command(python);
    python.arg(source("tests/interop/legacy-python/decide.py"));
    is_followed_by(
        &served,
        polling(python, served.process.sdk_url()),
        Unlisted::KeepsItsFirstDefault,
    )
    .await;
}

/// Begins the command line of a Java program without the agent.
pub fn java(class: &str) -> Command {
    let mut java = command("java");
    java.args(["-cp", &class_path(), class]);
    java
}
