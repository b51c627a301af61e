//! What operators wait for: a change seen at another replica, many revisions, many rules.

use std::time::Instant;

use serde_json::{Value, json};

use crate::cycle::{Cycle, Told};
use crate::fleet::{Fleet, PER_SERVICE};
use crate::postgres::TestDatabase;
use crate::process::{WeirProcess, eventually};
use crate::table::{Row, seconds};
use crate::{DEADLINE, median};

const CHANGES: usize = 200;
const REVISIONS: usize = 10_000;
const RULES: usize = 20_000;
const SERVICES: usize = 1_000;
/// What a service that nobody knows is served before an emergency; no more than this is ever served to one.
const INITIAL: f64 = 0.5;
/// How often each answer is asked for.
const ROUNDS: usize = 7;

pub async fn run() {
    changes().await;
    emergencies().await;
    revisions().await;
    rules().await;
}

/// Puts the budget at one replica, and waits until another one answers with it.
async fn changes() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let (one, other) = (command.start().await, command.start().await);
    let client = reqwest::Client::new();
    let mut took = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let wanted = 20.0 + change as f64;
        let began = Instant::now();
        put_budget(&client, one.admin_url(), wanted).await;
        eventually(DEADLINE, "the change is there", async || {
            let read = get(&client, &format!("{}/v1/budget", other.admin_url())).await;
            (read["traces_per_second"] == wanted).then_some(())
        })
        .await;
        took.push(began.elapsed().as_secs_f64());
    }
    let what = format!("a change at one replica in what another says, {CHANGES} changes");
    Row::new(what, middle_and_end(took), "p99 ≤ 2 s").print();
}

/// Cuts what is served at one replica, and waits until another one answers polls with it.
async fn emergencies() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command()
        .flag("--database-url", database.url())
        .flag("--initial-probability", INITIAL.to_string());
    let (one, other) = (command.start().await, command.start().await);
    let client = reqwest::Client::new();
    let mut took = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let factor = 0.1 + change as f64 / 1000.0;
        let began = Instant::now();
        let request = client.put(format!("{}/v1/emergency", one.admin_url()));
        let emergency = json!({ "factor": factor, "owner": "bench", "reason": "measured" });
        let answer = request.header("If-Match", "*").json(&emergency).send();
        assert_eq!(answer.await.unwrap().status(), 200);
        let url = format!("{}/sampling?service=unknown", other.sdk_url());
        eventually(DEADLINE, "the cut is served", async || {
            let read = get(&client, &url).await;
            let served = read["probabilisticSampling"]["samplingRate"].as_f64()?;
            ((served - factor * INITIAL).abs() < 1e-9).then_some(())
        })
        .await;
        took.push(began.elapsed().as_secs_f64());
    }
    let what = format!("an emergency at one replica in the polls of another, {CHANGES} changes");
    Row::new(what, middle_and_end(took), "p99 ≤ 2 s").print();
}

fn middle_and_end(mut took: Vec<f64>) -> String {
    took.sort_by(f64::total_cmp);
    let (middle, end) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    format!("p50 {}, p99 {}", seconds(middle), seconds(end))
}

/// The first and the last writes of many, and a page of them.
async fn revisions() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let weir = command.start().await;
    let client = reqwest::Client::new();
    let mut took = Vec::with_capacity(REVISIONS);
    for revision in 0..REVISIONS {
        let began = Instant::now();
        put_budget(&client, weir.admin_url(), 20.0 + (revision % 1000) as f64).await;
        took.push(began.elapsed().as_secs_f64());
    }
    let last = median(took.split_off(REVISIONS - 100));
    took.truncate(100);
    let first = median(took);
    Row::new(
        format!("a change after {REVISIONS} revisions"),
        seconds(last),
        "",
    )
    .beside(format!("{} after none", seconds(first)), last / first)
    .print();
    let url = format!("{}/v1/configuration/revisions?limit=100", weir.admin_url());
    let figure = seconds(median_of(&client, &url).await);
    Row::new("— a page of 100 revisions", figure, "").print();
}

/// Answers and a plan with as many rules as a document may have.
async fn rules() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let (without, weir) = Cycle::measure(command, SERVICES).await;
    let client = reqwest::Client::new();
    let began = Instant::now();
    put_rules(&client, weir.admin_url()).await;
    let written = began.elapsed().as_secs_f64();
    let what = format!(
        "{RULES} rules for {} operations: writing them",
        SERVICES * PER_SERVICE
    );
    Row::new(what, seconds(written), "").print();
    let mut fleet = Fleet::new(SERVICES);
    let before = Told::read(&weir, &client).await;
    let first = Told::next(&weir, &client, &mut fleet, &before).await;
    let second = Told::next(&weir, &client, &mut fleet, &first).await;
    let with: f64 = second.since(&first).iter().map(|(_, took)| took).sum();
    Row::new("— a plan with them", seconds(with), "")
        .beside(
            format!("{} without", seconds(without.seconds())),
            with / without.seconds(),
        )
        .print();
    for (what, path) in [
        (
            "— a page of them with what each matches",
            "/v1/rules?limit=100",
        ),
        ("— one, with its effect", "/v1/rules/rule-77"),
        (
            "— a service's operations, with the rules of each",
            "/v1/services/service-7/operations",
        ),
    ] {
        let url = format!("{}{path}", weir.admin_url());
        Row::new(what, seconds(median_of(&client, &url).await), "").print();
    }
}

/// A fifth with a name, a fifth for a service, and the rest with patterns.
async fn put_rules(client: &reqwest::Client, admin: &str) {
    let rules: serde_json::Map<String, Value> = (0..RULES)
        .map(|at| {
            let service = format!("service-{}", at % SERVICES);
            let operation = format!("GET /path/{}", at % PER_SERVICE);
            let (service, operation) = match at % 5 {
                0 => (service, operation),
                1 => (service, "*".into()),
                2 => (service, format!("*{}", at % PER_SERVICE)),
                3 => (format!("*-{}", at % SERVICES), operation),
                _ => ("service-*".into(), format!("GET /*/{}", at % PER_SERVICE)),
            };
            let rule = json!({
                "service": service, "operation": operation, "set": {"weight": 1.0 + (at % 7) as f64},
                "owner": "bench", "reason": "measured", "expires": "never", "expect": "later",
            });
            (format!("rule-{at}"), rule)
        })
        .collect();
    let request = client.put(format!("{admin}/v1/configuration"));
    let document = json!({ "budget": { "traces_per_second": 100 }, "rules": rules });
    let written = request.header("If-Match", "*").json(&document).send();
    let written = written.await.unwrap();
    assert_eq!(written.status(), 200, "{}", written.text().await.unwrap());
}

async fn put_budget(client: &reqwest::Client, admin: &str, traces_per_second: f64) {
    let request = client.put(format!("{admin}/v1/budget"));
    let request = request.header("If-Match", "*");
    let body = json!({ "traces_per_second": traces_per_second });
    let answer = request.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

async fn get(client: &reqwest::Client, url: &str) -> Value {
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.unwrap()
}

async fn median_of(client: &reqwest::Client, url: &str) -> f64 {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        get(client, url).await;
        took.push(began.elapsed().as_secs_f64());
    }
    median(took)
}
