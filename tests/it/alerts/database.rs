//! Faults of the database: away, slow, locked, full, and with impossible values.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::traffic::{Fleet, Manners};
use super::world::World;
use crate::support::app::{TestApp, config};
use crate::support::disk::Disk;
use crate::support::postgres::{Cluster, TestDatabase};
use crate::support::process::WeirProcess;
use crate::support::proxy::Proxy;

/// Longer than a call may take before it counts as slow.
const SLOW: Duration = Duration::from_millis(400);

/// Starts a Weir with a fleet on a database, watched under a job's name.
async fn start(world: &World, job: &str, url: &str) -> (TestApp, Fleet) {
    let flags = ["--interval", "1s", "--database-url", url];
    let app = TestApp::start_with(config(&flags)).await;
    let fleet = Fleet::start(&app.sdk, Manners::default());
    world.watch(job, &[&app.admin]).await;
    world.has_traffic(job).await;
    (app, fleet)
}

/// PostgreSQL ends one of two sessions that wait for each other: Weir tries again, and so does this.
async fn execute(connection: &mut PgConnection, statement: &'static str) -> u64 {
    for _ in 0..10 {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection);
        match done.await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01") => {}
            done => return done.unwrap().rows_affected(),
        }
    }
    panic!("{statement}: ended ten times for another session");
}

/// The database's server is killed, and started again.
pub async fn outage(world: Arc<World>) {
    const ALERTS: [&str; 4] = [
        "WeirDatabaseUnavailable",
        "WeirNoLeader",
        "WeirIngestFailing",
        "WeirPlanStale",
    ];
    let job = "weir-outage";
    let cluster = Cluster::start();
    let (app, _fleet) = start(&world, job, &cluster.url("postgres")).await;
    for alert in ALERTS {
        world.clears(job, alert).await;
    }
    cluster.kill9();
    for alert in ALERTS {
        world.fires(job, alert).await;
    }
    cluster.restart();
    for alert in ALERTS {
        world.clears(job, alert).await;
    }
    app.stop().await;
}

/// The network to the database becomes slow.
pub async fn slowness(world: Arc<World>) {
    let job = "weir-slow";
    let cluster = Cluster::start();
    let proxy = Proxy::to_unix(&cluster.socket()).await;
    let (app, _fleet) = start(&world, job, &proxy.postgres_url("postgres")).await;
    world.clears(job, "WeirDatabaseSlow").await;
    proxy.delay(SLOW, Duration::ZERO);
    world.fires(job, "WeirDatabaseSlow").await;
    proxy.delay(Duration::ZERO, Duration::ZERO);
    world.clears(job, "WeirDatabaseSlow").await;
    app.stop().await;
}

/// Stored counts become unreadable, until an operator deletes them.
pub async fn corruption(world: Arc<World>) {
    let job = "weir-corrupt";
    let database = TestDatabase::create().await;
    let (app, _fleet) = start(&world, job, database.url()).await;
    world.clears(job, "WeirDatabaseCorrupt").await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let damage = "update delta set payload = '\\xff'";
    assert!(execute(&mut connection, damage).await > 0);
    world.fires(job, "WeirDatabaseCorrupt").await;
    let repair = "delete from delta where payload = '\\xff'";
    assert!(execute(&mut connection, repair).await > 0);
    world.clears(job, "WeirDatabaseCorrupt").await;
    app.stop().await;
}

/// A key is missing, as after an interrupted restore, until an operator adds it.
pub async fn lost_key(world: Arc<World>) {
    let job = "weir-unsound";
    let database = TestDatabase::create().await;
    let (app, _fleet) = start(&world, job, database.url()).await;
    world.clears(job, "WeirDatabaseUnsound").await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    execute(
        &mut connection,
        "alter table lease drop constraint lease_pkey",
    )
    .await;
    world.fires(job, "WeirDatabaseUnsound").await;
    execute(&mut connection, "alter table lease add primary key (name)").await;
    world.clears(job, "WeirDatabaseUnsound").await;
    app.stop().await;
}

