//! The database goes back in time under running replicas: a failover to a standby that lagged has
//! lost names, plans and counts that were acknowledged. What comes after must be right.

mod names;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use weir::allocation::{Plan, Timestamp, Window};
use weir::clock::{Clock, SystemClock};
use weir::store::postgres::PostgresStore;
use weir::store::{
    Claim, Incarnation, NewPlan, Publication, Store, StoredPlan, WriteFormat, plan_codec,
};

use crate::support::app::{TestApp, config};
use crate::support::postgres::{Cluster, TestDatabase};
use crate::support::process::eventually;
use crate::support::proxy::Proxy;
use crate::support::scrape::Scrape;
use crate::support::stored::stored_totals;

/// How long anything may take that waits for a failover.
const DEADLINE: Duration = Duration::from_secs(60);

/// An agent that sees one operation.
struct Agent {
    name: &'static str,
    epoch: Uuid,
    sequence: u64,
    service: &'static str,
    operation: &'static str,
    /// Requests that were acknowledged.
    acknowledged: u64,
}

impl Agent {
    fn of(name: &'static str, service: &'static str, operation: &'static str) -> Self {
        Self {
            name,
            epoch: Uuid::new_v4(),
            sequence: 0,
            service,
            operation,
            acknowledged: 0,
        }
    }

    fn report(&mut self, offered: u64) -> Value {
        self.sequence += 1;
        let start = SystemClock.now() - chrono::TimeDelta::seconds(1);
        json!({
            "agent": self.name, "epoch": self.epoch, "sequence": self.sequence,
            "window_start": start, "window_seconds": 1,
            "services": [{ "service": self.service, "instances": 1, "operations": [
                { "operation": self.operation, "offered": offered, "sampled": 0 }] }],
        })
    }

    /// Sends a report until it is acknowledged.
    async fn send(&mut self, to: &TestApp, offered: u64) {
        let report = self.report(offered);
        eventually(DEADLINE, "the report is counted", async || {
            let (status, answer) = to.report(&report).await;
            assert!(matches!(status, 200 | 503), "{status}: {answer}");
            (status == 200).then_some(())
        })
        .await;
        self.acknowledged += offered;
    }
}

/// Two servers, the second of which has stopped following the first, and replicas.
struct Fleet<const N: usize> {
    primary: Cluster,
    standby: Cluster,
    proxy: Proxy,
    replicas: [TestApp; N],
}

impl<const N: usize> Fleet<N> {
    async fn start() -> Self {
        let primary = Cluster::start();
        let standby = primary.standby();
        let proxy = Proxy::to_unix(&primary.socket()).await;
        let url = proxy.postgres_url("postgres");
        let flags = ["--interval", "1s", "--database-url", &url];
        let replicas = [(); N].map(|()| TestApp::start_with(config(&flags)));
        let replicas = join_all(replicas).await;
        Self {
            primary,
            standby,
            proxy,
            replicas: replicas.try_into().ok().expect("as many as were started"),
        }
    }

    /// What the first server writes from now on is lost with it.
    async fn cut_off(&self) {
        self.standby.catches_up_with(&self.primary).await;
        self.standby.cut_off().await;
    }

