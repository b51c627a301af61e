//! Polls: as fast as returning bytes from memory, and not slower while a plan is computed.

use std::time::Duration;

use crate::bare::Bare;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::process::{WeirProcess, eventually};
use crate::{DEADLINE, median, wrk};

const SERVICES: usize = 10_000;
const ROUNDS: usize = 5;
const SECONDS: u32 = 4;

pub async fn run() {
    let client = reqwest::Client::new();
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.flag("--interval", "10s").start().await;
    let mut fleet = Fleet::new(SERVICES);
    println!("polls: {SERVICES} services of {PER_SERVICE} operations stored");
    let url = format!("{}/sampling?service=service-77", weir.sdk_url());
    let body = eventually(DEADLINE, "a plan that lists them", async || {
        fleet.report(&client, weir.sdk_url()).await;
        let body = client.get(&url).send().await.ok()?.bytes().await.ok()?;
        let listed = body.windows(11).filter(|at| at == b"\"operation\"").count();
        (listed == PER_SERVICE).then_some(body)
    })
    .await;
    against_bytes(&weir, &body).await;
    during_plans(&weir, &client, &mut fleet).await;
}

/// Turn and turn about, so that a machine that grows slower slows both.
async fn against_bytes(weir: &WeirProcess, body: &[u8]) {
    let bare = Bare::start(body).await;
    let (mut rates, mut tails, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let limit = wrk::poll(&bare.url, SERVICES, SECONDS);
        let weir = wrk::poll(weir.sdk_url(), SERVICES, SECONDS);
        rates.push(weir.requests_per_second / limit.requests_per_second);
        tails.push(weir.p99_milliseconds / limit.p99_milliseconds);
        found.push((weir, limit));
    }
    let of =
        |figure: fn(&(wrk::Load, wrk::Load)) -> f64| median(found.iter().map(figure).collect());
    println!(
        "  throughput    {:>9.0} polls/s   limit {:>9.0}   ratio {:.2}   (goal ≥ 0.90)",
        of(|(weir, _)| weir.requests_per_second),
        of(|(_, limit)| limit.requests_per_second),
        median(rates),
    );
    println!(
        "  p99           {:>9.2} ms        limit {:>9.2}   ratio {:.2}   (goal ≤ 1.50)",
        of(|(weir, _)| weir.p99_milliseconds),
        of(|(_, limit)| limit.p99_milliseconds),
        median(tails),
    );
}

/// Plans come every ten seconds; a run of wrk over one of them sees it computed.
async fn during_plans(weir: &WeirProcess, client: &reqwest::Client, fleet: &mut Fleet) {
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    let mut quiet = Vec::new();
    for _ in 0..3 {
        fleet.report(client, weir.sdk_url()).await;
        let url = weir.sdk_url().to_owned();
        let busy = tokio::task::spawn_blocking(move || wrk::poll(&url, SERVICES, 12))
            .await
            .unwrap();
        wait_for_plan(weir, client).await;
        let url = weir.sdk_url().to_owned();
        let calm = tokio::task::spawn_blocking(move || wrk::poll(&url, SERVICES, 3))
            .await
            .unwrap();
        rates.push(busy.requests_per_second / calm.requests_per_second);
        tails.push(busy.p99_milliseconds);
        quiet.push(calm.p99_milliseconds);
    }
    println!(
        "  while a plan of {} operations is computed: {:.2} of the throughput without, p99 {:.2} ms ({:.2} without)   (goal p99 < 10 ms)",
        fleet.operations(),
        median(rates),
        median(tails),
        median(quiet),
    );
}

async fn wait_for_plan(weir: &WeirProcess, client: &reqwest::Client) {
    let url = format!("{}/v1/plans/current", weir.admin_url());
    let number = async || {
        let plan: serde_json::Value = client.get(&url).send().await.ok()?.json().await.ok()?;
        plan["plan"].as_u64()
    };
    let before = number().await;
    eventually(DEADLINE, "the next plan", async || {
        (number().await > before).then_some(())
    })
    .await;
    // What a plan leaves to do, dropping the one before it above all, is over soon after.
    tokio::time::sleep(Duration::from_millis(500)).await;
}
