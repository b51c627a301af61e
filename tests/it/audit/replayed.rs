//! What was expected of changes, beside what came of them, on recorded traffic. The recordings are not part of the
//! sources: `make audit-figures RECORDINGS=folder` runs this.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir::cli::replay::ReplayArgs;
use weir::clock::{Clock, SystemClock};
use weir::simulate::{Client, play};

use crate::support::app::TestApp;
use crate::support::process::eventually;

const FOLDER: &str = "RECORDINGS";

/// A row of the recording is an interval.
const INTERVAL: Duration = Duration::from_secs(2);

/// Intervals before the first change.
const WARM_UP: usize = 30;

/// How long the effect of a change may take to be known: a dozen intervals, and longer on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The part of the traffic that is kept at first, and by how much each change multiplies the budget. Each dozen begins
/// with the first budget.
const KEPT: f64 = 0.1;
const FACTORS: [f64; 12] = [1.5, 1.5, 0.5, 2.0, 0.5, 1.2, 1.2, 0.7, 1.8, 0.6, 1.4, 0.8];

/// Changes of a recording. A single change is off by up to 10 %, one standard deviation, where the traffic moves
/// (`allocation::predicted`): the mean of all of them by 1.6 %.
const CHANGES: usize = 36;

/// The least that is kept at first, in traces per second: the coins of 120 traces in three windows are 9 %.
const KEPT_LEAST: f64 = 20.0;

/// Rows that a change takes until its effect is known, with room.
const ROWS: usize = 12;

/// The most by which what is realised may differ from what was predicted, over all changes of a recording.
const DIFFERENCE_MAX: f64 = 0.03;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ReplayArgs,
}

/// The recordings of requests, smallest first.
fn recordings() -> Vec<PathBuf> {
    let folder = std::env::var_os(FOLDER).expect("RECORDINGS names a folder of recorded traffic");
    let entries = std::fs::read_dir(folder).expect("RECORDINGS is a folder");
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|of| of == "csv"))
        .collect();
    files.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    assert!(!files.is_empty(), "RECORDINGS has no file of CSV");
    files
}

fn prepared(app: &TestApp, recording: &Path, budget: f64) -> weir::simulate::Play {
    let budget = budget.to_string();
    let interval = humantime::format_duration(INTERVAL).to_string();
    let given = [
        "replay",
        "--traffic",
        recording.to_str().unwrap(),
        "--interval",
        &interval,
        "--budget",
        &budget,
        "--sdk-url",
        &app.sdk,
        "--admin-url",
        &app.admin,
        "--instances",
        "1",
    ];
    Command::parse_from(given).args.prepare().unwrap()
}

/// The mean requests per second of the first rows that are played.
fn offered(play: &weir::simulate::Play) -> f64 {
    let rows = 0..play.schedule.intervals().min(WARM_UP);
    let seconds = rows.len() as f64 * INTERVAL.as_secs_f64();
    let requests = rows.flat_map(|row| play.schedule.counts(&play.traffic, row));
    requests.sum::<u64>() as f64 / seconds
}

async fn change(app: &TestApp, budget: f64) -> u64 {
    app.set_budget(budget).await;
    let (_, audit) = app.admin_get("/v1/audit?limit=1").await;
    audit["entries"][0]["id"].as_u64().unwrap()
}

/// What was expected to be kept after a change over what was; none if its effect is not known.
async fn realised(app: &TestApp, entry: u64) -> Option<(f64, f64)> {
    let path = format!("/v1/audit/{entry}");
    let entry: Value = eventually(DEADLINE, "the effect is known", async || {
        let (_, entry) = app.admin_get(&path).await;
        entry["measured"].is_object().then_some(entry)
    })
    .await;
    let predicted = &entry["predicted"]["expected_sampled_traces_per_second"]["after"];
    let seen = &entry["measured"]["observed_sampled_traces_per_second"]["after"];
    Some((predicted.as_f64()?, seen.as_f64()?))
}

