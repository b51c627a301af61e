//! `weir replay`: plays recorded traffic against a running server and judges what it kept.

mod budget;
mod progress;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::say;
use super::signals::stop_on_signal;
use crate::clock::SystemClock;
use crate::settings::TimingSettings;
use crate::simulate::client::{Client, ClientError};
use crate::simulate::recording::{RecordingError, read_traffic};
use crate::simulate::{FleetShape, Play, Schedule, Traffic};

pub use session::{Conclusion, Outputs, Session};

/// Flags of `weir replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// Recorded traffic, recognised by its header: service,operation,<time>,… or
    /// timestamp,service,operation,count or timestamp,<operation>,… or Azure Functions invocations
    #[arg(long, value_name = "FILE")]
    pub traffic: PathBuf,
    /// The budget to hold during the run. The former one is put back at the end, and when a signal
    /// ends the run; after a SIGKILL you must do it yourself
    #[arg(long, value_name = "TRACES_PER_SECOND")]
    pub budget: f64,
    /// The interval that the server runs with; one recorded row is played in each
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Where the server listens for SDKs and agents
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5778")]
    pub sdk_url: String,
    /// Where the server listens for operators
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8778")]
    pub admin_url: String,
    /// How many intervals to play [default: all that are recorded]
    #[arg(long, value_name = "N")]
    pub intervals: Option<usize>,
    /// The recorded row to begin with, by its name [default: the first]
    #[arg(long, value_name = "ROW")]
    pub start_at: Option<String>,
    /// Recorded rows that go by in an interval: 2 plays twice as fast, 0.5 half as fast
    #[arg(long, value_name = "ROWS", default_value_t = 1.0)]
    pub time_scale: f64,
    /// How often an SDK polls [default: the interval]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub poll_interval: Option<Duration>,
    /// How often an agent reports [default: a sixth of the interval, 10s of 60s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub report_interval: Option<Duration>,
    /// How long after an interval the reference controller knows its counts
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub reference_delay: Duration,
    /// How many agents report
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub agents: usize,
    /// The most SDK instances of one service; quiet services run one
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub instances: usize,
    /// Intervals at the beginning that are not judged
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warm_up: usize,
    /// Where the randomness starts
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Draw the run into this SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write every interval into this CSV file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

/// Why a run came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A flag's value does not do.
    #[error("--{flag} {value}: {problem}")]
    Flag {
        /// The flag's name.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The traffic cannot be played.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The server cannot be talked to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server runs with another interval.
    #[error(
        "the server computes a plan every {server}, not every {asked}: start it with --interval {asked} or replay with --interval {server}",
        server = humantime::format_duration(*server),
        asked = humantime::format_duration(*asked)
    )]
    Interval {
        /// The window of its current plan.
        server: Duration,
        /// What `--interval` says.
        asked: Duration,
    },
    /// The budget was changed by somebody else again and again.
    #[error("cannot set the budget: somebody else keeps changing it")]
    BudgetContended,
    /// A file could not be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::simulate::plot::PlotError),
}

/// The shortest interval: below it the ticks would be shorter than timers are exact.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest interval a server can have.
const LONGEST: Duration = TimingSettings::INTERVAL_MAX;
/// The most SDK instances: each is a task that polls.
const MOST_SDKS: usize = 50_000;

impl ReplayArgs {
    /// Checks the flags, reads the traffic and lays it over the intervals.
    ///
    /// # Errors
    /// Names the flag or the place in the file that is wrong.
    pub fn prepare(&self) -> Result<Play, ReplayError> {
        check_budget(self.budget)?;
        within("interval", self.interval, SHORTEST, LONGEST)?;
        let poll_interval = self.poll_interval.unwrap_or(self.interval);
        let report_interval = self.report_interval.unwrap_or(self.interval / 6);
        within("poll-interval", poll_interval, SHORTEST / 10, LONGEST)?;
        within("report-interval", report_interval, SHORTEST / 10, LONGEST)?;
        within(
            "reference-delay",
            self.reference_delay,
            Duration::ZERO,
            LONGEST,
        )?;
        within("time-scale", self.time_scale, 0.001, 1000.0)?;
        within("agents", self.agents, 1, 10_000)?;
        within("instances", self.instances, 1, 1000)?;
        within("intervals", self.intervals.unwrap_or(1), 1, usize::MAX)?;
        let traffic = read_traffic(&self.traffic)?;
        within(
            "instances",
            self.instances * traffic.services().len(),
            1,
            MOST_SDKS,
        )
        .map_err(|_| self.too_many_sdks(&traffic))?;
        let start = first_row(&traffic, self.start_at.as_deref())?;
        let schedule = Schedule::new(traffic.rows(), start, self.time_scale, self.intervals);
        Ok(Play {
            traffic: Arc::new(traffic),
            schedule,
            interval: self.interval,
            poll_interval,
            report_interval,
            reference_delay: self.reference_delay,
            budget: self.budget,
            shape: FleetShape {
                agents: self.agents,
                instances_max: self.instances,
                seed: self.seed,
                ..FleetShape::default()
            },
        })
    }

