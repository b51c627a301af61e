//! The cycle from a window's counts to served strategies, from a thousand operations to a million.

use serde_json::Value;

use crate::DEADLINE;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::process::{WeirProcess, eventually};

const SERVICES: [usize; 4] = [10, 100, 1_000, 10_000];

pub async fn run() {
    println!("growth: one plan, from its window's counts to stored and served");
    println!("  operations   cycle s   peak memory MiB   disk MiB");
    for services in SERVICES {
        measure(services).await;
    }
}

async fn measure(services: usize) {
    let client = reqwest::Client::new();
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.flag("--interval", "10s").start().await;
    let mut fleet = Fleet::new(services);
    let url = format!("{}/v1/plans/current", weir.admin_url());
    let mut full = 0;
    // The first plan with every operation knows none of them before: take the second.
    eventually(DEADLINE, "two plans of all operations", async || {
        fleet.report(&client, weir.sdk_url()).await;
        let plan: Value = client.get(&url).send().await.ok()?.json().await.ok()?;
        let operations = plan["operations"].as_u64()? as usize;
        if operations == services * PER_SERVICE {
            full = full.max(plan["plan"].as_u64()?);
        }
        let first = weir
            .log()
            .iter()
            .filter(|line| line.contains("published a plan"))
            .count();
        (full > 0 && first as u64 > full).then_some(())
    })
    .await;
    let lines = weir.log();
    let line = lines
        .iter()
        .rfind(|line| line.contains("published a plan"))
        .unwrap();
    let took = line.split("took_milliseconds=").nth(1).unwrap();
    let took: f64 = took.split_whitespace().next().unwrap().parse().unwrap();
    let memory = weir.peak_memory_kib() as f64 / 1024.0;
    let files = std::fs::read_dir(directory.path()).unwrap();
    let disk: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "  {:>10}   {:>7.3}   {:>15.0}   {:>8.1}",
        services * PER_SERVICE,
        took / 1e3,
        memory,
        disk as f64 / 1024.0 / 1024.0
    );
}
