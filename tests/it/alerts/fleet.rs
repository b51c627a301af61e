//! Faults of the fleet: agents and SDKs that misbehave, and budgets that cannot be met.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::traffic::{AGENTS, Fleet, Manners, SERVICE};
use super::world::World;
use crate::support::app::TestApp;

const DEADLINE: Duration = Duration::from_secs(60);

/// In how many plans the usual polls are learned, beyond the first in which they are known.
const LEARNING: u64 = 40;

/// A Weir with a fleet of its own, under a job's name.
struct Watched {
    app: TestApp,
    fleet: Fleet,
    _directory: tempfile::TempDir,
}

impl Watched {
    async fn start(world: &World, job: &str, flags: &[&str], manners: Manners) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = TestApp::start(directory.path(), flags).await;
        let fleet = Fleet::start(&app.sdk, manners);
        world.watch(job, &[&app.admin]).await;
        world.has_traffic(job).await;
        Self {
            app,
            fleet,
            _directory: directory,
        }
    }
}

/// SDKs sample everything, whatever they are served; then they comply.
pub async fn disobedience(world: Arc<World>) {
    let job = "weir-disobedience";
    let manners = Manners {
        keeps_everything: true,
        ..Manners::default()
    };
    let weir = Watched::start(&world, job, &[], manners).await;
    world.fires(job, "WeirProbabilitiesNotApplied").await;
    world.fires(job, "WeirBudgetMissed").await;
    weir.fleet
        .behave(|manners| manners.keeps_everything = false);
    world.clears(job, "WeirProbabilitiesNotApplied").await;
    world.clears(job, "WeirBudgetMissed").await;
    weir.app.stop().await;
}

/// The floors of all operations together exceed the budget.
pub async fn greedy_floors(world: Arc<World>) {
    let job = "weir-floors";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    weir.app.set_budget(0.1).await;
    set_coverage(&weir.app, 0.99).await;
    world.fires(job, "WeirFloorsInfeasible").await;
    set_coverage(&weir.app, 0.0).await;
    world.clears(job, "WeirFloorsInfeasible").await;
    weir.app.stop().await;
}

/// A group's cap is below the floors inside it; then the cap is removed.
pub async fn greedy_floors_in_a_group(world: Arc<World>) {
    let job = "weir-group-floors";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    let each = json!({ "floor_traces_per_second": 1.0 });
    let configured = |group: Value| {
        json!({
            "groups": { "batch": group },
            "services": { SERVICE: { "group": "batch", "each": each } },
        })
    };
    configure(
        &weir.app,
        &configured(json!({ "cap_traces_per_second": 0.1 })),
    )
    .await;
    world.fires(job, "WeirGroupFloorsInfeasible").await;
    configure(&weir.app, &configured(json!({}))).await;
    world.clears(job, "WeirGroupFloorsInfeasible").await;
    weir.app.stop().await;
}

