//! The table of clients in the README. `make interop` and `make interop-behind` each write the rows whose tests
//! they run, once all have passed. Here it is compared, so that a new version in a lock file cannot go unnoticed.

use serde_json::Value;

use super::programs::source;

/// Where the table begins and ends in the README.
const BEGIN: &str = "<!-- written by `make interop` and `make interop-behind` -->\n";
const END: &str = "<!-- end of what they write -->\n";

const HEAD: &str =
    "| client | version | how it follows | how it reports | proven by |\n|---|---|---|---|---|\n";

/// A client, and what is known of it.
struct Row {
    client: &'static str,
    version: String,
    follows: &'static str,
    reports: &'static str,
    tests: &'static [&'static str],
}

impl Row {
    /// Which target of the Makefile runs its tests.
    fn proven_by(&self) -> &'static str {
        let behind = self.tests.iter().filter(|test| test.contains("behind"));
        match behind.count() {
            0 => "interop",
            count if count == self.tests.len() => "interop-behind",
            _ => panic!("{}: two targets run its tests", self.client),
        }
    }

    fn line(&self) -> String {
        let tests: Vec<_> = self.tests.iter().map(|test| format!("`{test}`")).collect();
        let tests = tests.join(", ");
        let (follows, reports) = (self.follows, self.reports);
        format!(
            "| {} | {} | {follows} | {reports} | {tests} |",
            self.client, self.version
        )
    }

    /// Its line in a table that was written before.
    fn line_before<'a>(&self, table: &'a str) -> Option<&'a str> {
        let begin = format!("| {} |", self.client);
        table.lines().find(|line| line.starts_with(&begin))
    }
}

/// What a run writes names the target (`WEIR_WRITE_TABLE=interop`). Rows that it did not prove stay as they are.
#[test]
fn the_readme_has_the_table_of_clients() {
    let path = source("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the table's beginning");
    let (old, after) = rest.split_once(END).expect("the table's end");
    let run = std::env::var("WEIR_WRITE_TABLE").ok();
    let mut table = HEAD.to_owned();
    for row in rows() {
        let is_proven = run.as_ref().is_none_or(|run| run == row.proven_by());
        let line = is_proven.then(|| row.line());
        let line = line.or_else(|| row.line_before(old).map(str::to_owned));
        table.extend(line.into_iter().flat_map(|line| [line, "\n".to_owned()]));
    }
    if run.is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    for row in rows() {
        let line = row.line_before(old);
        let target = row.proven_by();
        assert_eq!(
            line,
            Some(&*row.line()),
            "run `make {target}`, which writes it"
        );
    }
    assert!(
        old == table,
        "run `make interop`, which writes it:\n{table}"
    );
}

#[test]
fn every_test_of_the_table_exists() {
    for test in rows().iter().flat_map(|row| row.tests) {
        let (module, name) = test.split_once("::").expect("a module and a test");
        let code = read(&format!("tests/it/interop/{module}.rs"));
        assert!(code.contains(&format!("async fn {name}(")), "{test}");
    }
}

fn rows() -> Vec<Row> {
    let mut rows = opentelemetry();
    rows.extend(xray());
    rows.extend(others());
    rows
}

const NOTHING: &str = "not by itself";

fn opentelemetry() -> Vec<Row> {
    const LOOP: &str = "fleet::a_fleet_keeps_the_budget";
    const LOOP_OF_SPANS: &str = "fleet::a_fleet_that_sends_spans_alone_keeps_the_budget";
    const BOTH: &str = "its metrics, or its spans, by OTLP";
    vec![
        Row {
            client: "OpenTelemetry Go: `jaegerremote`, `otelhttp`",
            version: format!(
                "{}, {}",
                go("go", "go.opentelemetry.io/contrib/samplers/jaegerremote"),
                go(
                    "go",
                    "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
                )
            ),
            follows: "polls over HTTP",
            reports: BOTH,
            tests: &[
                "decisions::go_sdk_samples_at_the_rates_served",
                "counts::go_cumulative",
                "counts::go_delta",
                LOOP,
                LOOP_OF_SPANS,
            ],
        },
        Row {
            client: "OpenTelemetry Java agent",
            version: maven("agent.version"),
            follows: "polls over gRPC",
            reports: BOTH,
            tests: &[
                "decisions::java_agent_samples_at_the_rates_served_over_grpc",
                "counts::java_agent_cumulative",
                "counts::java_agent_delta",
                LOOP,
                LOOP_OF_SPANS,
            ],
        },
        Row {
            client: "OpenTelemetry Java: the sampler alone",
            version: maven("opentelemetry.version"),
            follows: "polls over gRPC",
            reports: NOTHING,
            tests: &[
                "decisions::java_sdk_samples_at_the_rates_served_over_grpc",
                "decisions::java_sdk_logs_where_grpc_is",
            ],
        },
        Row {
            client: "OpenTelemetry JavaScript: `sampler-jaeger-remote`, `auto-instrumentations-node`",
            version: format!(
                "{}, {}",
                npm("javascript", "@opentelemetry/sampler-jaeger-remote"),
                npm(
                    "javascript-server",
                    "@opentelemetry/auto-instrumentations-node"
                )
            ),
            follows: "polls over HTTP",
            reports: BOTH,
            tests: &[
                "decisions::node_sdk_samples_at_the_rates_served",
                "counts::javascript_cumulative",
                "counts::javascript_delta",
                LOOP,
                LOOP_OF_SPANS,
            ],
        },
        Row {
            client: "OpenTelemetry Python: instrumentation of Flask and FastAPI",
            version: pip("python", "opentelemetry-instrumentation"),
            follows: "not: it has no Jaeger sampler (an X-Ray sampler is below)",
            reports: "its metrics, by OTLP",
            tests: &[
                "counts::flask_cumulative",
                "counts::flask_delta",
                "counts::fastapi_cumulative",
                "counts::fastapi_delta",
                LOOP,
            ],
        },
        Row {
            client: "OpenTelemetry Rust: `jaeger_remote_sampler`",
            version: cargo("opentelemetry_sdk"),
            follows: "polls over HTTP",
            reports: NOTHING,
            tests: &["rust_sdk::rust_sdk_samples_at_the_rates_served"],
        },
    ]
}

