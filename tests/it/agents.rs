//! Agents as plans see them: late, missing, ended, and how the API lists them.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::app::{Agent, TestApp, report};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// Root requests a second that each agent sees of each operation.
const RATES: &[(&str, f64)] = &[("GET /", 3000.0), ("POST /buy", 1000.0)];

/// An agent whose reports arrive some time after the end of their window.
struct Late {
    agent: Agent,
    late: Duration,
    waiting: VecDeque<(Instant, Value)>,
    /// How late the latest report was in fact: more than it should be, on a slow machine.
    latest: Duration,
}

impl Late {
    fn new(name: &str, every_seconds: f64, late_seconds: f64) -> Self {
        Self {
            agent: Agent::every(name, every_seconds),
            late: Duration::from_secs_f64(late_seconds),
            waiting: VecDeque::new(),
            latest: Duration::ZERO,
        }
    }

    /// Makes the report that is due, and delivers those whose time has come.
    async fn work(&mut self, app: &TestApp) {
        let made = self.agent.next(&[("shop", RATES)]);
        let now = Instant::now();
        let arrives = now + self.late;
        self.waiting.extend(made.map(|report| (arrives, report)));
        while let Some((arrives, report)) = self.waiting.pop_front_if(|(at, _)| *at <= now) {
            assert_eq!(app.report(&report).await.0, 200);
            self.latest = self.latest.max(self.late + arrives.elapsed());
        }
    }
}

async fn work(agents: &mut [Late], app: &TestApp) {
    for agent in agents {
        agent.work(app).await;
    }
}

/// What this many agents' requests keep at the probabilities that are served, in traces/s.
async fn kept(app: &TestApp, agents: usize) -> f64 {
    let body = app.poll("shop").await;
    let sampling = &body["operationSampling"];
    let listed = sampling["perOperationStrategies"].as_array().unwrap();
    let probability = |operation: &str| {
        let found = listed.iter().find(|entry| entry["operation"] == operation);
        let found = found.map(|entry| &entry["probabilisticSampling"]["samplingRate"]);
        let found = found.unwrap_or(&sampling["defaultSamplingProbability"]);
        found.as_f64().unwrap()
    };
    let kept = |(operation, rate): &(&str, f64)| rate * probability(operation);
    agents as f64 * RATES.iter().map(kept).sum::<f64>()
}

