//! Which counts are believed, through the front door: the faults of a fleet and what is kept meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// Root requests a second that each agent sees of each operation.
const RATES: &[(&str, f64)] = &[("GET /", 1500.0), ("POST /buy", 500.0)];

const BUDGET: f64 = 100.0;

/// A Weir with agents that report its traffic, or fall silent while the traffic goes on.
struct World {
    app: TestApp,
    agents: Vec<Agent>,
    /// Agents that see traffic, whether they report or not.
    traffic: usize,
    /// The part of the traffic that is there.
    part: f64,
    /// How many requests went to operations that are never seen again; none if absent.
    minted: Option<u64>,
    plan: u64,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(agents: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = TestApp::start(directory.path(), &[]).await;
        app.set_budget(BUDGET).await;
        Self {
            app,
            agents: fleet("node", agents),
            traffic: agents,
            part: 1.0,
            minted: None,
            plan: 0,
            _directory: directory,
        }
    }

    /// The same, once three plans one after the other meet the budget.
    async fn settled(agents: usize) -> Self {
        let mut world = Self::start(agents).await;
        world.meets(BUDGET, 3).await;
        world
    }

    async fn report(&mut self) {
        for agent in &mut self.agents {
            let rates = RATES
                .iter()
                .map(|(operation, rate)| (*operation, rate * self.part));
            let rates: Vec<_> = rates.collect();
            if let Some(mut report) = agent.next(&[("shop", &rates)]) {
                if let Some(minted) = &mut self.minted {
                    *minted += 1;
                    let once = json!({ "operation": format!("GET /{minted}"), "offered": 1, "sampled": 0 });
                    report["services"][0]["operations"]
                        .as_array_mut()
                        .unwrap()
                        .push(once);
                }
                assert_eq!(self.app.report(&report).await.0, 200);
            }
        }
    }

    /// What all traffic keeps with the next plan, in traces/s.
    async fn next_plan(&mut self) -> f64 {
        let last = self.plan;
        self.plan = eventually(DEADLINE, "the next plan", async || {
            self.report().await;
            let plan = self.app.plan().await?["plan"].as_u64()?;
            (plan > last).then_some(plan)
        })
        .await;
        self.kept().await
    }

    async fn kept(&self) -> f64 {
        let body = self.app.poll("shop").await;
        let sampling = &body["operationSampling"];
        let listed = sampling["perOperationStrategies"].as_array().unwrap();
        let probability = |operation: &str| {
            let found = listed.iter().find(|entry| entry["operation"] == operation);
            let found = found.map(|entry| &entry["probabilisticSampling"]["samplingRate"]);
            let found = found.unwrap_or(&sampling["defaultSamplingProbability"]);
            found.as_f64().unwrap()
        };
        let kept = |(operation, rate): &(&str, f64)| rate * probability(operation);
        self.traffic as f64 * RATES.iter().map(kept).sum::<f64>()
    }

    /// Waits until this many plans one after the other meet a budget within 5 %.
    async fn meets(&mut self, budget: f64, plans: usize) {
        let (mut met, mut tried) = (0, Vec::new());
        while met < plans {
            let kept = self.next_plan().await;
            met = if (kept / budget - 1.0).abs() <= 0.05 {
                met + 1
            } else {
                0
            };
            tried.push(kept);
            assert!(tried.len() < 40, "{budget} are not met: {tried:?}");
        }
    }

    /// Checks what the next plans keep, relative to the budget.
    async fn stays(&mut self, plans: usize, least: f64, most: f64) {
        let mut kept = Vec::new();
        for _ in 0..plans {
            kept.push(self.next_plan().await / BUDGET);
        }
        let within = |kept: &f64| (least..=most).contains(kept);
        assert!(kept.iter().all(within), "{least} to {most}: {kept:?}");
    }

    async fn stop(self) {
        self.app.stop().await;
    }
}

fn fleet(name: &str, agents: usize) -> Vec<Agent> {
    let named = |number| Agent::every(&format!("{name}-{number}"), 0.25);
    (0..agents).map(named).collect()
}

