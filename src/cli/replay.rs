//! `weir replay`: plays recorded traffic against a running server and judges what the fleet
//! sampled.

mod budget;
mod progress;
mod session;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::say;
use super::shown::Shown;
use super::signals::stop_on_signal;
use crate::clock::SystemClock;
use crate::settings::TimingSettings;
use crate::settings::parse::{count, duration, number};
use crate::simulate::classes;
use crate::simulate::client::{Client, ClientError};
use crate::simulate::recording::{ReadOptions, Recording, RecordingError, read};
use crate::simulate::{FleetShape, Play, Schedule, Traffic};

pub use session::{Conclusion, Outputs, Session};

/// Groups of flags.
const SERVER: &str = "Which Weir";
const FLEET: &str = "The fleet";
pub(super) const FILES: &str = "Files that are written";

/// Flags of `weir replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  weir serve --interval 2s --data-dir \"$(mktemp -d)\"    in one terminal, and in another:
  weir replay --traffic last-week.csv --budget 50 --interval 2s --plot run.svg
  weir replay --traffic last-week.csv --budget 50 --interval 2s --intervals 60 --output json")]
pub struct ReplayArgs {
    /// File with recorded traffic, plain or gzip. Its format is recognised by its content:
    /// service,operation,<time>,… or timestamp,service,operation,count or timestamp,<series>,…
    /// or Series;Time;Value of Grafana or the JSON of Prometheus' query_range or Azure Functions
    /// invocations
    #[arg(long, value_name = "FILE")]
    pub traffic: PathBuf,
    /// The budget for the run. The previous one is restored at the end, and when a signal ends the
    /// run. After a SIGKILL you must restore it yourself
    #[arg(long, value_name = "TRACES_PER_SECOND", value_parser = budget())]
    pub budget: f64,
    /// The server's interval, 100ms to 1h; each interval plays one recorded row
    #[arg(long, value_name = "DURATION", value_parser = duration(SHORTEST, LONGEST))]
    pub interval: Duration,
    /// Address of the server's listener for SDKs and agents
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5778", help_heading = SERVER)]
    pub sdk_url: String,
    /// Address of the server's listener for operators
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8778", help_heading = SERVER)]
    pub admin_url: String,
    /// File with a token of role operator, if the server asks operators for one
    #[arg(long, value_name = "FILE", help_heading = SERVER)]
    pub token_file: Option<PathBuf>,
    /// File with a token of role agent, if the server asks agents for one
    #[arg(long, value_name = "FILE", help_heading = SERVER)]
    pub agent_token_file: Option<PathBuf>,
    /// How many intervals to play [default: all that are recorded]
    #[arg(long, value_name = "N", value_parser = count(1, MOST_INTERVALS))]
    pub intervals: Option<usize>,
    /// The recorded row to start at, by its name [default: the first]
    #[arg(long, value_name = "ROW")]
    pub start_at: Option<String>,
    /// Recorded rows per interval, 0.001 to 1000: 2 plays twice as fast, 0.5 half as fast
    #[arg(long, value_name = "ROWS", default_value_t = 1.0, value_parser = time_scale())]
    pub time_scale: f64,
    /// How often an SDK polls, 10ms to 1h [default: the interval]
    #[arg(long, value_name = "DURATION", value_parser = pace(), help_heading = FLEET)]
    pub poll_interval: Option<Duration>,
    /// How often an agent reports, 10ms to 1h [default: a sixth of the interval, 10s of 60s]
    #[arg(long, value_name = "DURATION", value_parser = pace(), help_heading = FLEET)]
    pub report_interval: Option<Duration>,
    /// How long after the end of an interval the reference controller gets its counts, up to 1h
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0s",
        value_parser = duration(Duration::ZERO, LONGEST), help_heading = FLEET)]
    pub reference_delay: Duration,
    /// Number of agents that report, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = agents(), help_heading = FLEET)]
    pub agents: usize,
    /// The most SDK instances of one service, 1 to 1000; a quiet service runs one
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(1_usize, 1000), help_heading = FLEET)]
    pub instances: usize,
    /// Intervals at the beginning that are not judged
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = FLEET)]
    pub warm_up: usize,
    /// Seed of all random numbers
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = FLEET)]
    pub seed: u64,
    /// Draw the run into this SVG file
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    pub plot: Option<PathBuf>,
    /// Write every interval into this CSV file
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    pub csv: Option<PathBuf>,
    /// How the result is printed.
    #[command(flatten)]
    pub shown: Shown,
}

