//! `weir replay` and `weir demo` against a server that is not always there.

mod edge;
mod ends;
mod fake;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use fake::{FakeWeir, Faults};
use tokio_util::sync::CancellationToken;
use weir::cli::demo::{DemoArgs, EmbeddedWeir, demonstrate};
use weir::cli::replay::{Conclusion, ReplayArgs, ReplayError, replay};

const INTERVAL: Duration = Duration::from_millis(200);

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ReplayArgs,
}

#[derive(Parser)]
struct DemoCommand {
    #[command(flatten)]
    args: DemoArgs,
}

/// A traffic file and the flags to replay it.
struct Recorded {
    directory: tempfile::TempDir,
    /// Root requests by (service, operation).
    totals: BTreeMap<(String, String), u64>,
}

impl Recorded {
    /// Twelve operations of four services, from busy to rare.
    fn rows(rows: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut text = "service,operation".to_owned();
        (0..rows).for_each(|row| text.push_str(&format!(",t{row}")));
        let mut totals = BTreeMap::new();
        for operation in 0..12 {
            let key = (
                format!("service {}", operation % 4),
                format!("GET /{operation}"),
            );
            text.push_str(&format!("\n{},{}", key.0, key.1));
            for row in 0..rows {
                let count = (600 >> operation) + (row * operation) % 3;
                text.push_str(&format!(",{count}"));
                *totals.entry(key.clone()).or_default() += count as u64;
            }
        }
        std::fs::write(directory.path().join("traffic.csv"), text + "\n").unwrap();
        Self { directory, totals }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn args(&self, weir: &FakeWeir) -> ReplayArgs {
        let traffic = self.path("traffic.csv").display().to_string();
        let interval = humantime::format_duration(INTERVAL).to_string();
        let given = [
            "replay",
            "--traffic",
            &traffic,
            "--interval",
            &interval,
            "--budget",
            "120",
            "--sdk-url",
            &weir.url,
            "--admin-url",
            &weir.url,
            "--agents",
            "3",
        ];
        let mut args = Command::parse_from(given).args;
        args.csv = Some(self.path("intervals.csv"));
        args.plot = Some(self.path("replay.svg"));
        args
    }
}

/// The sum of a column of the intervals' file.
fn sum_of(file: &Path, column: &str) -> u64 {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let place = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == column)
        .unwrap();
    reader
        .records()
        .map(|record| record.unwrap()[place].parse::<u64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_reported_once_though_answers_get_lost() {
    let weir = FakeWeir::start(INTERVAL, Faults::Flaky).await;
    let recorded = Recorded::rows(10);
    let args = recorded.args(&weir);
    let conclusion = replay(&args, &CancellationToken::new()).await.unwrap();

    assert_ne!(conclusion, Conclusion::Undecided);
    let state = weir.state();
    let offered: BTreeMap<_, u64> = state
        .totals
        .iter()
        .map(|(key, t)| (key.clone(), t.0))
        .collect();
    assert_eq!(offered, recorded.totals);
    let sampled: u64 = state.totals.values().map(|total| total.1).sum();
    assert_eq!(sampled, sum_of(&recorded.path("intervals.csv"), "sampled"));
    assert!(sampled > 0, "the strategies reached the SDKs");
    assert!(
        state.refused > 0 && state.duplicates > 0,
        "the server was away now and then"
    );
    assert!(
        state.gaps.is_empty(),
        "windows follow each other: {:?}",
        state.gaps
    );
    assert_eq!(
        state.budgets,
        [120.0, 7.5],
        "set for the run, then put back"
    );
    let picture = std::fs::read_to_string(recorded.path("replay.svg")).unwrap();
    assert!(picture.contains("traces/s"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_that_some_client_refuses_fails_the_run() {
    let weir = FakeWeir::start(INTERVAL, Faults::UnknownField).await;
    let recorded = Recorded::rows(8);
    let conclusion = replay(&recorded.args(&weir), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(conclusion, Conclusion::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_sends_what_it_has_and_puts_the_budget_back() {
    let weir = FakeWeir::start(INTERVAL, Faults::None).await;
    let recorded = Recorded::rows(5000);
    let stop = CancellationToken::new();
    let args = recorded.args(&weir);
    let stopping = async {
        weir.until(|state| !state.totals.is_empty()).await;
        stop.cancel();
    };
    let (conclusion, ()) = tokio::join!(replay(&args, &stop), stopping);
    assert_eq!(conclusion.unwrap(), Conclusion::Undecided);
    assert_eq!(weir.state().budgets, [120.0, 7.5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_somebody_else_sets_meanwhile_stays() {
    let weir = FakeWeir::start(INTERVAL, Faults::None).await;
    let recorded = Recorded::rows(8);
    let args = recorded.args(&weir);
    let meddling = async {
        weir.until(|state| !state.totals.is_empty()).await;
        weir.state().set_budget(33.0);
    };
    let stop = CancellationToken::new();
    let (conclusion, ()) = tokio::join!(replay(&args, &stop), meddling);
    assert_ne!(conclusion.unwrap(), Conclusion::Undecided);
    assert_eq!(weir.state().budgets, [120.0, 33.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_interval_is_left_alone() {
    let weir = FakeWeir::start(Duration::from_secs(60), Faults::None).await;
    weir.state().plans = 1;
    let recorded = Recorded::rows(8);
    let error = replay(&recorded.args(&weir), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::Interval { server, asked }
            if server == Duration::from_secs(60) && asked == INTERVAL),
        "{error}"
    );
    assert_eq!(weir.state().budgets, [0.0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_plan_with_another_interval_ends_the_run() {
    let weir = FakeWeir::start(Duration::from_secs(60), Faults::None).await;
    let recorded = Recorded::rows(5000);
    let args = recorded.args(&weir);
    let planning = async {
        weir.until(|state| !state.totals.is_empty()).await;
        weir.state().plans = 1;
    };
    let stop = CancellationToken::new();
    let (error, ()) = tokio::join!(replay(&args, &stop), planning);
    assert!(
        matches!(error, Err(ReplayError::Interval { .. })),
        "{error:?}"
    );
    assert_eq!(weir.state().budgets, [120.0, 7.5]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // Bound and let go: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let weir = FakeWeir::nowhere(format!("http://{address}"));
    let recorded = Recorded::rows(8);
    let error = replay(&recorded.args(&weir), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ReplayError::Client(_)), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn the_demonstration_ends_with_a_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let plot = directory.path().join("demo.svg");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["demo", "--seconds=7", "--interval=1s", "--plot"])
        .arg(&plot)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let failed = String::from_utf8_lossy(&ended.stderr);
    // On a busy machine it may fail, but it is played to its end.
    assert!(matches!(ended.status.code(), Some(0..=2)), "{said}{failed}");
    assert!(said.contains("sampled/s"), "{said}{failed}");
    assert!(plot.is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demonstration_runs_its_own_server_and_leaves_a_plot() {
    let directory = tempfile::tempdir().unwrap();
    let plot = directory.path().join("demo.svg");
    let path = plot.display().to_string();
    let args = DemoCommand::parse_from(["demo", "--seconds=7", "--interval=1s", "--plot", &path]);
    let mut served_from = PathBuf::new();
    let conclusion = demonstrate(
        &args.args,
        async |settings, stop: CancellationToken| {
            assert!(settings.data_dir.is_dir());
            served_from = settings.data_dir;
            let weir = FakeWeir::start(settings.interval, Faults::None).await;
            let url = weir.url.clone();
            Ok(EmbeddedWeir {
                sdk_url: url.clone(),
                admin_url: url,
                running: Box::pin(async move {
                    stop.cancelled().await;
                    drop(weir);
                    Ok(())
                }),
            })
        },
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_ne!(conclusion, Conclusion::Undecided);
    assert!(std::fs::read_to_string(plot).unwrap().contains("<svg"));
    assert!(!served_from.exists(), "the database's directory is gone");
}