/// The database forgets the names that it has assigned numbers to, as after a failover to a standby
/// that lagged.
pub async fn step_back(world: Arc<World>) {
    const BACK: [&str; 5] = [
        "delete from operation where operation_id > 0",
        "delete from service where service_id > 0",
        "delete from dictionary_chain where incarnation <> '00000000-0000-0000-0000-000000000000'",
        "delete from dictionary",
        "insert into dictionary
            (generation, next_service_id, next_operation_id, services, operations)
        values (1, 1, 1, 0, 0)",
    ];
    let job = "weir-back";
    let database = TestDatabase::create().await;
    let (app, _fleet) = start(&world, job, database.url()).await;
    world.clears(job, "WeirDatabaseWentBack").await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    execute(&mut connection, "begin").await;
    for statement in BACK {
        execute(&mut connection, statement).await;
    }
    execute(&mut connection, "commit").await;
    world.fires(job, "WeirDatabaseWentBack").await;
    world.clears(job, "WeirDatabaseWentBack").await;
    app.stop().await;
}

/// The configuration is from a newer Weir, until it is reverted.
pub async fn unreadable_configuration(world: Arc<World>) {
    let job = "weir-unreadable";
    let database = TestDatabase::create().await;
    let (app, _fleet) = start(&world, job, database.url()).await;
    world.clears(job, "WeirJobFailing").await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let from_the_future = "insert into configuration (revision, document, written_ms)
        select max(revision) + 1, '{\"from_the_future\": 1}', 0 from configuration";
    assert_eq!(execute(&mut connection, from_the_future).await, 1);
    world.fires(job, "WeirJobFailing").await;
    let back = "delete from configuration where document like '%from_the_future%'";
    assert_eq!(execute(&mut connection, back).await, 1);
    world.clears(job, "WeirJobFailing").await;
    app.stop().await;
}

/// A newer leader writes plans that another replica cannot read, until it stops.
pub async fn unreadable_plan(world: Arc<World>) {
    let job = "weir-newer";
    let database = TestDatabase::create().await;
    let (leader, _fleet) = start(&world, job, database.url()).await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let older = TestApp::start_with(config(&flags)).await;
    world.watch(job, &[&leader.admin, &older.admin]).await;
    world.clears(job, "WeirPlanUnreadable").await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    execute(
        &mut connection,
        "create function newer() returns trigger language plpgsql as $$
         begin new.body := set_byte(new.body, 0, 200); return new; end $$",
    )
    .await;
    let begin = "create trigger newer before insert on plan_body
        for each row execute function newer()";
    execute(&mut connection, begin).await;
    world.fires(job, "WeirPlanUnreadable").await;
    execute(&mut connection, "drop trigger newer on plan_body").await;
    world.clears(job, "WeirPlanUnreadable").await;
    older.stop().await;
    leader.stop().await;
}

/// A transaction holds a lock that publishing needs.
pub async fn lock(world: Arc<World>) {
    let job = "weir-locked";
    let database = TestDatabase::create().await;
    let (app, _fleet) = start(&world, job, database.url()).await;
    world.clears(job, "WeirJobStuck").await;
    let mut forgotten = PgConnection::connect(database.url()).await.unwrap();
    execute(&mut forgotten, "begin").await;
    execute(&mut forgotten, "lock table plan in access exclusive mode").await;
    world.fires(job, "WeirJobStuck").await;
    execute(&mut forgotten, "rollback").await;
    world.clears(job, "WeirJobStuck").await;
    app.stop().await;
}

/// The disk under an embedded database is full, and then has room again.
pub async fn full_disk(world: Arc<World>) {
    let job = "weir-full";
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::holding(directory.path());
    let command = WeirProcess::command()
        .flag("--interval", "1s")
        .flag("--data-dir", directory.path());
    let weir = disk.of(command).start().await;
    let _fleet = Fleet::start(weir.sdk_url(), Manners::default());
    world.watch(job, &[weir.admin_url()]).await;
    world.has_traffic(job).await;
    world.clears(job, "WeirDiskFull").await;
    disk.fill();
    world.fires(job, "WeirDiskFull").await;
    disk.make_room();
    world.clears(job, "WeirDiskFull").await;
}
