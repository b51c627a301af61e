//! The lease moves from a replica that cannot plan to one that can.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, PlanMark};
use crate::support::postgres::Cluster;
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

/// A separate role for one replica, so that only that one can lose a right.
const ROLE: [&str; 3] = [
    "create role hampered login",
    "alter default privileges for role weir \
        grant select, insert, update, delete on tables to hampered",
    "grant select, insert, update, delete on all tables in schema public to hampered",
];

async fn start(url: &str) -> WeirProcess {
    let command = WeirProcess::command().flag("--interval", "1s");
    command.flag("--database-url", url).start().await
}

/// Steady traffic that is reported to this replica.
fn agents(weir: &WeirProcess) -> Agents {
    let every = Duration::from_millis(100);
    let count = || Count {
        service: "checkout".to_owned(),
        operation: "GET /".to_owned(),
        offered: 1000,
        sampled: 1,
    };
    let behaviour = Behaviour {
        agents: 2,
        every: Some(every),
        window: every,
        repeated: 0.0,
        counts: Arc::new(move |_| vec![count()]),
    };
    Agents::start(behaviour, vec![weir.sdk_url().to_owned()])
}

async fn leads(weir: &WeirProcess, leads: bool) {
    eventually(DEADLINE, "who leads", async || {
        let told = Scrape::of_process(weir).await?.value("weir_leader");
        ((told == 1.0) == leads).then_some(())
    })
    .await;
}

/// Waits until a replica serves a plan that meets a condition.
async fn plan(weir: &WeirProcess, what: &str, wanted: impl Fn(PlanMark) -> bool) -> PlanMark {
    let client = Client::of(weir);
    eventually(DEADLINE, what, async || {
        client.plan().await.filter(|mark| wanted(*mark))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_may_not_read_counts_leaves_the_lease_to_a_replica_that_may() {
    let cluster = Cluster::start();
    let owner = cluster.url("postgres");
    let migrated = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["migrate", "--database-url", &owner])
        .output();
    assert!(migrated.unwrap().status.success());
    cluster.execute("postgres", &ROLE).await;
    let hampered = start(&cluster.url_as("hampered", "postgres")).await;
    leads(&hampered, true).await;
    let waiting = start(&owner).await;
    let mut agents = agents(&waiting);
    let before = plan(&hampered, "a plan of its own", |mark| mark.number > 1).await;
    leads(&waiting, false).await;

    let revoked = "revoke select on delta from hampered";
    cluster.execute("postgres", &[revoked]).await;
    leads(&waiting, true).await;
    leads(&hampered, false).await;
    let newer = |mark: PlanMark| mark.term > before.term && mark.number > before.number + 1;
    let taken = plan(&waiting, "the other's plans", newer).await;
    plan(&hampered, "it serves them", |mark| {
        mark.term == taken.term && mark.number > taken.number
    })
    .await;
    let given_up = Scrape::of_process(&hampered).await.unwrap();
    assert!(given_up.value("weir_lease_given_up_total") >= 1.0);
    let said = hampered.logged("gave the lease up: this replica cannot compute plans");
    assert!(!said.is_empty());
    let strategy = Client::of(&hampered).strategy("checkout").await.unwrap();
    assert!(strategy.listed("GET /").is_some(), "{strategy:?}");
    agents.finish().await;
}
