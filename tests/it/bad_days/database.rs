//! A database that is slow, gone or full.

use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;
use weir::store::postgres::PostgresStore;
use weir::store::sqlite::SqliteStore;

use super::{DEADLINE, Poller, agents, assert_memory_bounded, metric, plans_go_on, serves_a_plan};
use crate::support::agents::Agents;
use crate::support::app::report;
use crate::support::client::http_client;
use crate::support::disk::Disk;
use crate::support::postgres::Cluster;
use crate::support::process::{WeirProcess, eventually};
use crate::support::proxy::Proxy;
use crate::support::stored::stored_totals;

/// Half of a round trip to the database on a bad day.
const HALF_A_ROUND_TRIP: Duration = Duration::from_millis(250);

/// Refuses to store counts, like a server without room. A tablespace that is really full would need
/// its own file system.
const LIMIT: &str = "
create table is_full ();
create function check_room() returns trigger language plpgsql as $$ begin
    if exists (select from is_full) then
        raise exception 'could not extend file: No space left on device'
            using errcode = '53100';
    end if;
    return null;
end $$;
create trigger check_room before insert on delta execute function check_room();";

const FILL: &str = "insert into is_full default values";

const MAKE_ROOM: &str = "delete from is_full";

/// Weir with a PostgreSQL that is reached through a proxy.
struct Behind {
    cluster: Cluster,
    proxy: Proxy,
    weir: WeirProcess,
    agents: Agents,
    poller: Poller,
}

impl Behind {
    async fn start() -> Self {
        let cluster = Cluster::start();
        let proxy = Proxy::to_unix(&cluster.socket()).await;
        let command = WeirProcess::command()
            .flag("--database-url", proxy.postgres_url("postgres"))
            .flag("--interval", "1s");
        let weir = command.start().await;
        let agents = agents(&weir);
        serves_a_plan(&weir).await;
        let poller = Poller::start(&weir);
        Self {
            cluster,
            proxy,
            weir,
            agents,
            poller,
        }
    }

    /// Waits until reports are acknowledged again.
    async fn reports_go_on(&self) {
        go_on(&self.agents).await;
    }

    /// Stops, and compares what was acknowledged with what is stored.
    async fn assert_sound(mut self, day: &str) {
        plans_go_on(&self.weir).await;
        let acknowledged = self.agents.finish().await;
        self.poller.all_answered().await;
        assert_memory_bounded(&self.weir, day);
        assert!(self.weir.terminate().await.success());
        let store = PostgresStore::connect(&self.cluster.url("postgres"), 2).await;
        assert_eq!(stored_totals(&store.unwrap()).await, acknowledged);
    }
}

async fn go_on(agents: &Agents) {
    let before = agents.acknowledged();
    eventually(DEADLINE, "reports are acknowledged", async || {
        (agents.acknowledged() >= before + 8).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_delays_acknowledgements_and_nothing_else() {
    let behind = Behind::start().await;
    behind.proxy.delay(HALF_A_ROUND_TRIP, HALF_A_ROUND_TRIP);
    behind.reports_go_on().await;
    plans_go_on(&behind.weir).await;
    let slow = "weir_database_call_seconds_sum{call=\"commit_reports\"}";
    metric(&behind.weir, slow, |seconds| seconds > 1.0).await;
    behind.poller.goes_on().await;
    behind.proxy.delay(Duration::ZERO, Duration::ZERO);
    behind.reports_go_on().await;
    behind.assert_sound("a slow database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_for_longer_than_missed_windows_are_made_up_for() {
    let behind = Behind::start().await;
    behind.proxy.silence();
    metric(&behind.weir, "weir_plan_age_seconds", |age| age > 12.0).await;
    behind.poller.goes_on().await;
    behind.proxy.restore();
    behind.reports_go_on().await;
    metric(&behind.weir, "weir_database_available", |it| it == 1.0).await;
    behind.assert_sound("a silent database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_waited_for() {
    let behind = Behind::start().await;
    behind.proxy.cut();
    metric(&behind.weir, "weir_database_available", |it| it == 0.0).await;
    metric(&behind.weir, "weir_plan_stale", |it| it == 1.0).await;
    let refused = "weir_reports_total{outcome=\"unavailable\"}";
    metric(&behind.weir, refused, |reports| reports > 0.0).await;
    behind.poller.goes_on().await;
    behind.proxy.restore();
    behind.reports_go_on().await;
    metric(&behind.weir, "weir_database_available", |it| it == 1.0).await;
    metric(&behind.weir, "weir_plan_stale", |it| it == 0.0).await;
    behind.assert_sound("an unreachable database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_postgres_is_told_apart_and_waited_for() {
    let behind = Behind::start().await;
    let url = behind.cluster.url("postgres");
    let mut server = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(LIMIT).execute(&mut server).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut server).await.unwrap();
    refuses_for_want_of_room(&behind.weir).await;
    behind.poller.goes_on().await;
    sqlx::raw_sql(MAKE_ROOM).execute(&mut server).await.unwrap();
    behind.reports_go_on().await;
    behind.assert_sound("a full PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_apart_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::holding(folder.path());
    let command = WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--interval", "1s");
    let weir = disk.of(command).start().await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    for _ in 0..2 {
        disk.fill();
        refuses_for_want_of_room(&weir).await;
        let lease = "weir_database_errors_total{call=\"acquire_lease\",kind=\"full\"}";
        metric(&weir, lease, |errors| errors > 0.0).await;
        poller.goes_on().await;
        disk.make_room();
        go_on(&agents).await;
        plans_go_on(&weir).await;
    }
    let acknowledged = agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "a full disk");
    assert!(weir.terminate().await.success());
    assert_eq!(stored_in(folder.path()).await, acknowledged);
}

async fn stored_in(folder: &Path) -> crate::support::agents::Totals {
    let store = SqliteStore::open(&folder.join("weir.db")).await.unwrap();
    stored_totals(&store).await
}

/// Waits until a report is refused because there is no room, and counted as such.
async fn refuses_for_want_of_room(weir: &WeirProcess) {
    let http = http_client();
    let (mut empty, url) = (
        report("nobody", Uuid::new_v4(), 1, 0),
        format!("{}/v1/reports", weir.sdk_url()),
    );
    // Counts nothing, whichever attempt is accepted.
    empty["services"][0]["service"] = super::SERVICE.into();
    empty["services"][0]["operations"][0]["operation"] = super::OPERATION.into();
    let refused = eventually(DEADLINE, "a report is refused", async || {
        empty["sequence"] = (empty["sequence"].as_u64()? + 1).into();
        let answer = http.post(&url).json(&empty).send().await.ok()?;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:weir:problem:unavailable");
    assert!(
        problem["detail"].as_str().unwrap().contains("no room"),
        "{problem}"
    );
    let full = "weir_database_errors_total{call=\"commit_reports\",kind=\"full\"}";
    metric(weir, full, |errors| errors > 0.0).await;
}
