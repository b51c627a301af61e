//! Every end of `weir replay` that can be caught puts the budget back.

use std::panic::AssertUnwindSafe;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use weir::cli::replay::{Outputs, Session};
use weir::clock::Clock;
use weir::simulate::Client;

use super::fake::{FakeWeir, Faults};
use super::{INTERVAL, Recorded};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A replay in a process of its own. It is killed when dropped.
struct Replay(Child);

impl Replay {
    /// Begins one that would go on for a quarter of an hour, as `prefix` starts programs.
    fn start(prefix: &[&str], recorded: &Recorded, weir: &FakeWeir) -> Self {
        let interval = humantime::format_duration(INTERVAL).to_string();
        let program = [prefix, &[env!("CARGO_BIN_EXE_weir")]].concat();
        let child = Command::new(program[0])
            .args(&program[1..])
            .arg("replay")
            .arg("--traffic")
            .arg(recorded.path("traffic.csv"))
            .args(["--budget", "120", "--agents", "1", "--interval", &interval])
            .args(["--sdk-url", &weir.url, "--admin-url", &weir.url])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
            .status();
        assert!(sent.unwrap().success());
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually(DEADLINE, "the replay ends", async || {
            self.0.try_wait().unwrap()
        })
        .await
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_would_end_the_run_puts_the_budget_back() {
    for signal in ["HUP", "INT", "QUIT", "TERM", "ALRM", "USR1", "USR2"] {
        let weir = FakeWeir::start(INTERVAL, Faults::None).await;
        let recorded = Recorded::rows(5000);
        // A shell has its background jobs ignore SIGINT and SIGQUIT, and children inherit that.
        let mut replay = Replay::start(&["env", "--default-signal"], &recorded, &weir);
        weir.until(|state| !state.totals.is_empty()).await;
        // The terminal is gone: nobody reads what it says.
        drop(replay.0.stderr.take());
        replay.signal(signal);
        let status = replay.ended().await;
        assert_eq!(status.code(), Some(2), "SIG{signal}: no verdict");
        assert_eq!(weir.state().budgets, [120.0, 7.5], "SIG{signal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_the_caller_ignores_does_not_end_the_run() {
    let weir = FakeWeir::start(INTERVAL, Faults::None).await;
    let recorded = Recorded::rows(5000);
    let ignoring = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    let mut replay = Replay::start(&ignoring, &recorded, &weir);
    weir.until(|state| !state.totals.is_empty()).await;
    replay.signal("HUP");
    let reports = weir
        .state()
        .totals
        .values()
        .map(|total| total.0)
        .sum::<u64>();
    weir.until(|state| state.totals.values().map(|total| total.0).sum::<u64>() > 2 * reports)
        .await;
    assert_eq!(weir.state().budgets, [120.0], "it goes on");
    replay.signal("TERM");
    replay.ended().await;
    assert_eq!(weir.state().budgets, [120.0, 7.5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_whose_answer_got_lost_is_put_back() {
    let weir = FakeWeir::start(INTERVAL, Faults::LostBudgets).await;
    let recorded = Recorded::rows(5000);
    let mut replay = Replay::start(&[], &recorded, &weir);
    let status = replay.ended().await;
    assert_eq!(status.code(), Some(2), "the budget's answer never came");
    assert_eq!(weir.state().budgets, [120.0, 7.5], "although it was set");
}

/// A clock whose reading is a fault of the program.
struct Panicking;

impl Clock for Panicking {
    fn now(&self) -> DateTime<Utc> {
        panic!("as asked")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_puts_the_budget_back_and_goes_on() {
    let weir = FakeWeir::start(INTERVAL, Faults::None).await;
    let recorded = Recorded::rows(8);
    let args = recorded.args(&weir);
    let session = Session {
        client: Client::new(&args.sdk_url, &args.admin_url).unwrap(),
        play: args.prepare().unwrap(),
        warm_up: args.warm_up,
        outputs: Outputs::default(),
    };
    let stop = CancellationToken::new();
    let run = AssertUnwindSafe(session.run(&Panicking, &stop)).catch_unwind();
    let panic = run.await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"as asked"));
    assert_eq!(weir.state().budgets, [120.0, 7.5]);
}
