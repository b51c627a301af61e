//! HTTP servers with the published instrumentation of their language, configured as users do.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::process::Command;

use super::programs::{Program, built, class_path, command, source};

/// How many requests are on their way at once.
const AT_ONCE: usize = 4;

/// What a server is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Go,
    JavaAgent,
    JavaScript,
    Flask,
    FastApi,
}

/// How a server's telemetry is configured.
#[derive(Debug, Clone)]
pub struct Telemetry {
    pub service: String,
    /// Where metrics go, without a path; without it they go nowhere.
    pub metrics_url: Option<String>,
    /// Where traces go, without a path.
    pub traces_url: String,
    /// `cumulative` or `delta`.
    pub temporality: &'static str,
    pub export_interval: Duration,
    /// Where SDKs poll over HTTP and over gRPC; without it they sample everything.
    pub sampler: Option<(String, String)>,
}

/// A running server.
pub struct Server {
    program: Program,
    url: String,
    http: reqwest::Client,
}

impl Server {
    /// Starts it and waits until it listens.
    pub async fn start(kind: Kind, telemetry: &Telemetry) -> Self {
        let mut command = match kind {
            Kind::Go => go(telemetry),
            Kind::JavaAgent => java(telemetry),
            Kind::JavaScript => javascript(telemetry),
            Kind::Flask => python("flask_server.py"),
            Kind::FastApi => python("fastapi_server.py"),
        };
        let milliseconds = telemetry.export_interval.as_millis().to_string();
        command
            .env("OTEL_SERVICE_NAME", &telemetry.service)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .env(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                format!("{}/v1/traces", telemetry.traces_url),
            )
            .env(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                telemetry.temporality,
            )
            .env("OTEL_METRIC_EXPORT_INTERVAL", milliseconds)
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_LOGS_EXPORTER", "none");
        match &telemetry.metrics_url {
            Some(url) => command.env("OTEL_METRICS_EXPORTER", "otlp").env(
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                format!("{url}/v1/metrics"),
            ),
            None => command.env("OTEL_METRICS_EXPORTER", "none"),
        };
        let mut program = Program::start(command);
        let port = program.line().await["port"].as_u64().expect("its port");
        Self {
            program,
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::new(),
        }
    }

    /// Makes requests that begin traces: three in four with GET, the others with POST.
    pub async fn load(&self, requests: u64) {
        stream::iter(0..requests)
            .for_each_concurrent(AT_ONCE, |number| async move {
                let request = match number % 4 {
                    0 => self.http.post(format!("{}/orders/{number}", self.url)),
                    _ => self.http.get(format!("{}/hot", self.url)),
                };
                let answer = request.send().await.expect("the server answers");
                assert_eq!(answer.status(), 200);
            })
            .await;
    }

    /// The URL of a route that answers after it has called `next`.
    pub fn calling(&self, next: Option<&str>) -> String {
        let hot = format!("{}/hot", self.url);
        let query = next.map(|next| ("next", next));
        let url = reqwest::Url::parse_with_params(&hot, query).expect("a URL");
        url.to_string()
    }

    /// Stops it; what it has counted is exported before it ends.
    pub async fn terminate(self) {
        self.program.terminate().await;
    }
}

fn go(telemetry: &Telemetry) -> Command {
    let mut go = command(built("go/serve"));
    go.env("OTEL_GO_X_OBSERVABILITY", "true");
    if let Some((http, _)) = &telemetry.sampler {
        go.env("SAMPLER_ENDPOINT", http);
    }
    go
}

fn java(telemetry: &Telemetry) -> Command {
    let mut java = command("java");
    let agent = built("java/agent/opentelemetry-javaagent.jar");
    java.arg(format!("-javaagent:{}", agent.display()))
        .args(["-cp", &class_path(), "Serve"])
        .env("OTEL_EXPERIMENTAL_SDK_TELEMETRY_VERSION", "latest");
    if let Some((_, grpc)) = &telemetry.sampler {
        java.env("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote")
            .env(
                "OTEL_TRACES_SAMPLER_ARG",
                format!("endpoint={grpc},pollingIntervalMs=1000,initialSamplingRate=0.01"),
            );
    }
    java
}

fn javascript(telemetry: &Telemetry) -> Command {
    let mut node = command("node");
    node.arg(built("javascript-server/serve.js"))
        // The default detectors ask the metadata addresses of clouds.
        .env(
            "OTEL_NODE_RESOURCE_DETECTORS",
            "env,host,os,process,serviceinstance",
        )
        .env("OTEL_NODE_EXPERIMENTAL_SDK_METRICS", "true");
    if let Some((http, _)) = &telemetry.sampler {
        node.env("SAMPLER_ENDPOINT", http);
    }
    node
}

/// Python has no Jaeger sampler.
fn python(script: &str) -> Command {
    let mut python = command(built("python/bin/opentelemetry-instrument"));
    python
        .arg(built("python/bin/python"))
        .arg(source("tests/interop/python").join(script))
        .env("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        .env("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true");
    python
}
