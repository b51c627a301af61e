//! An acknowledged report is stored exactly once, whichever process is killed meanwhile.
//!
//! `make soak` runs this with fifty kills of each kind; the default is three.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tempfile::TempDir;
use weir::store::postgres::PostgresStore;
use weir::store::sqlite::SqliteStore;

use crate::support::agents::{Agents, Behaviour, Totals};
use crate::support::client::Count;
use crate::support::postgres::Cluster;
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::stored::stored_totals;

const SERVICES: u64 = 4;
const OPERATIONS: u64 = 12;

/// How long agents may take to continue after a kill.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_acknowledged_when_weir_is_killed() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let mut weir = command().flag("--database-url", &url).start().await;
    let agents = load(&weir);
    for kill in 1..=kills() {
        get_on(&agents, kill).await;
        weir.kill9();
        weir = command().flag("--database-url", &url).start().await;
        agents.redirect(vec![weir.sdk_url().to_owned()]);
    }
    let acknowledged = quiesce(agents, weir).await;
    let store = PostgresStore::connect(&url, 2).await.unwrap();
    assert_eq!(stored_totals(&store).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_acknowledged_when_it_is_killed() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let weir = command().flag("--database-url", &url).start().await;
    let agents = load(&weir);
    for kill in 1..=kills() {
        get_on(&agents, kill).await;
        cluster.kill9();
        cluster.restart();
    }
    let acknowledged = quiesce(agents, weir).await;
    let store = PostgresStore::connect(&url, 2).await.unwrap();
    assert_eq!(stored_totals(&store).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_was_acknowledged_when_weir_is_killed() {
    let folder = TempDir::new().unwrap();
    let mut weir = command().flag("--data-dir", folder.path()).start().await;
    let agents = load(&weir);
    for kill in 1..=kills() {
        get_on(&agents, kill).await;
        weir.kill9();
        weir = command().flag("--data-dir", folder.path()).start().await;
        agents.redirect(vec![weir.sdk_url().to_owned()]);
    }
    let acknowledged = quiesce(agents, weir).await;
    let store = SqliteStore::open(&folder.path().join("weir.db"))
        .await
        .unwrap();
    assert_eq!(stored_totals(&store).await, acknowledged);
}

/// How often each is killed.
fn kills() -> u64 {
    match std::env::var("WEIR_SOAK_KILLS") {
        Ok(number) => number.parse().expect("WEIR_SOAK_KILLS is a number"),
        Err(_) => 3,
    }
}

/// Plans are published while reports arrive.
fn command() -> WeirCommand {
    WeirProcess::command()
        .flag("--interval", "1s")
        .flag("--grace", "1s")
}

/// Eight agents, as fast as they are acknowledged; a fifth of their reports are sent twice.
fn load(weir: &WeirProcess) -> Agents {
    let behaviour = Behaviour {
        agents: 8,
        every: None,
        window: Duration::from_millis(2_500),
        repeated: 0.2,
        counts: Arc::new(counts),
    };
    Agents::start(behaviour, vec![weir.sdk_url().to_owned()])
}

/// Counts of half of a service's operations. Some are primes, which do not split evenly.
fn counts(random: &mut StdRng) -> Vec<Count> {
    let service = random.random_range(0..SERVICES);
    let first = random.random_range(0..OPERATIONS);
    (0..OPERATIONS / 2)
        .map(|step| {
            let offered = random.random_range(1..5_000);
            Count {
                service: format!("service-{service}"),
                operation: format!("GET /{}", (first + step) % OPERATIONS),
                offered,
                sampled: random.random_range(0..=offered),
            }
        })
        .collect()
}

/// Waits until the agents have sent some more reports. The number differs before each kill, so that
/// the kills fall at different moments of a commit.
async fn get_on(agents: &Agents, kill: u64) {
    let reports = agents.acknowledged() + 300 + 37 * (kill % 10);
    let repeats = agents.repeats() + 10;
    eventually(DEADLINE, "agents get on after a kill", async || {
        (agents.acknowledged() >= reports && agents.repeats() >= repeats).then_some(())
    })
    .await;
}

/// Stops the load, then Weir, in order. Returns what was acknowledged.
async fn quiesce(mut agents: Agents, weir: WeirProcess) -> Totals {
    let acknowledged = agents.finish().await;
    let (reports, repeats) = (agents.acknowledged(), agents.repeats());
    let offered: u64 = acknowledged.values().map(|total| total.0).sum();
    eprintln!("acknowledged {offered} requests in {reports} reports; {repeats} came once more");
    let status = weir.terminate().await;
    assert!(status.success(), "weir left with {status}");
    acknowledged
}
