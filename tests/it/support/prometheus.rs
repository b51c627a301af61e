//! A real Prometheus for tests: Debian's, on a free loopback port, with a data directory of its
//! own.
//!
//! It ends with this process, however that ends: the shell that starts it waits on a pipe that only
//! this process holds open, then kills it by its process id.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::process::eventually;

/// How long it may take to listen.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long it may take to answer: it evaluates every rule four times a second, beside other tests.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// How much of its log is included in a failure's message.
const LINES_SHOWN: usize = 40;

/// Kills the process it has started when the pipe's other end is closed. Only the shell waits for
/// its child, so the process id stays the child's.
const KEEPER: &str = r#"
"$@" &
server=$!
cat > /dev/null
kill -KILL "$server"
wait "$server"
"#;

/// The state of an alert, in the order in which it passes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Its expression is true, but not yet for long enough.
    Pending,
    /// It would be sent to a receiver.
    Firing,
}

/// An alert that is active.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub name: String,
    pub state: AlertState,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// A series and its value at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A series and its values, each with its Unix time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub values: Vec<(f64, f64)>,
}

/// A running Prometheus. It is killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    keeper: Child,
    pipe: Option<ChildStdin>,
    url: String,
    config: PathBuf,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

impl Prometheus {
    /// Starts it with this configuration (YAML; relative file names are looked up in `directory`,
    /// which also holds its data) and waits until it is ready.
    pub async fn start(config: &str, directory: &Path) -> Self {
        Self::start_with(config, directory, &[]).await
    }

    /// Starts it with further flags.
    pub async fn start_with(config: &str, directory: &Path, flags: &[&str]) -> Self {
        let file = directory.join("prometheus.yml");
        std::fs::write(&file, config).expect("the directory can be written to");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", "prometheus"])
            .arg(argument("--config.file", &file))
            .arg(argument("--storage.tsdb.path", &directory.join("tsdb")))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--web.enable-lifecycle",
                "--log.level=info",
            ])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // In its own process group, so that an interrupt meant for the tests does not reach it:
            // the pipe is enough.
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let stderr = keeper.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = oneshot::channel();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || drain(stderr, &log, found)
        });
        let mut prometheus = Self {
            pipe: keeper.stdin.take(),
            keeper,
            url: String::new(),
            config: file,
            http: reqwest::Client::builder()
                .timeout(ANSWER_DEADLINE)
                .build()
                .expect("a client without TLS needs nothing"),
            log,
        };
        match tokio::time::timeout(START_DEADLINE, address).await {
            Ok(Ok(address)) => prometheus.url = format!("http://{address}"),
            _ => panic!(
                "prometheus does not listen; `make setup` installs it:\n{}",
                prometheus.last_lines()
            ),
        }
        eventually(START_DEADLINE, "prometheus is ready", async || {
            let ready = prometheus.http.get(format!("{}/-/ready", prometheus.url));
            let answer = ready.send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// The current result of an expression: every series, or one without labels for a scalar.
    pub async fn query(&self, expression: &str) -> Vec<Sample> {
        let answer = self.ask("query", &[("query", expression)]).await;
        let result = &answer["result"];
        if answer["resultType"] == "scalar" {
            let (_, value) = point(result);
            let labels = BTreeMap::new();
            return vec![Sample { labels, value }];
        }
        let sample = |series: &Value| Sample {
            labels: labels(&series["metric"]),
            value: point(&series["value"]).1,
        };
        list(result).iter().map(sample).collect()
    }

    /// The value of an expression that returns one series; absent if it returns none.
    pub async fn value(&self, expression: &str) -> Option<f64> {
        let samples = self.query(expression).await;
        assert!(samples.len() <= 1, "{expression} gives {samples:?}");
        samples.first().map(|sample| sample.value)
    }

    /// The result of an expression between two Unix times.
    pub async fn query_range(
        &self,
        expression: &str,
        from: f64,
        until: f64,
        step_seconds: f64,
    ) -> Vec<Series> {
        let [from, until, step] = [from, until, step_seconds].map(|number| number.to_string());
        let asked = [
            ("query", expression),
            ("start", &from),
            ("end", &until),
            ("step", &step),
        ];
        let answer = self.ask("query_range", &asked).await;
        let series = |series: &Value| Series {
            labels: labels(&series["metric"]),
            values: list(&series["values"]).iter().map(point).collect(),
        };
        list(&answer["result"]).iter().map(series).collect()
    }

    /// The active alerts by name, each with the most advanced state among alerts of that name.
    pub async fn alerts(&self) -> BTreeMap<String, AlertState> {
        let mut alerts = BTreeMap::new();
        for alert in self.active_alerts().await {
            let furthest = alerts.entry(alert.name).or_insert(alert.state);
            *furthest = alert.state.max(*furthest);
        }
        alerts
    }

    /// All alerts that are active.
    pub async fn active_alerts(&self) -> Vec<Alert> {
        let answer = self.ask("alerts", &[]).await;
        let alert = |alert: &Value| Alert {
            name: alert["labels"]["alertname"].as_str().unwrap().to_owned(),
            state: match alert["state"].as_str() {
                Some("firing") => AlertState::Firing,
                Some("pending") => AlertState::Pending,
                state => panic!("an alert is {state:?}"),
            },
            labels: labels(&alert["labels"]),
            annotations: labels(&alert["annotations"]),
        };
        list(&answer["alerts"]).iter().map(alert).collect()
    }

    /// Errors of the last evaluation of the rules, by the rules' names.
    pub async fn rule_errors(&self) -> BTreeMap<String, String> {
        let answer = self.ask("rules", &[]).await;
        let groups = list(&answer["groups"]);
        let rules = groups.iter().flat_map(|group| list(&group["rules"]));
        rules
            .filter_map(|rule| {
                let error = rule["lastError"].as_str()?;
                Some((rule["name"].as_str()?.to_owned(), error.to_owned()))
            })
            .collect()
    }

    /// Replaces the configuration.
    pub async fn reload(&self, config: &str) {
        std::fs::write(&self.config, config).expect("the directory can be written to");
        let asked = self.http.post(format!("{}/-/reload", self.url)).send();
        let answer = asked.await.expect("an answer from prometheus");
        let (status, text) = (answer.status(), answer.text().await);
        assert!(status.is_success(), "{status}: {text:?}");
    }

    /// Calls its API, and fails the test on an error.
    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/v1/{what}", self.url);
        let url = reqwest::Url::parse_with_params(&url, parameters).expect("an address");
        let asked = self.http.get(url).send();
        let answer = asked.await.expect("an answer from prometheus");
        let mut body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["status"], "success", "{parameters:?}: {body}");
        body["data"].take()
    }

    fn last_lines(&self) -> String {
        let lines = self.log.lock().expect("no holder of the log panics");
        let from = lines.len().saturating_sub(LINES_SHOWN);
        lines[from..].join("\n")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // An error means that it has already ended.
        let _ = self.keeper.wait();
        if std::thread::panicking() {
            eprintln!("the last of prometheus' log:\n{}", self.last_lines());
        }
    }
}

