//! One plan, from its window's counts until it is served: the time of each phase.

use weir::telemetry::metrics::{Label, PlanPhase};

use crate::DEADLINE;
use crate::fleet::Fleet;
use crate::postgres::TestDatabase;
use crate::process::{WeirCommand, WeirProcess, eventually};
use crate::support::scrape::Scrape;
use crate::table::{Row, seconds};

/// Plans over which a cycle is averaged.
const PLANS: usize = 2;

/// The cost of a plan.
pub struct Cycle {
    pub operations: usize,
    /// The duration of each phase in seconds, in their order.
    pub phases: Vec<(&'static str, f64)>,
    pub peak_memory_mib: f64,
}

/// A million operations on PostgreSQL; the growth has them on SQLite.
pub async fn run() {
    let database = TestDatabase::create().await;
    let command = WeirProcess::command().flag("--database-url", database.url());
    let (cycle, _weir) = Cycle::measure(command, 10_000).await;
    cycle.print("PostgreSQL");
}

impl Cycle {
    /// Runs a Weir until it has made some plans of all operations from complete windows.
    pub async fn measure(command: WeirCommand, services: usize) -> (Self, WeirProcess) {
        let client = reqwest::Client::new();
        let mut fleet = Fleet::new(services);
        let weir = command
            .flag("--interval", fleet.interval_text())
            .start()
            .await;
        let mut told = Told::next(&weir, &client, &mut fleet, &Told::default()).await;
        while told.operations < fleet.operations() as f64 {
            told = Told::next(&weir, &client, &mut fleet, &told).await;
        }
        // The first plan with every operation had known none of them before: those after it count.
        let first = told;
        let mut last = first.clone();
        for _ in 0..PLANS {
            last = Told::next(&weir, &client, &mut fleet, &last).await;
        }
        let cycle = Self {
            operations: fleet.operations(),
            phases: last.since(&first),
            peak_memory_mib: weir.peak_memory_kib() as f64 / 1024.0,
        };
        (cycle, weir)
    }

    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|(_, seconds)| seconds).sum()
    }

    /// The phases in words.
    pub fn phases(&self) -> String {
        let phase = |(name, took): &(&str, f64)| format!("{name} {}", seconds(*took));
        let phases: Vec<String> = self.phases.iter().map(phase).collect();
        phases.join(", ")
    }

    pub fn print(&self, database: &str) {
        let what = format!("a plan of {} operations, {database}", self.operations);
        let figure = format!("{} ({})", seconds(self.seconds()), self.phases());
        Row::new(what, figure, "≤ 1.7 s").print();
        let memory = format!("{:.0} MiB", self.peak_memory_mib);
        Row::new("— resident memory at its peak", memory, "≤ 1.4 GiB").print();
    }
}

/// The metrics about the plans so far.
#[derive(Clone, Default)]
pub struct Told {
    number: f64,
    pub operations: f64,
    /// Plans that went through all phases.
    plans: f64,
    seconds: Vec<f64>,
}

impl Told {
    /// Reports the whole fleet and waits until a plan has been computed and is served.
    pub async fn next(
        weir: &WeirProcess,
        client: &reqwest::Client,
        fleet: &mut Fleet,
        before: &Self,
    ) -> Self {
        fleet.report(client, weir.sdk_url()).await;
        Self::newer(weir, client, before).await
    }

    /// Waits until a plan newer than one has been computed and is served.
    pub async fn newer(weir: &WeirProcess, client: &reqwest::Client, before: &Self) -> Self {
        eventually(DEADLINE, "the next plan", async || {
            // Reading the metrics takes time too, so it is not done too often.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let now = Self::read(weir, client).await;
            (now.number > before.number && now.plans > before.plans).then_some(now)
        })
        .await
    }

    pub async fn read(weir: &WeirProcess, client: &reqwest::Client) -> Self {
        let asked = client.get(format!("{}/metrics", weir.admin_url())).send();
        let scrape = Scrape::read(asked.await.unwrap().text().await.unwrap());
        let phase = |phase: &PlanPhase, what: &str| {
            let phase = phase.value();
            scrape.value(&format!(
                "weir_plan_phase_seconds_{what}{{phase=\"{phase}\"}}"
            ))
        };
        Self {
            number: scrape.value("weir_plan_number"),
            operations: scrape.value("weir_plan_operations"),
            plans: phase(&PlanPhase::Install, "count"),
            seconds: PlanPhase::ALL.iter().map(|at| phase(at, "sum")).collect(),
        }
    }

    /// What each phase took a plan since an earlier reading.
    pub fn since(&self, before: &Self) -> Vec<(&'static str, f64)> {
        let plans = self.plans - before.plans;
        let sums = self.seconds.iter().zip(&before.seconds);
        PlanPhase::ALL
            .iter()
            .zip(sums)
            .map(|(phase, (after, before))| (phase.value(), (after - before) / plans))
            .collect()
    }
}
