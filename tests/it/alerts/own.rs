//! The alerts that Weir gives by itself: those of the shipped rules that it can judge, as log lines and to a webhook.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir::alerts::{RULES, Severity};

use super::rules;
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

/// The path of the webhook, which only its receiver may know.
const SECRET: &str = "T0-secret-path";

/// Something that takes alerts. It refuses each first request, as a receiver does that is just starting.
struct Receiver {
    url: String,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{SECRET}", listener.local_addr().unwrap());
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let heard = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut asked = 0_u32;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                asked += 1;
                let sent = answered(stream, asked > 1).await;
                if asked > 1 {
                    heard.lock().unwrap().push(sent);
                }
            }
        });
        Self { url, taken }
    }

    fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

/// Reads a request, and answers it with 204 or 503; its document.
async fn answered(mut stream: TcpStream, takes: bool) -> Value {
    let mut read = Vec::new();
    let body = loop {
        stream.read_buf(&mut read).await.unwrap();
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(
            head.starts_with(&format!("POST /{SECRET} HTTP/1.1")),
            "{head}"
        );
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() == length {
            break body.to_owned();
        }
    };
    let status = if takes {
        "204 No Content"
    } else {
        "503 Service Unavailable"
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    serde_json::from_str(&body).unwrap()
}

#[test]
fn they_have_the_names_the_severities_and_the_durations_of_the_shipped_rules() {
    let shipped = rules::alerts();
    for rule in RULES {
        let mut same = shipped.iter().filter(|of| of["alert"] == rule.name);
        let alert = same.next().expect(rule.name);
        let severity = match rule.severity {
            Severity::Page => "page",
            Severity::Warn => "warn",
        };
        assert_eq!(alert["labels"]["severity"], severity, "{}", rule.name);
        let duration = alert["for"].as_str().unwrap_or("0m");
        assert_eq!(duration, format!("{}m", rule.intervals), "{}", rule.name);
        let row = format!("| [{}](#{}) |", rule.name, rule.name.to_lowercase());
        assert_eq!(super::RUNBOOKS.matches(&row).count(), 1, "{}", rule.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_said_once_when_it_begins_and_once_when_it_ends() {
    let receiver = Receiver::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("webhook");
    std::fs::write(&file, format!("{}\n", receiver.url)).unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let command = command.flag("--alert-webhook-file", &file);
    let command = command.flag("--log-format", "json").flag("--log", "debug");
    let weir = command.flag("--interval", "1s").start().await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/emergency", weir.admin_url());
    let asked = json!({ "factor": 0.1, "owner": "ann", "reason": "a test", "for_seconds": 3600 });
    let put = client.put(&url).header("If-Match", "*").json(&asked);
    assert_eq!(put.send().await.unwrap().status(), 200);
    let taken = |count: usize| {
        let receiver = &receiver;
        eventually(DEADLINE, "the webhook takes it", async move || {
            let all = receiver.taken();
            let mut all = all.into_iter().filter(|of| of["alert"] == "WeirEmergency");
            all.nth(count)
        })
    };
    let begun = taken(0).await;
    assert_eq!(
        (&begun["state"], &begun["severity"]),
        (&json!("begun"), &json!("warn"))
    );
    assert_eq!(begun["value"], 0.1);
    assert_eq!(begun["runbook"], "docs/operations.md#weiremergency");
    assert!(
        begun["text"].as_str().unwrap().contains("by 0.1"),
        "{begun}"
    );
    assert!(!begun["instance"].as_str().unwrap().is_empty());
    let delete = client.delete(&url).header("If-Match", "*");
    assert_eq!(delete.send().await.unwrap().status(), 200);
    let ended = taken(1).await;
    assert_eq!(
        (&ended["state"], &ended["begun_at"]),
        (&json!("ended"), &begun["begun_at"])
    );
    let lines = weir.logged("\"WeirEmergency\"");
    let levels: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].clone())
        .collect();
    assert_eq!(levels, ["WARN", "INFO"], "{lines:?}");
    assert!(
        !weir.logged("is sent again").is_empty(),
        "the first one was refused"
    );
    assert_eq!(weir.logged(SECRET), Vec::<String>::new());
    eventually(DEADLINE, "it is counted", async || {
        let scrape = Scrape::of_process(&weir).await?;
        let sent = scrape.value("weir_alert_notices_total{outcome=\"sent\"}");
        (sent >= 2.0).then_some(())
    })
    .await;
    assert!(weir.terminate().await.success());
}

#[tokio::test]
async fn a_webhook_that_is_no_url_is_refused_without_being_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("webhook");
    std::fs::write(&file, "ftp://hooks.example/secret").unwrap();
    for (flag, value) in [
        ("--alert-webhook", "ftp://hooks.example/secret"),
        ("--alert-webhook", "https://ann:secret@hooks.example/"),
        ("--alert-webhook-file", file.to_str().unwrap()),
    ] {
        let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["serve", "--data-dir"])
            .arg(directory.path())
            .args([flag, value])
            .output();
        let run = run.await.unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success());
        assert!(
            said.contains(flag) && said.contains("http or https URL"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
}
