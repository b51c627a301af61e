//! One soak: a cluster, two replicas, a fleet, failovers, and the results.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::{Connection, PgConnection};

use crate::Mode;
use crate::checks;
use crate::failover::{Failover, Stage};
use crate::fleet::Fleet;
use crate::patroni::Patroni;
use crate::polls::{Polls, Seen};
use crate::support::client::now;
use crate::support::process::{WeirProcess, eventually};
use crate::wal::WalWatch;

/// How often a plan is due. Longer than a failover takes, as with the default of a minute.
pub const INTERVAL_SECONDS: i64 = 30;
pub const GRACE_SECONDS: i64 = 2;

/// The results of a soak.
pub struct Outcome {
    pub mode: Mode,
    pub failovers: Vec<Failover>,
    pub plans: checks::Plans,
    pub reports: u64,
    pub repeats: u64,
    pub names: usize,
    pub polls: [Seen; 2],
    pub faults: Vec<String>,
}

/// Runs one soak.
pub async fn run(mode: Mode, failovers: usize) -> Outcome {
    let mut patroni = Patroni::start(mode).await;
    eprintln!("{mode:?}: three servers run");
    let url = patroni.create_database().await;
    let command = WeirProcess::command()
        .flag("--database-url", &url)
        .flag("--interval", format!("{INTERVAL_SECONDS}s"))
        .flag("--grace", format!("{GRACE_SECONDS}s"));
    let replicas = [command.start().await, command.start().await];
    let targets = replicas.each_ref().map(|weir| weir.sdk_url().to_owned());
    let started = now();
    let mut fleet = Fleet::start(&targets);
    let polls = targets.map(Polls::start);
    let wal = WalWatch::start(patroni.url("postgres", "postgres"));
    let mut random = StdRng::seed_from_u64(15);
    let mut played = Vec::new();
    for number in 0..failovers {
        let mut stage = Stage {
            mode,
            patroni: &mut patroni,
            fleet: &fleet,
            wal: &wal,
            random: &mut random,
        };
        let failover = stage.fail_over(number).await;
        eprintln!("{}", crate::figures::line(number, &failover));
        played.push(failover);
    }
    patroni.whole(mode).await;
    plan_after(&url, &played).await;
    fleet.finish().await;
    let (reports, repeats) = fleet.ledger.progress();
    let [first, second] = polls;
    let polls = [first.finish().await, second.finish().await];
    let ledger = &fleet.ledger;
    checks::stored(&url, ledger).await;
    checks::replicas_agree(&replicas, ledger).await;
    checks::polls(mode, &polls, ledger);
    let plans = checks::plans(&url, started, &played, ledger).await;
    for weir in replicas {
        let status = weir.terminate().await;
        assert!(status.success(), "weir left with {status}");
    }
    Outcome {
        mode,
        failovers: played,
        plans,
        reports,
        repeats,
        names: ledger.sent().len(),
        polls,
        faults: ledger.take_faults(),
    }
}

/// Waits for a plan of a window that closed after the last failover.
async fn plan_after(url: &str, played: &[Failover]) {
    let Some(last) = played.last() else { return };
    let deadline = Duration::from_secs(4 * INTERVAL_SECONDS as u64);
    eventually(
        deadline,
        "plans go on after the last failover",
        async || {
            let mut connection = PgConnection::connect(url).await.ok()?;
            let newest: Option<i64> =
                sqlx::query_scalar("-- soak: newest window\nselect max(window_end_ms) from plan")
                    .fetch_one(&mut connection)
                    .await
                    .ok()?;
            (newest? > last.over.timestamp_millis()).then_some(())
        },
    )
    .await;
}
