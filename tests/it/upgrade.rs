//! The previous release and this one on one PostgreSQL, with either of them leading, and back
//! again.
//!
//! `make upgrade` builds the previous release and runs this.

mod exporter;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use weir::store::postgres::PostgresStore;

use self::exporter::Exporter;
use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, http_client};
use crate::support::postgres::Cluster;
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::scrape::Scrape;
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(60);
const SERVICE: &str = "checkout";

/// The program of the previous release.
fn previous() -> PathBuf {
    let path = std::env::var_os("WEIR_PREVIOUS_BINARY");
    let path = path.expect("WEIR_PREVIOUS_BINARY names the release before: run `make upgrade`");
    PathBuf::from(path)
}

struct Replica {
    process: WeirProcess,
    client: Client,
}

impl Replica {
    async fn start(command: &WeirCommand) -> Self {
        let process = command.start().await;
        let client = Client::of(&process);
        Self { process, client }
    }

    fn sdk(&self) -> String {
        self.process.sdk_url().to_owned()
    }

    async fn leads(&self, what: &str) {
        eventually(DEADLINE, what, async || {
            let url = format!("{}/metrics", self.process.admin_url());
            let text = http_client()
                .get(url)
                .send()
                .await
                .ok()?
                .text()
                .await
                .ok()?;
            (Scrape::read(text).value("weir_leader") == 1.0).then_some(())
        })
        .await;
    }

    async fn plan(&self, after: u64, what: &str) -> u64 {
        eventually(DEADLINE, what, async || {
            let strategy = self.client.strategy(SERVICE).await?;
            strategy.listed("GET /busy")?;
            (strategy.plan > after).then_some(strategy.plan)
        })
        .await
    }

    /// Stops on SIGTERM.
    async fn leave(self) {
        let status = self.process.terminate().await;
        assert!(status.success(), "{status}");
    }
}

/// Waits until all of them serve three plans made from now on.
async fn plans_go_on(replicas: &[&Replica], what: &str) {
    let mut last = replicas[0].plan(0, what).await;
    for _ in 0..3 {
        let newer = replicas[0].plan(last, what).await;
        for replica in replicas {
            replica.plan(newer - 1, what).await;
        }
        last = newer;
    }
}

fn steady() -> Behaviour {
    let every = Duration::from_millis(250);
    let count = |operation: &str, offered| Count {
        service: SERVICE.to_owned(),
        operation: operation.to_owned(),
        offered,
        sampled: offered / 10,
    };
    Behaviour {
        agents: 4,
        every: Some(every),
        window: every,
        repeated: 0.2,
        counts: Arc::new(move |_| vec![count("GET /busy", 500), count("GET /quiet", 20)]),
    }
}

/// The formats of the bodies of the newest plans.
async fn formats(url: &str) -> Vec<i32> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let formats =
        sqlx::query_scalar("select get_byte(body, 0) from plan_body order by number desc limit 3");
    formats.fetch_all(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the release before: make upgrade"]
async fn the_release_before_and_this_one_run_side_by_side_and_back() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let this = WeirProcess::command()
        .flag("--database-url", &url)
        .flag("--interval", "2s");
    let before = this.clone().program(previous());

    let old = Replica::start(&before).await;
    let mut agents = Agents::start(steady(), vec![old.sdk()]);
    plans_go_on(&[&old], "the release before plans alone").await;

    let new = Replica::start(&this).await;
    agents.redirect(vec![old.sdk(), new.sdk()]);
    let exporter = Exporter::start(vec![old.sdk(), new.sdk()]);
    plans_go_on(&[&old, &new], "this one follows the release before").await;
    old.leads("who led goes on").await;

    agents.redirect(vec![new.sdk()]);
    exporter.redirect(vec![new.sdk()]);
    old.leave().await;
    new.leads("this one takes over").await;
    plans_go_on(&[&new], "this one plans alone").await;
    assert_eq!(
        formats(&url).await,
        [5, 5, 5],
        "what the release before reads"
    );

    let old = Replica::start(&before).await;
    agents.redirect(vec![old.sdk(), new.sdk()]);
    exporter.redirect(vec![old.sdk(), new.sdk()]);
    plans_go_on(&[&new, &old], "the release before follows this one").await;

    // The release before takes no exports, so they wait for this one.
    agents.redirect(vec![old.sdk()]);
    exporter.redirect(vec![old.sdk()]);
    new.leave().await;
    old.leads("the release before takes over again").await;
    plans_go_on(&[&old], "the release before plans after this one").await;

    let new = Replica::start(&this).await;
    agents.redirect(vec![new.sdk()]);
    exporter.redirect(vec![new.sdk()]);
    old.leave().await;
    new.leads("this one takes over for good").await;
    let finished = Replica::start(&this.clone().flag("--write-format", "newest")).await;
    exporter.redirect(vec![new.sdk(), finished.sdk()]);
    plans_go_on(&[&new, &finished], "this one plans in the newest formats").await;
    assert_eq!(formats(&url).await, [6, 6, 6]);

    let (exported, refused) = exporter.finish().await;
    assert!(refused > 0, "the release before takes no exports");
    let mut acknowledged = agents.finish().await;
    acknowledged.extend(exported);
    assert!(agents.repeats() > 0);
    let store = PostgresStore::connect(&url, 2).await.unwrap();
    assert_eq!(stored_totals(&store).await, acknowledged);
}