/// Why a run has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The value of a flag is wrong.
    #[error("--{flag} {value}: {problem}")]
    Flag {
        /// The flag's name.
        flag: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The traffic cannot be played.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The server cannot be reached, or its answer cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server runs with another interval.
    #[error(
        "the server computes a plan every {server}, not every {asked}: start it with --interval {asked} or replay with --interval {server}",
        server = humantime::format_duration(*server),
        asked = humantime::format_duration(*asked)
    )]
    Interval {
        /// The server's interval: the window of its current plan.
        server: Duration,
        /// The value of `--interval`.
        asked: Duration,
    },
    /// Somebody else kept changing the budget.
    #[error("cannot set the budget: somebody else keeps changing it")]
    BudgetContended,
    /// A file could not be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::simulate::plot::PlotError),
}

/// The shortest interval: below it, ticks would be shorter than timers are exact.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);
/// The longest interval a server can have.
pub(super) const LONGEST: Duration = TimingSettings::INTERVAL_MAX;
/// The most intervals: each is in memory until the end.
pub(super) const MOST_INTERVALS: usize = 2_000_000;
/// The largest budget, in traces per second.
const MOST_BUDGET: f64 = 1e9;
/// The most SDK instances. Each is a task that polls.
const MOST_SDKS: usize = 50_000;

impl ReplayArgs {
    /// A client with the tokens that the flags name.
    fn client(&self) -> Result<Client, ReplayError> {
        let read = |flag: &'static str, file: &Option<PathBuf>| {
            let text = file.as_ref().map(std::fs::read_to_string).transpose();
            text.map_err(|error| ReplayError::Flag {
                flag,
                value: file.iter().map(|file| file.display().to_string()).collect(),
                problem: error.to_string(),
            })
        };
        let operator = read("token-file", &self.token_file)?;
        let agent = read("agent-token-file", &self.agent_token_file)?;
        let client = Client::new(&self.sdk_url, &self.admin_url)?;
        Ok(client.with_tokens(operator.as_deref(), agent.as_deref())?)
    }

    /// Reads the traffic and lays it out over the intervals.
    ///
    /// # Errors
    /// Names the flag that does not fit the traffic, or the place in the file that is wrong.
    pub fn prepare(&self) -> Result<Play, ReplayError> {
        let poll_interval = self.poll_interval.unwrap_or(self.interval);
        let report_interval = self.report_interval.unwrap_or(self.interval / 6);
        let Recording { traffic, notes, .. } = read(&self.traffic, &ReadOptions::default())?;
        notes
            .iter()
            .for_each(|what| weir_terminal::note(&format!("note: {what}")));
        if classes::entries(&traffic).next().is_some() {
            let problem = "SDKs, which it plays, know no classes: leave out the column class, or use weir simulate";
            return Err(refused("traffic", self.traffic.display(), problem.into()));
        }
        if self.instances * traffic.services().len() > MOST_SDKS {
            return Err(self.too_many_sdks(&traffic));
        }
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
        let services = traffic.services().len();
        let problem = format!(
            "{services} services with {} instances each are more than {MOST_SDKS} SDK instances",
            self.instances
        );
        refused("instances", self.instances, problem)
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

/// The first row to play: the one with this name, else the first.
pub(super) fn first_row(traffic: &Traffic, label: Option<&str>) -> Result<usize, ReplayError> {
    let Some(label) = label else {
        return Ok(0);
    };
    traffic.row_of(label).ok_or_else(|| {
        let known = |label: Option<&String>| label.cloned().unwrap_or_default();
        let (first, last) = (traffic.labels().first(), traffic.labels().last());
        let (first, last) = (known(first), known(last));
        let problem = format!("no such row; they go from {first:?} to {last:?}");
        refused("start-at", label, problem)
    })
}

/// The error for a flag whose value is wrong.
pub(super) fn refused(
    flag: &'static str,
    value: impl fmt::Display,
    problem: String,
) -> ReplayError {
    ReplayError::Flag {
        flag,
        value: value.to_string(),
        problem,
    }
}

/// Parses a budget, which must be above zero.
pub(super) fn budget() -> impl Fn(&str) -> Result<f64, String> + Clone {
    let at_most = number(0.0, MOST_BUDGET);
    move |value| match at_most(value) {
        Ok(given) if given > 0.0 => Ok(given),
        _ => Err(format!(
            "must be a number above 0, and at most {MOST_BUDGET}"
        )),
    }
}

/// Parses how many times faster than recorded the traffic is played.
pub(super) fn time_scale() -> impl Fn(&str) -> Result<f64, String> + Clone {
    number(0.001, 1000.0)
}

/// Parses how often an SDK polls or an agent reports.
pub(super) fn pace() -> impl Fn(&str) -> Result<Duration, String> + Clone {
    duration(SHORTEST / 10, LONGEST)
}

/// Parses the number of agents.
pub(super) fn agents() -> impl Fn(&str) -> Result<usize, String> + Clone {
    count(1_usize, 10_000)
}

/// What happens after a signal.
pub(super) const STOPPING: &str = "putting the budget back and sending the last reports";

/// Runs the command. Exit status: 0 when the server did well, 1 when it did not, 2 without a
/// verdict.
pub async fn run(args: ReplayArgs) -> ExitCode {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone(), STOPPING);
    conclude(replay(&args, &stop).await)
}

