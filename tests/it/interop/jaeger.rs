//! A real Jaeger between Weir and an SDK: it fetches the whole plan as its file of strategies, and
//! the SDK polls it.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::decisions::{
    BUSY, DECISIONS, QUIET, SERVICE, Served, UNLISTED, assert_sampled_as_served, java, polling,
    sampled_by,
};
use super::programs::{Program, built, command};
use crate::support::client::{Strategy, http_client};
use crate::support::postgres::free_port;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Jaeger: make interop-behind"]
async fn java_sdk_behind_jaeger_samples_at_the_rates_served() {
    let served = Served::start().await;
    let jaeger = Jaeger::start(&served).await;
    let mut sdk = Program::start(polling(java("DecideWithSampler"), &jaeger.grpc_url));
    // Before its first poll it keeps nothing.
    let first = jaeger
        .is_followed(&served, &mut sdk, |quiet| quiet > 0)
        .await;
    served.cut_the_budget().await;
    let most = first.probability(QUIET) * DECISIONS as f64 / 2.0;
    jaeger
        .is_followed(&served, &mut sdk, |quiet| (quiet as f64) < most)
        .await;
}

/// The Collector's extension with Weir as its `source.remote` is not published as a module that can
/// be built alone; this is the client inside it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Go: make interop"]
async fn the_grpc_client_of_jaeger_reads_what_is_served() {
    let remote = built("go/remote");
    let served = Served::start().await;
    let (_, address) = served.process.grpc_url().split_once("://").expect("a URL");
    let mut command = command(remote);
    command.args([address, SERVICE]);
    let read = Program::start(command).line().await;
    let strategy = served.strategy().await.expect("Weir answers");
    // HTTP sends the shortest decimal of the same single-precision number.
    let single = |rate: &Value| rate.as_f64().expect("a number") as f32;
    assert_eq!(
        single(&read["default"]),
        strategy.probability(UNLISTED) as f32
    );
    for operation in [BUSY, QUIET] {
        let rate = single(&read["operations"][operation]);
        assert_eq!(rate, strategy.probability(operation) as f32, "{operation}");
    }
}

/// A running Jaeger whose strategies are those of a Weir.
struct Jaeger {
    http_url: String,
    grpc_url: String,
    _program: Program,
    _folder: TempDir,
}

impl Jaeger {
    async fn start(served: &Served) -> Self {
        let [http, grpc, otlp] = [(); 3].map(|()| free_port());
        let configuration = format!(
            "
extensions:
  jaeger_storage: {{backends: {{some: {{memory: {{max_traces: 1}}}}}}}}
  remote_sampling:
    file: {{path: '{weir}/strategies.json', reload_interval: 200ms}}
    http: {{endpoint: '127.0.0.1:{http}'}}
    grpc: {{endpoint: '127.0.0.1:{grpc}'}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters: {{debug: }}
service:
  extensions: [jaeger_storage, remote_sampling]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}
",
            weir = served.process.sdk_url()
        );
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("jaeger.yaml");
        std::fs::write(&file, configuration).expect("there is room");
        let mut jaeger = command(built("bin/jaeger"));
        jaeger.arg("--config").arg(file);
        Self {
            http_url: format!("http://127.0.0.1:{http}"),
            grpc_url: format!("http://127.0.0.1:{grpc}"),
            _program: Program::start(jaeger),
            _folder: folder,
        }
    }

    /// Checks that it serves what Weir serves, and that the SDK applies that. The SDK has polled
    /// the new rates once `is_new` says so of what it keeps of the quiet operation.
    async fn is_followed(
        &self,
        served: &Served,
        sdk: &mut Program,
        is_new: impl Fn(u64) -> bool,
    ) -> Strategy {
        let strategy = eventually(DEADLINE, "Jaeger serves what Weir serves", async || {
            let strategy = served.strategy().await?;
            let of_jaeger = self.strategy().await?;
            let is_equal =
                |operation| strategy.probability(operation) == of_jaeger.probability(operation);
            [BUSY, QUIET, UNLISTED]
                .into_iter()
                .all(is_equal)
                .then_some(strategy)
        })
        .await;
        eventually(DEADLINE, "the SDK applies the new rates", async || {
            is_new(sampled_by(sdk).await[QUIET]).then_some(())
        })
        .await;
        let sampled = sampled_by(sdk).await;
        assert_sampled_as_served(&strategy, strategy.probability(UNLISTED), &sampled);
        strategy
    }

    /// What it serves over HTTP.
    async fn strategy(&self) -> Option<Strategy> {
        let url = format!("{}/api/sampling?service={SERVICE}", self.http_url);
        let answer = http_client().get(url).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        let is_whole = body["operationSampling"]["perOperationStrategies"].is_array();
        is_whole.then_some(Strategy { plan: 0, body })
    }
}