fn xray() -> Vec<Row> {
    const FOLLOWS: &str = "asks for X-Ray's targets";
    const REPORTS: &str = "X-Ray's statistics";
    vec![
        Row {
            client: "OpenTelemetry JavaScript: `sampler-aws-xray`",
            version: npm("xray-javascript", "@opentelemetry/sampler-aws-xray"),
            follows: FOLLOWS,
            reports: REPORTS,
            tests: &[
                "xray::javascript_sampler_follows_and_counts_every_request",
                "xray::javascript_sampler_keeps_tagged_requests_whole",
            ],
        },
        Row {
            client: "AWS's distribution of OpenTelemetry Python: its X-Ray sampler",
            version: pip("xray-python", "aws-opentelemetry-distro"),
            follows: FOLLOWS,
            reports: REPORTS,
            tests: &[
                "xray::python_sampler_follows_and_counts_every_request",
                "xray::python_sampler_keeps_tagged_requests_whole",
            ],
        },
    ]
}

fn others() -> Vec<Row> {
    vec![
        Row {
            client: "Jaeger's client for Node.js",
            version: npm("legacy-node", "jaeger-client"),
            follows: "polls over HTTP",
            reports: NOTHING,
            tests: &["decisions::legacy_node_client_samples_at_the_rates_served"],
        },
        Row {
            client: "Jaeger's client for Python",
            version: pip("legacy-python", "jaeger-client"),
            follows: "polls over HTTP",
            reports: NOTHING,
            tests: &["decisions::legacy_python_client_samples_at_the_rates_served"],
        },
        Row {
            client: "Jaeger's gRPC client: `jaeger-idl`",
            version: go("go", "github.com/jaegertracing/jaeger-idl"),
            follows: "polls over gRPC",
            reports: NOTHING,
            tests: &["jaeger::the_grpc_client_of_jaeger_reads_what_is_served"],
        },
        Row {
            client: "Jaeger 2 (the version is its module's), with the Java sampler behind it",
            version: go("jaeger", "github.com/jaegertracing/jaeger"),
            follows: "fetches `/strategies.json`",
            reports: NOTHING,
            tests: &["jaeger::java_sdk_behind_jaeger_samples_at_the_rates_served"],
        },
        Row {
            client: "OpenTelemetry Collector: OTLP in, OTLP out",
            version: collector(),
            follows: "does not sample",
            reports: "passes metrics or spans on",
            tests: &[
                "fleet::a_fleet_behind_a_collector_keeps_the_budget_with_rare_exports",
                "fleet::a_fleet_behind_a_collector_that_sends_spans_alone_keeps_the_budget",
            ],
        },
    ]
}

/// The version of the Collector's receiver, which is its own.
fn collector() -> String {
    let file = read("tests/interop/collector/builder.yaml");
    let (_, rest) = file.split_once("otlpreceiver v").expect("it is built in");
    let version = rest.split_whitespace().next();
    version.expect("the version").to_owned()
}

/// What the tests have installed or built.
fn read(path: &str) -> String {
    std::fs::read_to_string(source(path)).expect("it is in the checkout")
}

/// The version of a Go module, without its `v`.
fn go(folder: &str, module: &str) -> String {
    let file = read(&format!("tests/interop/{folder}/go.mod"));
    let version = file.lines().find_map(|line| {
        let (_, version) = line.split_once(&format!("{module} v"))?;
        version.split_whitespace().next().map(str::to_owned)
    });
    version.expect("go.mod names the module")
}

/// A property of the Java programs' project.
fn maven(property: &str) -> String {
    let file = read("tests/interop/java/pom.xml");
    let (_, rest) = file
        .split_once(&format!("<{property}>"))
        .expect("it is set");
    let (version, _) = rest.split_once('<').expect("the property ends");
    version.to_owned()
}

fn npm(folder: &str, package: &str) -> String {
    let file = read(&format!("tests/interop/{folder}/package-lock.json"));
    let lock: Value = serde_json::from_str(&file).expect("JSON");
    let version = &lock["packages"][format!("node_modules/{package}")]["version"];
    version.as_str().expect("the package is locked").to_owned()
}

fn pip(folder: &str, package: &str) -> String {
    let file = read(&format!("tests/interop/{folder}/requirements.txt"));
    let mut lines = file.lines();
    let version = lines.find_map(|line| line.strip_prefix(&format!("{package}==")));
    version.expect("the package is listed").to_owned()
}

fn cargo(package: &str) -> String {
    let file = read("Cargo.lock");
    let (_, rest) = file
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .expect("the crate is locked");
    let (version, _) = rest.split_once('"').expect("the version ends");
    version.to_owned()
}