fn argument(flag: &str, path: &Path) -> String {
    format!("{flag}={}", path.to_str().expect("a path in UTF-8"))
}

/// Reads the log, so that its pipe never fills, and finds the address in it.
fn drain(stderr: ChildStderr, log: &Mutex<Vec<String>>, found: oneshot::Sender<String>) {
    let mut found = Some(found);
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { break };
        if let Some(address) = bound_address(&line)
            && let Some(found) = found.take()
        {
            // The receiver is gone once the deadline has passed.
            let _ = found.send(address);
        }
        log.lock().expect("no holder of the log panics").push(line);
    }
}

/// The address in the line that is written after the listener is bound; the line before it names
/// the requested port, 0.
fn bound_address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("msg=\"Listening on\" address=")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn labels(metric: &Value) -> BTreeMap<String, String> {
    let pairs = metric.as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// An instant and a value, which Prometheus writes as text.
fn point(pair: &Value) -> (f64, f64) {
    let instant = pair[0].as_f64().expect("an instant");
    let value = pair[1].as_str().expect("a value as text");
    (instant, value.parse().expect("a number"))
}

#[tokio::test]
async fn it_answers_and_takes_another_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, interval: 100ms, rules: [{alert: Always, expr: vector(7)}]}]";
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let prometheus = Prometheus::start("global: {}", directory.path()).await;
    assert_eq!(prometheus.value("vector(2) + 1").await, Some(3.0));
    assert_eq!(prometheus.value("absent_here").await, None);
    assert_eq!(prometheus.query("scalar(vector(4))").await[0].value, 4.0);
    let range = prometheus.query_range("vector(5)", 10.0, 12.0, 1.0).await;
    assert_eq!(range[0].values, [(10.0, 5.0), (11.0, 5.0), (12.0, 5.0)]);
    assert!(prometheus.alerts().await.is_empty());
    prometheus.reload("rule_files: [rules.yaml]").await;
    eventually(START_DEADLINE, "the alert fires", async || {
        let alerts = prometheus.alerts().await;
        (alerts.get("Always") == Some(&AlertState::Firing)).then_some(())
    })
    .await;
    assert!(prometheus.rule_errors().await.is_empty());
}
