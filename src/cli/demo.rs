//! `weir demo`: runs a server and a fleet in one process on synthetic traffic, and ends with a
//! verdict.

#[cfg(feature = "edge")]
mod edge;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::replay::{self, Conclusion, Outputs, ReplayError, Session};
use super::say;
use super::shown::Shown;
use super::signals::stop_on_signal;
use crate::app::App;
use crate::clock::SystemClock;
use crate::settings::Settings;
use crate::settings::parse::{MINUTE, SECOND, duration};
use crate::simulate::plot::Event;
use crate::simulate::synthetic::{EVENTS, SyntheticFleet, synthetic_traffic};
use crate::simulate::verdict::FEWEST_INTERVALS;
use crate::simulate::{Client, FleetShape, Play, Schedule};
use crate::telemetry::logging;

/// Flags of `weir demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  weir demo                        a minute; says where to look meanwhile
  weir demo --keep                 the same, and goes on until Ctrl-C
  weir demo --budget 20 --explain  another budget, and how the run was judged
  weir demo --edge                 an edge keeps errors and tagged requests, and the budget")]
pub struct DemoArgs {
    /// How long it takes
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub seconds: u64,
    /// How often the server computes a plan, 1s to 1m
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "2s",
        value_parser = duration(SECOND, MINUTE)
    )]
    pub interval: Duration,
    /// The budget to keep
    #[arg(
        long,
        value_name = "TRACES_PER_SECOND",
        default_value_t = 50.0,
        value_parser = replay::budget()
    )]
    pub budget: f64,
    /// File to draw the plot into
    #[arg(long, value_name = "FILE", default_value = "demo.svg")]
    pub plot: PathBuf,
    /// Seed of all random numbers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Go on afterwards, with the same traffic again, until Ctrl-C, so that you can look around
    #[arg(long)]
    pub keep: bool,
    /// Decide about traces when they have ended: with an edge, and a service whose errors multiply
    #[cfg(feature = "edge")]
    #[arg(long, conflicts_with_all = ["plot", "explain"])]
    pub edge: bool,
    /// How the result is printed.
    #[command(flatten)]
    pub shown: Shown,
}

/// The settings that the demonstration gives its server.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// How often it computes a plan.
    pub interval: Duration,
    /// How long it waits for reports after a window.
    pub grace: Duration,
    /// An empty directory for its database; removed at the end.
    pub data_dir: PathBuf,
}

/// A server that has bound its addresses. It runs as long as `running` is polled.
pub struct EmbeddedWeir {
    /// The SDK listener's base address, like `http://127.0.0.1:41233`.
    pub sdk_url: String,
    /// The admin listener's.
    pub admin_url: String,
    /// Serves until the token that [`run`] handed out is cancelled.
    pub running: Pin<Box<dyn Future<Output = Result<(), StartError>>>>,
}

/// Why the server did not start, or ended.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Intervals at the beginning that are not judged.
const WARM_UP: usize = 2;
/// The most intervals: the traffic of all of them is generated at the start.
const MOST_ROWS: usize = 100_000;
/// Reports per interval. The server's grace is as long as the time between two reports: an agent's
/// last report on a window comes at most that long after its end.
const REPORTS_PER_INTERVAL: u32 = 6;