async fn configure(app: &TestApp, document: &Value) {
    let put = app
        .client
        .put(format!("{}/v1/configuration", app.admin))
        .header("If-Match", "*")
        .json(document);
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

async fn set_coverage(app: &TestApp, probability: f64) {
    let put = app
        .client
        .put(format!("{}/v1/coverage", app.admin))
        .header("If-Match", "*")
        .json(&json!({ "probability": probability, "within_seconds": 5 }));
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

/// Half of the agents stop reporting, and start again.
pub async fn silence(world: Arc<World>) {
    let job = "weir-silence";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    world.clears(job, "WeirAgentsMissing").await;
    weir.fleet.behave(|manners| manners.heard = AGENTS / 2);
    world.fires(job, "WeirAgentsMissing").await;
    weir.fleet.behave(|manners| manners.heard = AGENTS);
    world.clears(job, "WeirAgentsMissing").await;
    weir.app.stop().await;
}

/// Waits until it is known how often SDKs usually poll.
async fn polls_are_learned(app: &TestApp) {
    let learned = async {
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        let mut known_since = None;
        loop {
            let (_, services) = app.admin_get("/v1/services").await;
            if services["services"][0]["usual_polls_per_second"].is_number() {
                let plan = services["plan"].as_u64().unwrap_or_default();
                // While everything starts, polls scatter most. That has to count for little.
                if plan >= *known_since.get_or_insert(plan) + LEARNING {
                    return;
                }
            }
            pace.tick().await;
        }
    };
    let learned = tokio::time::timeout(2 * DEADLINE, learned).await;
    learned.expect("the usual polls are known in time");
}

/// Three of four agents stop reporting and their SDKs stop polling, and all start again.
pub async fn silence_of_agents_and_sdks(world: Arc<World>) {
    let job = "weir-released";
    let manners = Manners {
        polls: 5,
        ..Manners::default()
    };
    let weir = Watched::start(&world, job, &[], manners).await;
    polls_are_learned(&weir.app).await;
    let behave = |agents| {
        weir.fleet
            .behave(|manners| (manners.heard, manners.polling) = (agents, agents));
    };
    behave(1);
    world.fires(job, "WeirAgentsReleased").await;
    behave(AGENTS);
    world.clears(job, "WeirAgentsReleased").await;
    weir.app.stop().await;
}

/// All agents deliver their reports two intervals late; then they are in time again.
pub async fn late_agents(world: Arc<World>) {
    let job = "weir-late";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    weir.fleet
        .behave(|manners| manners.late = Duration::from_secs(2));
    world.fires(job, "WeirAgentsLate").await;
    weir.fleet.behave(|manners| manners.late = Duration::ZERO);
    world.clears(job, "WeirAgentsLate").await;
    weir.app.stop().await;
}

/// An agent reports a million times what it counted; then it reports what it counts.
pub async fn wild_claims(world: Arc<World>) {
    let job = "weir-claims";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    world.clears(job, "WeirClaimsHeldApart").await;
    weir.fleet.behave(|manners| manners.exaggerates = true);
    world.fires(job, "WeirClaimsHeldApart").await;
    weir.fleet.behave(|manners| manners.exaggerates = false);
    world.clears(job, "WeirClaimsHeldApart").await;
    weir.app.stop().await;
}

/// The SDKs of a service sample everything, whatever they are served; then they do not.
pub async fn strategy_not_applied(world: Arc<World>) {
    let job = "weir-not-applied";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    weir.app.set_budget(1.0).await;
    world.clears(job, "WeirStrategyNotApplied").await;
    weir.fleet.behave(|manners| manners.keeps_everything = true);
    world.fires(job, "WeirStrategyNotApplied").await;
    let (_, services) = weir.app.admin_get("/v1/services").await;
    assert_eq!(services["services"][0]["applies_strategy"], false);
    weir.fleet
        .behave(|manners| manners.keeps_everything = false);
    world.clears(job, "WeirStrategyNotApplied").await;
    weir.app.stop().await;
}

/// Operators cut everything that is served; then they end it. What SDKs keep meanwhile is what they are told.
pub async fn emergency(world: Arc<World>) {
    let job = "weir-emergency";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    world.clears(job, "WeirEmergency").await;
    let url = format!("{}/v1/emergency", weir.app.admin);
    let asked = json!({ "factor": 0.1, "owner": "ann", "reason": "a test", "for_seconds": 3600 });
    let put = weir
        .app
        .client
        .put(&url)
        .header("If-Match", "*")
        .json(&asked);
    assert_eq!(put.send().await.unwrap().status(), 200);
    world.fires(job, "WeirEmergency").await;
    world.clears(job, "WeirProbabilitiesNotApplied").await;
    let delete = weir.app.client.delete(&url).header("If-Match", "*");
    assert_eq!(delete.send().await.unwrap().status(), 200);
    world.clears(job, "WeirEmergency").await;
    weir.app.stop().await;
}

/// All services are set to tail, and no edge is there; then they are not.
pub async fn tail_without_an_edge(world: Arc<World>) {
    let job = "weir-tail";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    world.clears(job, "WeirTailWaiting").await;
    configure(&weir.app, &json!({"governed": "tail"})).await;
    world.fires(job, "WeirTailWaiting").await;
    configure(&weir.app, &json!({"governed": "head"})).await;
    world.clears(job, "WeirTailWaiting").await;
    weir.app.stop().await;
}

/// An agent reports names with ids in them; then it does not.
pub async fn minted_names(world: Arc<World>) {
    let job = "weir-minted";
    let weir = Watched::start(&world, job, &[], Manners::default()).await;
    world.clears(job, "WeirNamesMinted").await;
    weir.fleet.behave(|manners| manners.mints = true);
    world.fires(job, "WeirNamesMinted").await;
    weir.fleet.behave(|manners| manners.mints = false);
    world.clears(job, "WeirNamesMinted").await;
    weir.app.stop().await;
}

/// A service has more operations than there is room for.
pub async fn too_many_names(world: Arc<World>) {
    let job = "weir-names";
    let room = ["--max-operations-per-service", "1"];
    let weir = Watched::start(&world, job, &room, Manners::default()).await;
    world.fires(job, "WeirOverflow").await;
    weir.fleet.behave(|manners| manners.operations = 1);
    world.clears(job, "WeirOverflow").await;
    weir.app.stop().await;
}