/// Agents of which some are late: the budget is met within 5 % in five plans one after the other, and
/// nothing is held.
async fn lateness_costs_nothing(late_seconds: [f64; 4], windows_read: u64) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    app.set_budget(100.0).await;
    let agents = late_seconds.iter().enumerate();
    let mut agents: Vec<Late> = agents
        .map(|(number, late)| Late::new(&format!("node-{number}"), 1.0, *late))
        .collect();
    let (mut last, mut met, mut tried) = (0, 0, Vec::new());
    let what = format!("five plans that meet the budget with agents {late_seconds:?} s late");
    let plan = eventually(DEADLINE, &what, async || {
        work(&mut agents, &app).await;
        let plan = app.plan().await?;
        if plan["plan"].as_u64()? > last {
            last = plan["plan"].as_u64()?;
            let kept = kept(&app, agents.len()).await;
            let missing = plan["agents_missing"].as_u64()?;
            tried.push((kept, missing));
            let good = (kept / 100.0 - 1.0).abs() <= 0.05 && plan["hold"] == "none" && missing == 0;
            met = if good { met + 1 } else { 0 };
            if tried.len() == 30 {
                let (_, agents) = app.admin_get("/v1/agents").await;
                panic!("agents {late_seconds:?} s late: {tried:?}, {plan}, {agents}");
            }
        }
        (met == 5).then_some(plan)
    })
    .await;
    let read = plan["windows_read"].as_u64().unwrap();
    assert!((2..=windows_read).contains(&read), "{plan}");
    let (_, listed) = app.admin_get("/v1/agents").await;
    let listed = listed["agents"].as_array().unwrap();
    for ((agent, late), sent) in listed.iter().zip(late_seconds).zip(&agents) {
        let usual = agent["usual_late_seconds"].as_f64().unwrap();
        let latest = sent.latest.as_secs_f64();
        // A plan waits for a grace after its window, and the agent's window is not the plan's.
        assert!(
            (late - 1.0..=latest + 1.5).contains(&usual),
            "{agent}, {latest} at most"
        );
        assert_eq!(agent["state"], "known", "{agent}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_agents_keep_the_budget_and_hold_nothing() {
    tokio::join!(
        lateness_costs_nothing([0.0; 4], 4),
        lateness_costs_nothing([0.5; 4], 4),
        lateness_costs_nothing([1.25; 4], 5),
        lateness_costs_nothing([3.0; 4], 7),
        lateness_costs_nothing([0.0, 0.5, 1.25, 3.0], 7),
    );
}

/// The agents that the API lists, by state.
async fn states(app: &TestApp) -> Vec<(String, String)> {
    let (status, listed) = app.admin_get("/v1/agents").await;
    assert_eq!(status, 200, "{listed}");
    let agents = listed["agents"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    agents
        .map(|agent| (text(&agent["agent"]), text(&agent["state"])))
        .collect()
}

fn stand(states: &[(&str, &str)]) -> Vec<(String, String)> {
    let states = states.iter();
    states
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect()
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_missing_and_one_that_ends_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let names = ["ends", "falls silent", "stays"];
    let mut agents = names.map(|name| Late::new(name, 0.2, 0.0));
    eventually(DEADLINE, "three known agents", async || {
        work(&mut agents, &app).await;
        (states(&app).await == stand(&names.map(|name| (name, "known")))).then_some(())
    })
    .await;
    let [mut ends, _, stays] = agents;
    let mut goodbye = None;
    while goodbye.is_none() {
        tokio::task::yield_now().await;
        goodbye = ends.agent.next(&[("shop", RATES)]);
    }
    let mut goodbye = goodbye.unwrap();
    goodbye["last"] = json!(true);
    assert_eq!(app.report(&goodbye).await.0, 200);
    let mut stays = [stays];
    let left = stand(&[("falls silent", "missing"), ("stays", "known")]);
    eventually(DEADLINE, "one missing, one gone", async || {
        work(&mut stays, &app).await;
        let states = states(&app).await;
        let ended = states
            .iter()
            .all(|(name, state)| name != "ends" || state != "missing");
        assert!(ended, "{states:?}");
        (states == left).then_some(())
    })
    .await;
    missing_is_told_everywhere(&app).await;
    app.stop().await;
}

async fn missing_is_told_everywhere(app: &TestApp) {
    let plan = app.plan().await.unwrap();
    assert_eq!(plan["agents_missing"], 1, "{plan}");
    assert_eq!(plan["services_unheard"], 1, "{plan}");
    let completeness = plan["completeness"].as_f64().unwrap();
    assert!((0.4..0.6).contains(&completeness), "{plan}");
    let (_, missing) = app.admin_get("/v1/agents?state=missing&service=shop").await;
    let agent = &missing["agents"][0];
    assert_eq!(agent["agent"], "falls silent");
    assert!(agent["missing_seconds"].as_f64().unwrap() >= 1.0, "{agent}");
    let offered = agent["offered_per_second"].as_f64().unwrap();
    assert!((3000.0..5000.0).contains(&offered), "{agent}");
    assert_eq!(agent["services"][0]["service"], "shop");
    let (_, operations) = app.admin_get("/v1/services/shop/operations").await;
    let explanation = &operations["operations"][0]["reason"]["explanation"];
    let explanation = explanation.as_str().unwrap();
    assert!(
        explanation.contains("are missing; their traffic is assumed to go on"),
        "{explanation}"
    );
    let metrics = app
        .client
        .get(format!("{}/metrics", app.admin))
        .send()
        .await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for line in [
        "weir_agents{state=\"missing\"} 1\n",
        "weir_services_unheard 1\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test]
async fn agents_come_in_pages_by_name_and_another_replica_finds_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for name in ["c", "a", "b"] {
        let sent = app.report(&report(name, Uuid::new_v4(), 1, 500)).await;
        assert_eq!(sent.0, 200);
    }
    let all = stand(&[("a", "new"), ("b", "new"), ("c", "new")]);
    let listed = async |app: &TestApp| {
        let mut states = states(app).await;
        // They report once, so they may be missing by the time.
        states
            .iter_mut()
            .for_each(|(_, state)| *state = "new".into());
        (states == all).then_some(())
    };
    eventually(DEADLINE, "three agents", async || listed(&app).await).await;
    let (_, first) = app.admin_get("/v1/agents?limit=2").await;
    assert_eq!(first["agents"].as_array().unwrap().len(), 2);
    assert_eq!(first["next"], "b");
    let (_, second) = app.admin_get("/v1/agents?limit=2&after=b").await;
    assert_eq!(second["agents"][0]["agent"], "c");
    assert_eq!(second["next"], Value::Null);
    for (query, status) in [
        ("state=asleep", 400),
        ("service=none", 404),
        ("limit=0", 400),
    ] {
        let answer = app.admin_get(&format!("/v1/agents?{query}")).await;
        assert_eq!(answer.0, status, "{}", answer.1);
    }
    app.stop().await;
    let again = TestApp::start(directory.path(), &[]).await;
    eventually(DEADLINE, "their names after a restart", async || {
        listed(&again).await
    })
    .await;
    again.stop().await;
}