    async fn fail_over(&self) {
        self.primary.kill9();
        self.standby.promote().await;
        self.proxy.lead_to_unix(&self.standby.socket());
        self.proxy.cut();
        self.proxy.restore();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_under_another_name_after_a_failover_that_lost_names() {
    let fleet: Fleet<2> = Fleet::start().await;
    let [a, b] = &fleet.replicas;
    let mut kept = Agent::of("agent-kept", "checkout", "GET /");
    kept.send(a, 100).await;
    fleet.cut_off().await;
    let mut lost = Agent::of("agent-lost", "payments", "POST /pay");
    lost.send(a, 1000).await;
    lost.acknowledged = 0;

    // Two commits hang, and a third report waits behind them with the numbers that will be lost.
    fleet.proxy.silence();
    let mut waiting = Vec::new();
    for name in ["agent-one", "agent-two", "agent-three"] {
        let report = Agent::of(name, "payments", "POST /pay").report(50);
        let (client, url) = (a.client.clone(), format!("{}/v1/reports", a.sdk));
        let sending = async move {
            let sent = client.post(url).json(&report).send().await;
            sent.is_ok_and(|answer| answer.status() == 200)
        };
        waiting.push(tokio::spawn(sending));
        let all = waiting.len() as f64;
        eventually(DEADLINE, "the report waits", async || {
            (Scrape::of(a).await.value("weir_reports_waiting") == all).then_some(())
        })
        .await;
    }
    fleet.fail_over().await;
    for report in waiting {
        lost.acknowledged += if report.await.unwrap() { 50 } else { 0 };
    }

    // The number of the name that was lost goes to another one.
    let mut new = Agent::of("agent-new", "search", "GET /find");
    new.send(b, 7).await;
    for _ in 0..10 {
        lost.send(a, 1000).await;
        new.send(b, 7).await;
    }
    let store = PostgresStore::connect(&fleet.standby.url("postgres"), 2)
        .await
        .unwrap();
    let mut totals = stored_totals(&store).await;
    for agent in [&kept, &lost, &new] {
        let name = (agent.service.to_owned(), agent.operation.to_owned());
        let stored = totals.remove(&name).unwrap_or_default();
        assert_eq!(stored, (agent.acknowledged, 0), "{name:?}");
    }
    assert_eq!(totals.into_iter().collect::<Vec<_>>(), []);
    let noticed = "weir_database_went_back_total{what=\"names\"}";
    assert_eq!(Scrape::of(a).await.value(noticed), 1.0);
    let [a, b] = fleet.replicas;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_from_before_a_failover_that_lost_the_change_is_refused() {
    let fleet: Fleet<2> = Fleet::start().await;
    let [a, _] = &fleet.replicas;
    fleet.cut_off().await;
    let put = async |condition: &str, budget: f64| {
        let url = format!("{}/v1/budget", a.admin);
        let put = a.client.put(url).header("If-Match", condition);
        let answer = put.json(&json!({ "traces_per_second": budget })).send();
        let answer = answer.await.unwrap();
        let tag = answer.headers().get("etag").cloned();
        (answer.status().as_u16(), tag)
    };
    let (status, lost) = put("*", 50.0).await;
    assert_eq!(status, 200);
    let lost = lost.unwrap();
    fleet.fail_over().await;
    // Another change takes the revision's number.
    eventually(DEADLINE, "the database takes a change", async || {
        let (status, _) = put("*", 60.0).await;
        (status == 200).then_some(())
    })
    .await;
    let (status, _) = put(lost.to_str().unwrap(), 70.0).await;
    assert_eq!(status, 412);
    let (_, budget) = a.admin_get("/v1/budget").await;
    assert_eq!(
        (&budget["traces_per_second"], &budget["revision"]),
        (&json!(60.0), &json!(2))
    );
    for replica in fleet.replicas {
        replica.stop().await;
    }
}

/// Which plan a replica serves: its number, and when it was published, which tells two plans of
/// one number apart.
async fn served(replica: &TestApp) -> Option<(u64, Value)> {
    let plan = replica.plan().await?;
    Some((plan["plan"].as_u64()?, plan["published_at"].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_publishes_nothing_under_a_number_that_it_served_before_a_failover() {
    let fleet: Fleet<1> = Fleet::start().await;
    let [replica] = &fleet.replicas;
    let mut seen = BTreeMap::new();
    let mut look = async || {
        let (number, published) = served(replica).await?;
        let before = seen.entry(number).or_insert_with(|| published.clone());
        assert_eq!(*before, published, "two plans have the number {number}");
        Some(number)
    };
    fleet.cut_off().await;
    let before = eventually(DEADLINE, "a plan", &mut look).await;
    let lost = eventually(DEADLINE, "plans that will be lost", async || {
        look().await.filter(|number| *number > before + 2)
    })
    .await;
    fleet.fail_over().await;
    eventually(DEADLINE, "plans above those that were lost", async || {
        look().await.filter(|number| *number > lost + 1)
    })
    .await;
    let noticed = "weir_database_went_back_total{what=\"plan\"}";
    assert_eq!(Scrape::of(replica).await.value(noticed), 1.0);
    for replica in fleet.replicas {
        replica.stop().await;
    }
}

/// Publishes the first plan of a database, as the holder of the lease.
async fn publish_first(store: &PostgresStore, claim: Claim) {
    let now = SystemClock.now();
    let content = Plan {
        number: 1,
        term: claim.term,
        ..Plan::default()
    };
    let plan = StoredPlan {
        number: content.number,
        identity: Uuid::new_v4(),
        term: content.term,
        names: Incarnation::EMPTY,
        window: Window {
            start: Timestamp(now.timestamp_millis() - 1000),
            end: Timestamp(now.timestamp_millis()),
        },
        configuration_revision: 1,
        published_at: now,
        summary: "{}".into(),
        body: plan_codec::encode(&content, WriteFormat::Newest).unwrap(),
    };
    let new = NewPlan {
        claim,
        replaces: None,
        plan: &plan,
        history: &[],
    };
    let publication = store.publish_plan(new).await.unwrap();
    assert_eq!(publication, Publication::Published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_published_anew_under_a_known_number_is_followed() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    let holder = Uuid::new_v4();
    let lease = store.acquire_lease("plan", holder, Duration::from_secs(50));
    let claim = Claim {
        lease: "plan",
        holder,
        term: lease.await.unwrap().term.unwrap(),
    };
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    let mut seen = Vec::new();
    for what in ["the first plan", "the plan that comes in its place"] {
        publish_first(&store, claim).await;
        let found = eventually(DEADLINE, what, async || {
            let (number, published) = served(&app).await?;
            (number == 1 && !seen.contains(&published)).then_some(published)
        })
        .await;
        seen.push(found);
        let go_back = "delete from plan; delete from plan_body; \
            update plan_head set number = 0, \
            identity = '00000000-0000-0000-0000-000000000000'";
        let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
        sqlx::raw_sql(go_back).execute(&pool).await.unwrap();
        pool.close().await;
    }
    store.close().await;
    app.stop().await;
}
