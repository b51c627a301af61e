//! The cycle from a window's counts to served strategies, from a thousand operations to a million.

use std::collections::BTreeMap;

use crate::DEADLINE;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::process::{WeirProcess, eventually};

const SERVICES: [usize; 4] = [10, 100, 1_000, 10_000];

pub async fn run() {
    println!("growth: one plan, from its window's counts to stored and served");
    println!("  operations   cycle s   peak memory MiB   disk MiB   phases, seconds");
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
    let operations = (services * PER_SERVICE) as f64;
    // The first plan with every operation knows none of them before: what counts is the next.
    let mut before: Option<Phases> = None;
    let cycle = eventually(DEADLINE, "two plans of all operations", async || {
        fleet.report(&client, weir.sdk_url()).await;
        let now = Phases::scrape(&client, weir.admin_url()).await?;
        if now.operations < operations {
            return None;
        }
        let first = before.get_or_insert_with(|| now.clone());
        (now.plans > first.plans).then(|| now.since(first))
    })
    .await;
    let memory = weir.peak_memory_kib() as f64 / 1024.0;
    let files = std::fs::read_dir(directory.path()).unwrap();
    let disk: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "  {operations:>10}   {:>7.3}   {memory:>15.0}   {:>8.1}   {}",
        cycle.iter().map(|(_, seconds)| seconds).sum::<f64>(),
        disk as f64 / 1024.0 / 1024.0,
        cycle
            .iter()
            .map(|(phase, seconds)| format!("{phase} {seconds:.3}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
}

/// What the metrics say of plans and their phases.
#[derive(Clone)]
struct Phases {
    plans: f64,
    operations: f64,
    seconds: BTreeMap<String, f64>,
}

impl Phases {
    async fn scrape(client: &reqwest::Client, admin_url: &str) -> Option<Self> {
        let text = client
            .get(format!("{admin_url}/metrics"))
            .send()
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        let one = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .and_then(value)
        };
        let start = "weir_plan_phase_seconds_sum{phase=\"";
        let seconds = text.lines().filter_map(|line| {
            let phase = line.strip_prefix(start)?.split('"').next()?;
            Some((phase.to_owned(), value(line)?))
        });
        Some(Self {
            plans: one("weir_plan_number ")?,
            operations: one("weir_plan_operations ")?,
            seconds: seconds.collect(),
        })
    }

    /// What each phase took a plan since an earlier reading.
    fn since(&self, before: &Self) -> Vec<(String, f64)> {
        let plans = self.plans - before.plans;
        let took = |phase: &str| self.seconds[phase] - before.seconds.get(phase).unwrap_or(&0.0);
        self.seconds
            .keys()
            .map(|phase| (phase.clone(), took(phase) / plans))
            .collect()
    }
}