/// Some of eight agents fall silent, and their traffic goes on. Then they come back.
async fn silent(agents: usize) {
    let mut world = World::settled(8).await;
    let mut gone = world.agents.split_off(8 - agents);
    world.stays(12, 0.8, 1.1).await;
    let plan = world.app.plan().await.unwrap();
    assert_eq!(plan["agents_missing"], agents, "{plan}");
    // What they counted meanwhile is lost.
    for agent in &mut gone {
        agent.next(&[]);
    }
    world.agents.append(&mut gone);
    world.meets(BUDGET, 3).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_fall_silent_raise_nothing_for_as_long_as_it_takes() {
    tokio::join!(silent(1), silent(4), silent(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_all_restart_under_new_names_are_no_new_traffic() {
    let mut world = World::settled(4).await;
    // An agent that begins at a full second would count again what the one before it has reported.
    let new = world.agents.iter().enumerate();
    let new = new.map(|(number, old)| old.replaced_by(&format!("restarted-{number}")));
    world.agents = new.collect();
    world.stays(8, 0.8, 1.2).await;
    world.meets(BUDGET, 3).await;
    world.stop().await;
}

/// A function lives for one report. Its successor has another name.
#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_report_each_are_as_good_as_others() {
    let mut world = World::start(0).await;
    world.traffic = 4;
    let (mut born, mut met) = (0, 0);
    let mut running: Vec<Agent> = Vec::new();
    let mut plan = 0;
    eventually(DEADLINE, "five plans that meet the budget", async || {
        while running.len() < 4 {
            born += 1;
            // It begins where its predecessor ended: at a full second.
            running.push(Agent::every(&format!("function-{born}"), 1.0));
        }
        let mut alive = Vec::new();
        for mut agent in running.drain(..) {
            match agent.next(&[("shop", RATES)]) {
                Some(report) => assert_eq!(world.app.report(&report).await.0, 200),
                None => alive.push(agent),
            }
        }
        running = alive;
        let now = world.app.plan().await?["plan"].as_u64()?;
        if now > plan {
            plan = now;
            let kept = world.kept().await;
            met = if (kept / BUDGET - 1.0).abs() <= 0.05 {
                met + 1
            } else {
                0
            };
        }
        (met == 5).then_some(())
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_budget_is_kept_in_the_next_plan_heard_or_not() {
    let mut world = World::settled(4).await;
    world.app.set_budget(10.0 * BUDGET).await;
    let kept = world.next_plan().await.max(world.next_plan().await);
    assert!(
        (0.95..=1.05).contains(&(kept / (10.0 * BUDGET))),
        "raised: {kept}"
    );
    // A cut needs nobody to report.
    world.agents.clear();
    world.app.set_budget(BUDGET / 10.0).await;
    let (_, kept) = (world.next_plan().await, world.next_plan().await);
    assert!(kept <= 1.05 * BUDGET / 10.0, "cut: {kept}");
    world.app.set_budget(0.0).await;
    let (_, kept) = (world.next_plan().await, world.next_plan().await);
    assert_eq!(kept, 0.0, "a budget of 0 while nobody reports");
    let plan = world.app.plan().await.unwrap();
    assert_eq!(plan["budget_traces_per_second"], json!(0.0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_database_the_budget_is_met_with_the_second_plan_of_traffic() {
    let mut world = World::start(4).await;
    let mut plans = Vec::new();
    // Until reports come in whole windows: the first covers a part of one.
    while plans.len() < 4 {
        plans.push(world.next_plan().await / BUDGET);
    }
    assert!((0.95..=1.05).contains(&plans[3]), "{plans:?}");
    world.stop().await;
}

/// Ids in the names of operations: each report has a name that never comes again.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_never_come_back_cost_the_others_nothing() {
    let mut world = World::settled(4).await;
    world.minted = Some(0);
    world.stays(10, 0.9, 1.05).await;
    world.meets(BUDGET, 3).await;
    assert!(world.minted > Some(50), "{:?}", world.minted);
    world.stop().await;
}

/// Traffic halves from plan to plan, is silent, and is back at once.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_that_fades_and_returns_costs_a_few_budgets() {
    let mut world = World::settled(4).await;
    // So long that this is the level from which it fades.
    world.meets(BUDGET, 9).await;
    for _ in 0..6 {
        world.part /= 2.0;
        world.next_plan().await;
    }
    world.part = 0.0;
    for _ in 0..4 {
        world.next_plan().await;
    }
    // At probability 1 it would be 80 budgets.
    let kept = world.kept().await / BUDGET;
    assert!(kept <= 25.0, "{kept} budgets at the return");
    world.part = 1.0;
    world.meets(BUDGET, 2).await;
    world.stop().await;
}

/// One agent claims absurd counts five times, then falls silent; the traffic doubles meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_absurd_counts_does_not_move_the_plan() {
    let mut world = World::settled(4).await;
    let mut wild = Agent::every("wild", 0.25);
    for _ in 0..5 {
        world.next_plan().await;
        if let Some(mut report) = wild.next(&[("shop", RATES)]) {
            report["services"][0]["operations"][0]["offered"] = json!(1_000_000_000_000_u64);
            assert_eq!(world.app.report(&report).await.0, 200);
        }
    }
    world.stays(10, 0.8, 1.2).await;
    world.meets(BUDGET, 2).await;
    world.stop().await;
}
