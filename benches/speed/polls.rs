//! Polls: as fast as returning bytes from memory, and not slower while a plan is computed.

use crate::bare::Bare;
use crate::cycle::Told;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::process::WeirProcess;
use crate::table::{Row, thousands};
use crate::{median, wrk};

const SERVICES: usize = 10_000;
const ROUNDS: usize = 7;
const SECONDS: u32 = 2;

pub async fn run() {
    let client = reqwest::Client::new();
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let mut fleet = Fleet::new(SERVICES);
    let weir = command.clone().flag("--interval", fleet.interval_text());
    let weir = weir.start().await;
    let mut told = Told::default();
    while told.operations < fleet.operations() as f64 {
        told = Told::next(&weir, &client, &mut fleet, &told).await;
    }
    during_plans(&weir, &client, &mut fleet).await;
    assert!(weir.terminate().await.success());
    // With an hour to the next plan, what is measured is polls alone.
    let weir = command
        .flag("--interval", "1h")
        .environment("WEIR_CHANGE_FLEET_SETTINGS", "true");
    let weir = weir.start().await;
    let url = format!("{}/sampling?service=service-77", weir.sdk_url());
    let body = client.get(&url).send().await.unwrap();
    let body = body.bytes().await.unwrap();
    let listed = body.windows(11).filter(|at| at == b"\"operation\"").count();
    assert_eq!(listed, PER_SERVICE, "the plan is served");
    against_bytes(&weir, &body).await;
}

/// In turn, so that a machine that becomes slower slows all of them.
async fn against_bytes(weir: &WeirProcess, body: &[u8]) {
    let one = Bare::start(body, 1).await;
    let many = Bare::start(body, SERVICES).await;
    let turn = |poll: fn(&str, usize, u32) -> wrk::Load| {
        [
            poll(weir.sdk_url(), 1, SECONDS),
            poll(&one.url, 1, SECONDS),
            poll(weir.sdk_url(), SERVICES, SECONDS),
            poll(&many.url, 1, SECONDS),
        ]
    };
    let rounds: Vec<Round> = (0..ROUNDS)
        .map(|_| Round {
            many: turn(wrk::poll),
            few: turn(wrk::poll_few),
        })
        .collect();
    let what = format!("polls of a service of {PER_SERVICE} operations, {SERVICES} stored");
    compare(&what, "its bytes from a static", &rounds, 0, 1);
    let what = format!("polls of all {SERVICES} in turn");
    let limit = format!("{SERVICES} bodies in turn");
    compare(&what, &limit, &rounds, 2, 3);
    compare(&what, "one body, always in the cache", &rounds, 2, 1);
}

/// The results of one round, with many connections and with few.
struct Round {
    many: [wrk::Load; 4],
    few: [wrk::Load; 4],
}

/// Prints the rates and the tail latencies of two of the loads in each round.
fn compare(what: &str, limit: &str, rounds: &[Round], ours: usize, bare: usize) {
    let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let rate = |at: usize| of(&|round| round.many[at].requests_per_second);
    let tail = |at: usize| of(&|round| round.few[at].p99_milliseconds);
    Row::new(what, thousands(rate(ours)) + "/s", "≥ 0.90")
        .beside(
            format!("{}/s, {limit}", thousands(rate(bare))),
            of(&|round| rate_of(round, ours) / rate_of(round, bare)),
        )
        .print();
    Row::new(
        "— p99 over 4 connections",
        format!("{:.3} ms", tail(ours)),
        "≤ 1.50",
    )
    .beside(
        format!("{:.3} ms", tail(bare)),
        of(&|round| round.few[ours].p99_milliseconds / round.few[bare].p99_milliseconds),
    )
    .print();
}

fn rate_of(round: &Round, at: usize) -> f64 {
    round.many[at].requests_per_second
}

/// Plans come every ten seconds: a run of wrk that long sees one computed, wherever it begins.
async fn during_plans(weir: &WeirProcess, client: &reqwest::Client, fleet: &mut Fleet) {
    const SECONDS: u32 = 10;
    let (mut rates, mut tails, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let before = Told::next(weir, client, fleet, &Told::read(weir, client).await).await;
        let calm = poll(weir, 2).await;
        fleet.report(client, weir.sdk_url()).await;
        let busy = poll(weir, SECONDS).await;
        let after = Told::read(weir, client).await;
        let plan: f64 = after.since(&before).iter().map(|(_, took)| took).sum();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        rates.push(busy.requests_per_second / calm.requests_per_second);
        limits.push(1.0 - plan / f64::from(SECONDS) / cores as f64);
        tails.push(busy.p99_milliseconds);
    }
    let (rate, limit) = (median(rates), median(limits));
    let what = format!(
        "polls while a plan of {} operations is made",
        fleet.operations()
    );
    Row::new(what, format!("{rate:.2} of those without"), "≥ 1")
        .beside(
            format!("{limit:.2}: what it leaves of the cores"),
            rate / limit,
        )
        .print();
    Row::new("— p99", format!("{:.2} ms", median(tails)), "< 10 ms").print();
}

async fn poll(weir: &WeirProcess, seconds: u32) -> wrk::Load {
    let url = weir.sdk_url().to_owned();
    let polling = tokio::task::spawn_blocking(move || wrk::poll(&url, SERVICES, seconds));
    polling.await.unwrap()
}