    fn too_many_sdks(&self, traffic: &Traffic) -> ReplayError {
        ReplayError::Flag {
            flag: "instances",
            value: self.instances.to_string(),
            problem: format!(
                "{} services with so many each are more than {MOST_SDKS} SDK instances",
                traffic.services().len()
            ),
        }
    }

    fn subtitle(&self, play: &Play) -> String {
        let name = self.traffic.file_name().unwrap_or(self.traffic.as_os_str());
        format!(
            "{} · from {} · {} intervals of {} · {} operations",
            Path::new(name).display(),
            play.schedule.label(&play.traffic, 0),
            play.schedule.intervals(),
            humantime::format_duration(play.interval),
            play.traffic.operations().len(),
        )
    }
}

/// The row of time to begin with: the one of that name, else the first.
pub(super) fn first_row(traffic: &Traffic, label: Option<&str>) -> Result<usize, ReplayError> {
    let Some(label) = label else {
        return Ok(0);
    };
    traffic.row_of(label).ok_or_else(|| {
        let known = |label: Option<&String>| label.cloned().unwrap_or_default();
        ReplayError::Flag {
            flag: "start-at",
            value: label.to_owned(),
            problem: format!(
                "no such row; they go from {:?} to {:?}",
                known(traffic.labels().first()),
                known(traffic.labels().last())
            ),
        }
    })
}

pub(super) fn check_budget(budget: f64) -> Result<(), ReplayError> {
    within("budget", budget, f64::MIN_POSITIVE, 1e9)
}

/// Checks that a flag's value is at least `least` and at most `most`; NaN is neither.
pub(super) fn within<T: PartialOrd + std::fmt::Debug + Copy>(
    flag: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ReplayError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(ReplayError::Flag {
        flag,
        value: format!("{value:?}"),
        problem: format!("must be between {least:?} and {most:?}"),
    })
}

/// What a signal leads to.
pub(super) const STOPPING: &str = "putting the budget back and sending the last reports";

/// Runs the command: 0 when the server did well, 1 when it did not, 2 without a verdict.
pub async fn run(args: ReplayArgs) -> ExitCode {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone(), STOPPING);
    conclude(replay(&args, &stop).await)
}

/// Plays and judges as the flags say, until the end or until `stop`.
///
/// # Errors
/// When there is no way to play at all.
pub async fn replay(
    args: &ReplayArgs,
    stop: &CancellationToken,
) -> Result<Conclusion, ReplayError> {
    let play = args.prepare()?;
    let session = Session {
        client: Client::new(&args.sdk_url, &args.admin_url)?,
        warm_up: args.warm_up,
        outputs: Outputs {
            subtitle: args.subtitle(&play),
            plot: args.plot.clone(),
            csv: args.csv.clone(),
        },
        play,
    };
    session.run(&SystemClock, stop).await
}

/// Turns what came of a run into the program's exit status.
pub(super) fn conclude(result: Result<Conclusion, ReplayError>) -> ExitCode {
    match result {
        Ok(Conclusion::Passed) => ExitCode::SUCCESS,
        Ok(Conclusion::Failed) => ExitCode::from(1),
        Ok(Conclusion::Undecided) => ExitCode::from(2),
        Err(error) => {
            say(&format!("weir: {error}"));
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ReplayArgs,
    }

    fn args(more: &[&str]) -> ReplayArgs {
        let given = [
            "replay",
            "--traffic",
            "none.csv",
            "--budget=50",
            "--interval=2s",
        ];
        Command::parse_from(given.iter().chain(more)).args
    }

    #[test]
    fn the_defaults_follow_the_interval() {
        let args = args(&[]);
        assert_eq!(args.interval, Duration::from_secs(2));
        assert_eq!((args.agents, args.instances, args.warm_up), (8, 3, 2));
        assert_eq!(args.poll_interval, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_read() {
        for (flag, value) in [
            ("--agents", "0"),
            ("--instances", "0"),
            ("--intervals", "0"),
            ("--time-scale", "NaN"),
            ("--time-scale", "0"),
            ("--poll-interval", "1ms"),
            ("--report-interval", "2h"),
        ] {
            let error = args(&[flag, value]).prepare().expect_err("makes no sense");
            assert!(error.to_string().starts_with(flag), "{error}");
        }
        let mut nothing = args(&[]);
        for budget in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            nothing.budget = budget;
            let error = nothing.prepare().expect_err("makes no sense");
            assert!(error.to_string().starts_with("--budget"), "{error}");
        }
    }

    #[test]
    fn another_interval_of_the_servers_is_explained() {
        let error = ReplayError::Interval {
            server: Duration::from_secs(60),
            asked: Duration::from_secs(2),
        };
        assert_eq!(
            error.to_string(),
            "the server computes a plan every 1m, not every 2s: start it with --interval 2s or replay with --interval 1m"
        );
    }
}