/// Runs the command. Exit status: 0 when the server did well, 1 when it did not, 2 without a
/// verdict.
pub async fn run(args: DemoArgs) -> ExitCode {
    logging::start(false, "warn");
    let stop = CancellationToken::new();
    stop_on_signal(
        stop.clone(),
        "stopping the server and removing its database",
    );
    #[cfg(feature = "edge")]
    if args.edge {
        return edge::run(&args, &stop).await;
    }
    match demonstrate(&args, start, &stop).await {
        Ok(conclusion) => replay::conclude(Ok(conclusion)),
        Err(DemoError::Replay(error)) => replay::conclude(Err(error)),
        Err(error) => {
            say(&format!("weir: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Starts the real server, on free ports and with an embedded database.
///
/// # Errors
/// The server's, when it does not start.
pub async fn start(
    settings: EmbeddedSettings,
    stop: CancellationToken,
) -> Result<EmbeddedWeir, StartError> {
    let EmbeddedSettings {
        interval,
        grace,
        data_dir,
    } = settings;
    let app = App::build(Settings::embedded(interval, grace, &data_dir)).await?;
    Ok(EmbeddedWeir {
        sdk_url: format!("http://{}", app.sdk_address()),
        admin_url: format!("http://{}", app.admin_address()),
        running: Box::pin(async move { Ok(app.run(stop).await?) }),
    })
}

/// Why there was no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The flags or the run.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The directory for the database.
    #[error("cannot make a directory for the database: {0}")]
    Directory(#[source] std::io::Error),
    /// The server did not start, or stopped too early.
    #[error("the server {what}: {}", logging::chain(&**source))]
    Server {
        /// What happened: "did not start", "stopped early".
        what: &'static str,
        /// Why.
        source: StartError,
    },
}

/// Starts a server, plays against it until the end or until `stop`, and stops it.
///
/// # Errors
/// When the server does not run, or the flags make no sense.
pub async fn demonstrate<S, F>(
    args: &DemoArgs,
    start: S,
    stop: &CancellationToken,
) -> Result<Conclusion, DemoError>
where
    S: FnOnce(EmbeddedSettings, CancellationToken) -> F,
    F: Future<Output = Result<EmbeddedWeir, StartError>>,
{
    let play = args.prepare()?;
    let directory = TemporaryDirectory::new().map_err(DemoError::Directory)?;
    let settings = EmbeddedSettings {
        interval: args.interval,
        grace: play.report_interval,
        data_dir: directory.path.clone(),
    };
    let stop_server = CancellationToken::new();
    let server = |what| move |source| DemoError::Server { what, source };
    let mut weir = start(settings, stop_server.clone())
        .await
        .map_err(server("did not start"))?;
    let session = args.session(play, &weir)?;
    args.tell_addresses(&session, &weir);
    let conclusion = tokio::select! {
        conclusion = args.play(&session, stop) => conclusion?,
        ended = &mut weir.running => {
            let source = ended.err().unwrap_or_else(|| "it was not asked to".into());
            return Err(server("stopped early")(source));
        }
    };
    stop_server.cancel();
    weir.running.await.map_err(server("did not stop cleanly"))?;
    Ok(conclusion)
}

impl DemoArgs {
    fn prepare(&self) -> Result<Play, ReplayError> {
        let seconds = self.interval.as_secs_f64();
        let rows = (self.seconds as f64 / seconds) as usize;
        let fewest = FEWEST_INTERVALS + WARM_UP;
        if !(fewest..=MOST_ROWS).contains(&rows) {
            let interval = humantime::format_duration(self.interval);
            let problem =
                format!("must be between {fewest} and {MOST_ROWS} intervals of {interval}");
            return Err(replay::refused("seconds", self.seconds, problem));
        }
        let fleet = SyntheticFleet {
            rows,
            // The same load for any interval.
            requests_per_row: 3000.0 * seconds,
            seed: self.seed,
            ..SyntheticFleet::default()
        };
        let traffic = Arc::new(synthetic_traffic(&fleet));
        Ok(Play {
            schedule: Schedule::new(traffic.rows(), 0, 1.0, None),
            traffic,
            interval: self.interval,
            poll_interval: self.interval,
            report_interval: self.interval / REPORTS_PER_INTERVAL,
            reference_delay: Duration::ZERO,
            budget: self.budget,
            shape: FleetShape {
                seed: self.seed,
                ..FleetShape::default()
            },
        })
    }

    /// Plays to the verdict, and on until `stop` if that was asked for.
    async fn play(
        &self,
        session: &Session,
        stop: &CancellationToken,
    ) -> Result<Conclusion, ReplayError> {
        let conclusion = session.run(&SystemClock, stop).await?;
        if self.keep && !stop.is_cancelled() {
            session.keep_budget().await?;
            say("Weir and its fleet go on until Ctrl-C (--keep).");
            session.go_on(&SystemClock, stop).await;
        }
        Ok(conclusion)
    }

    /// Says where to look meanwhile.
    fn tell_addresses(&self, session: &Session, weir: &EmbeddedWeir) {
        let (admin, sdk) = (&weir.admin_url, &weir.sdk_url);
        let services = session.play.traffic.services();
        let service = services.first().map_or("NAME", |it| it.name.as_str());
        let until = if self.keep {
            ""
        } else {
            " (longer with --keep)"
        };
        say(&format!(
            "A Weir runs for this, and you can look at it meanwhile{until}:"
        ));
        for (what, address) in [
            ("its console", format!("{admin}/")),
            ("its API", format!("{admin}/docs")),
            ("its metrics", format!("{admin}/metrics")),
            (
                "what SDKs poll",
                format!("{sdk}/sampling?service={service}"),
            ),
            ("in another terminal", format!("weir top --url {admin}")),
        ] {
            say(&format!("  {what:<20} {address}"));
        }
    }

    /// What happens to the synthetic fleet.
    fn events(intervals: usize) -> Vec<Event> {
        EVENTS
            .iter()
            .map(|(part, what)| Event {
                interval: (part * intervals as f64).ceil() as usize,
                what: (*what).to_owned(),
            })
            .collect()
    }

    fn session(&self, play: Play, weir: &EmbeddedWeir) -> Result<Session, ReplayError> {
        let subtitle = format!(
            "synthetic traffic · {} operations · {} intervals of {}",
            play.traffic.operations().len(),
            play.schedule.intervals(),
            humantime::format_duration(play.interval),
        );
        Ok(Session {
            client: Client::new(&weir.sdk_url, &weir.admin_url)?,
            warm_up: WARM_UP,
            outputs: Outputs {
                subtitle,
                plot: Some(self.plot.clone()),
                csv: None,
                events: Self::events(play.schedule.intervals()),
                shown: self.shown,
            },
            play,
        })
    }
}

/// A directory that is removed when it is dropped.
struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("weir-demo-{}", uuid::Uuid::new_v4()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a directory and its contents. An error is ignored: a directory that is left behind harms
/// nobody.
fn remove(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}