/// Plays and judges according to the flags, until the end or until `stop`.
///
/// # Errors
/// If nothing can be played.
pub async fn replay(
    args: &ReplayArgs,
    stop: &CancellationToken,
) -> Result<Conclusion, ReplayError> {
    let play = args.prepare()?;
    let session = Session {
        client: args.client()?,
        warm_up: args.warm_up,
        outputs: Outputs {
            subtitle: args.subtitle(&play),
            plot: args.plot.clone(),
            csv: args.csv.clone(),
            events: Vec::new(),
            shown: args.shown,
        },
        play,
    };
    session.run(&SystemClock, stop).await
}

/// Turns the result of a run into the program's exit status.
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

    fn parse(more: &[&str]) -> Result<ReplayArgs, String> {
        let given = ["replay", "--traffic", "none.csv", "--interval=2s"];
        let parsed = Command::try_parse_from(given.iter().chain(more));
        parsed
            .map(|command| command.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_follow_the_interval() {
        let args = parse(&["--budget=50"]).unwrap();
        assert_eq!(args.interval, Duration::from_secs(2));
        assert_eq!((args.agents, args.instances, args.warm_up), (8, 3, 2));
        assert_eq!(args.poll_interval, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_flag_and_its_range() {
        for (given, said) in [
            ("--agents=0", "must be between 1 and 10000"),
            ("--instances=0", "must be between 1 and 1000"),
            ("--intervals=0", "must be between 1 and 2000000"),
            ("--time-scale=NaN", "must be between 0.001 and 1000"),
            ("--time-scale=0", "must be between 0.001 and 1000"),
            ("--poll-interval=1ms", "must be between 10ms and 1h"),
            ("--report-interval=2h", "must be between 10ms and 1h"),
            ("--reference-delay=2h", "must be between 0s and 1h"),
        ] {
            let error = parse(&["--budget=50", given]).unwrap_err();
            let flag = given.split('=').next().unwrap();
            assert!(error.contains(flag) && error.contains(said), "{error}");
        }
        for budget in ["0", "-1", "NaN", "inf", "many"] {
            let error = parse(&[&format!("--budget={budget}")]).unwrap_err();
            assert!(error.contains("--budget"), "{error}");
            assert!(error.contains("must be a number above 0"), "{error}");
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