/// What was seen over what was predicted, of each change while the recording is played.
async fn ratios(app: &TestApp, first: f64) -> Vec<f64> {
    let mut ratios = Vec::new();
    let mut budget = first;
    for number in 0..CHANGES {
        if number % FACTORS.len() == 0 {
            budget = first;
        }
        budget *= FACTORS[number % FACTORS.len()];
        let entry = change(app, budget).await;
        if let Some((predicted, seen)) = realised(app, entry).await {
            let ratio = seen / predicted;
            eprintln!("{budget:.1}/s: {predicted:.1} predicted, {seen:.1} realised: {ratio:.3}");
            ratios.push(ratio);
        }
    }
    ratios
}

/// Plays a recording to its last change. None if it is too short, or if the coins of what is kept hide everything else.
async fn compare(recording: PathBuf) -> Option<Compared> {
    let name = recording
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let directory = tempfile::tempdir().unwrap();
    let interval = humantime::format_duration(INTERVAL).to_string();
    let folder = directory.path().to_str().unwrap();
    let settings = crate::support::app::config(&["--interval", &interval, "--data-dir", folder]);
    let app = TestApp::start_with(settings).await;
    let played = prepared(&app, &recording, 1.0);
    let first = KEPT * offered(&played);
    let long = played.schedule.intervals() >= WARM_UP + ROWS * CHANGES;
    if !long || first < KEPT_LEAST {
        eprintln!("{name}: too short, or too little traffic: {first:.1} traces/s would be kept");
        app.stop().await;
        return None;
    }
    app.set_budget(first).await;
    let stop = CancellationToken::new();
    let client = Client::new(&app.sdk, &app.admin).unwrap();
    let playing = tokio::spawn({
        let stop = stop.clone();
        async move { play(&played, client, SystemClock.now(), &stop, |_, _| {}).await }
    });
    eventually(DEADLINE, "the warm-up is over", async || {
        let plan = app.plan().await?;
        (plan["plan"].as_u64()? >= WARM_UP as u64).then_some(())
    })
    .await;
    let ratios = ratios(&app, first).await;
    assert!(!playing.is_finished(), "{name} ended before its changes");
    stop.cancel();
    playing.await.unwrap();
    app.stop().await;
    Some(Compared::of(&name, &ratios))
}

/// What came of the changes of a recording.
struct Compared {
    name: String,
    changes: usize,
    /// What was realised over what was predicted.
    mean: f64,
}

impl Compared {
    fn of(name: &str, ratios: &[f64]) -> Self {
        let mut sorted = ratios.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let squares = ratios.iter().map(|ratio| (ratio - mean).powi(2));
        let deviation_of_the_mean = squares.sum::<f64>().sqrt() / count;
        let off = |ratio: &f64| (ratio - 1.0).abs();
        let within = ratios.iter().filter(|ratio| off(ratio) <= DIFFERENCE_MAX);
        let figures = json!({
            "recording": name,
            "changes": ratios.len(),
            "median": median,
            "mean": mean,
            "deviation_of_the_mean": deviation_of_the_mean,
            "within_3_percent": within.count(),
            "worst": ratios.iter().map(off).fold(0.0, f64::max),
        });
        eprintln!("{figures}");
        Self {
            name: name.to_owned(),
            changes: ratios.len(),
            mean,
        }
    }

    fn judge(&self) {
        let Self {
            name,
            changes,
            mean,
        } = self;
        assert!(2 * changes > CHANGES, "{name}: {changes} effects are known");
        let off = (mean - 1.0).abs();
        assert!(off <= DIFFERENCE_MAX, "{name}: {mean}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures for docs/audit.md; RECORDINGS names the folder"]
async fn what_is_realised_is_what_was_predicted() {
    let compared = futures_util::future::join_all(recordings().into_iter().map(compare)).await;
    let compared: Vec<Compared> = compared.into_iter().flatten().collect();
    assert!(!compared.is_empty(), "no recording is long enough");
    for of in &compared {
        of.judge();
    }
}
