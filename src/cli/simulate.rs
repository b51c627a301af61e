//! `weir simulate`: plays traffic against the allocation in virtual time and judges what the fleet
//! sampled.

mod agents;
mod events;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::replay::{
    FILES, LONGEST, MOST_INTERVALS, ReplayError, SHORTEST, agents, budget, conclude, first_row,
    pace, refused, time_scale,
};
use super::shown::Shown;
use crate::settings::TimingSettings;
use crate::settings::parse::{count, duration, number};
use crate::settings::timing::grace;
use crate::simulate::faults::{
    BudgetChange, Burst, Claimed, Fade, Faults, Mint, NotAFault, Rename,
};
use crate::simulate::recording::{Gaps, ReadOptions, Recording, read};
use crate::simulate::scenario::Scenario;
use crate::simulate::virtual_time::{
    AgentFaults, End, Loss, Restart, Timing, VirtualRun, budget_alone,
};
use crate::simulate::{Schedule, Traffic};

pub use agents::Late;
pub use run::simulate;

/// Groups of flags.
const TIMES: &str = "Times";
const AGENTS: &str = "The agents";
const BAD_DAYS: &str = "Bad days";

/// Flags of `weir simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  weir simulate --traffic last-week.csv --budget 100,200,400 --plot budgets.svg
  weir simulate --traffic last-week.csv --budget 100 --coverage 0.95@300s --explain
  weir simulate --synthetic step --budget 50 --lose 4:100:5 --output json")]
pub struct SimulateArgs {
    /// File with recorded traffic, plain or gzip. Its format is recognised by its content:
    /// service,operation,<time>,… or timestamp,service,operation,count or timestamp,<series>,…
    /// or Series;Time;Value of Grafana or the JSON of Prometheus' query_range or Azure Functions
    /// invocations
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "synthetic",
        required_unless_present = "synthetic"
    )]
    pub traffic: Option<PathBuf>,
    /// Synthetic traffic of 3,000 operations in which one thing happens
    #[arg(long, value_name = "SCENARIO")]
    pub synthetic: Option<Scenario>,
    /// The budget; several, separated by commas, are compared
    #[arg(
        long,
        value_name = "TRACES_PER_SECOND",
        required = true,
        value_delimiter = ',',
        value_parser = budget()
    )]
    pub budget: Vec<f64>,
    /// Floor for every operation: at least one trace within this time with this probability
    #[arg(long, value_name = "PROBABILITY@DURATION")]
    pub coverage: Option<CoverageFloor>,
    /// How often a plan is computed, 100ms to 1h
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = duration(SHORTEST, LONGEST), help_heading = TIMES)]
    pub interval: Duration,
    /// How long a recorded row lasts, in seconds [default: the distance of the rows' times, else
    /// 60]
    #[arg(long, value_name = "SECONDS", value_parser = number(0.001, LONGEST_ROW), help_heading = TIMES)]
    pub row_seconds: Option<f64>,
    /// How rows that are missing in the recording are filled [default: zero in a list or a single
    /// series, else close]
    #[arg(long, value_name = "HOW", help_heading = TIMES)]
    pub gaps: Option<Gaps>,
    /// How many times faster than recorded the traffic is played, 0.001 to 1000
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = time_scale(), help_heading = TIMES)]
    pub time_scale: f64,
    /// How many intervals to play [default: all that are recorded]
    #[arg(long, value_name = "N", value_parser = count(1, MOST_INTERVALS), help_heading = TIMES)]
    pub intervals: Option<usize>,
    /// The recorded row to start at, by its name [default: the first]
    #[arg(long, value_name = "ROW", help_heading = TIMES)]
    pub start_at: Option<String>,
    /// How long after its end a window waits for reports, up to ten intervals
    /// [default: a sixth of the interval]
    #[arg(long, value_name = "DURATION", value_parser = grace, help_heading = TIMES)]
    pub grace: Option<Duration>,
    /// How often an SDK polls, 10ms to 1h [default: the interval]
    #[arg(long, value_name = "DURATION", value_parser = pace(), help_heading = TIMES)]
    pub poll_interval: Option<Duration>,
    /// How often an agent reports, 10ms to 1h; what comes after the grace is late
    /// [default: a sixth of the interval, 10s of 60s]
    #[arg(long, value_name = "DURATION", value_parser = pace(), help_heading = TIMES)]
    pub report_interval: Option<Duration>,
    /// How many agents report, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = agents(), help_heading = AGENTS)]
    pub agents: usize,
    /// Let each agent report services of its own [default: every agent reports a part of every
    /// service]
    #[arg(long, help_heading = AGENTS)]
    pub own_services: bool,
    /// Let the reports of all or of some agents arrive late, by a time or between two times;
    /// repeated, it concerns the next agents
    #[arg(long, value_name = "[AGENTS:]DURATION[-DURATION]", help_heading = BAD_DAYS)]
    pub late: Vec<Late>,
    /// Let agents send no report for time without requests
    #[arg(long, help_heading = AGENTS)]
    pub sparse: bool,
    /// Give agents requests only in this part of their report intervals, chosen by chance
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = number(BUSY_LEAST, 1.0), help_heading = AGENTS)]
    pub busy: f64,
    /// Replace every agent by a new one after this many reports, like functions
    #[arg(long, value_name = "REPORTS", value_parser = count(1, MOST_INTERVALS), help_heading = AGENTS)]
    pub live_for: Option<usize>,
    /// Lose the reports of some agents, from an interval on, for a number of intervals; may be
    /// repeated
    #[arg(long, value_name = "AGENTS:FROM:COUNT", help_heading = BAD_DAYS)]
    pub lose: Vec<Loss>,
    /// Hold the reports of some agents back, from an interval on, for a number of intervals; then
    /// they arrive together; may be repeated
    #[arg(long, value_name = "AGENTS:FROM:COUNT", value_parser = Loss::queued, help_heading = BAD_DAYS)]
    pub queue: Vec<Loss>,
    /// Restart some agents under new names in an interval, with or without a last report; may be
    /// repeated
    #[arg(long, value_name = "AGENTS@INTERVAL[:last]", help_heading = BAD_DAYS)]
    pub restart: Vec<Restart>,
    /// End some agents in an interval, with or without a last report; their traffic ends too, or
    /// moves to the others; may be repeated
    #[arg(long, value_name = "AGENTS@INTERVAL[:last][:moved]", help_heading = BAD_DAYS)]
    pub end: Vec<End>,
    /// Let an additional agent claim requests that nobody sent, once in each of a number of intervals;
    /// then it falls silent; may be repeated
    #[arg(long, value_name = "REQUESTS@FROM:COUNT", help_heading = BAD_DAYS)]
    pub claim: Vec<Claimed>,
    /// Use names in every interval that are never used again, with a part of the traffic; may be
    /// repeated
    #[arg(long, value_name = "NAMES@PART[:FROM:COUNT]", help_heading = BAD_DAYS)]
    pub mint: Vec<Mint>,
    /// Halve the traffic of the fleet or of a service from interval to interval, then let it be silent,
    /// then be back at once; may be repeated
    #[arg(long, value_name = "FROM:COUNT:SILENT[:SERVICE]", help_heading = BAD_DAYS)]
    pub fade: Vec<Fade>,
    /// Multiply the budget from an interval on; may be repeated
    #[arg(long, value_name = "FACTOR@INTERVAL", help_heading = BAD_DAYS)]
    pub change_budget: Vec<BudgetChange>,
    /// Rename a part of the operations from an interval on; may be repeated
    #[arg(long, value_name = "PART@INTERVAL", help_heading = BAD_DAYS)]
    pub rename: Vec<Rename>,
    /// Multiply all traffic, from an interval on, for a number of intervals; may be repeated
    #[arg(long, value_name = "FACTOR@INTERVAL:COUNT", help_heading = BAD_DAYS)]
    pub burst: Vec<Burst>,
    /// Intervals at the beginning that are not judged
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = TIMES)]
    pub warm_up: usize,
    /// How many of the services with the largest shares to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Seed of all random numbers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
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

/// The longest row of time, in seconds: a week.
const LONGEST_ROW: f64 = 604_800.0;
/// The least part of its report intervals in which an agent has requests.
const BUSY_LEAST: f64 = 0.001;
/// The most budgets in one run.
const MOST_BUDGETS: usize = 20;
/// The time in which an operation should show a trace, unless a coverage floor names another.
const CELL: Duration = Duration::from_secs(300);

/// At least one trace of an operation within a time, with this probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoverageFloor {
    /// The probability, between 0 and 1.
    pub probability: f64,
    /// The time.
    pub span: Duration,
}

impl CoverageFloor {
    /// The floor of every operation, in traces per second. Sampled traces are a Poisson process, so
    /// none comes within the time with probability `exp(-rate · time)`.
    #[must_use]
    pub fn traces_per_second(self) -> f64 {
        -(1.0 - self.probability).ln() / self.span.as_secs_f64()
    }
}

impl FromStr for CoverageFloor {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let floor = text.split_once('@').and_then(|(probability, span)| {
            let probability: f64 = probability.trim().parse().ok()?;
            let span = humantime::parse_duration(span.trim()).ok()?;
            let sound = probability > 0.0 && probability < 1.0 && span >= Duration::from_secs(1);
            sound.then_some(Self { probability, span })
        });
        floor.ok_or(NotAFault::new(
            "PROBABILITY@DURATION, like 0.95@300s for a trace of each operation in 19 of 20 spans of five minutes",
        ))
    }
}

/// A run for each budget, and notes on the traffic.
pub struct PreparedRuns {
    /// One run for every budget.
    pub runs: Vec<VirtualRun>,
    /// What the reader found out about the file, in sentences.
    pub notes: Vec<String>,
}

impl SimulateArgs {
    /// Reads or makes up the traffic.
    ///
    /// # Errors
    /// Names the flag that does not fit the others or the traffic, or the place in the file that is
    /// wrong.
    pub fn prepare(&self) -> Result<PreparedRuns, ReplayError> {
        let timing = self.timing()?;
        if self.budget.len() > MOST_BUDGETS {
            let problem = format!("must be at most {MOST_BUDGETS} budgets");
            return Err(refused("budget", self.budget.len(), problem));
        }
        let Recording {
            traffic,
            row_seconds,
            mut notes,
        } = self.read()?;
        let start = first_row(&traffic, self.start_at.as_deref())?;
        let pace = self.time_scale * self.interval.as_secs_f64() / row_seconds;
        let schedule = Schedule::new(traffic.rows(), start, pace, self.intervals);
        if schedule.intervals() > MOST_INTERVALS {
            let problem = format!("must be at most {MOST_INTERVALS}: play fewer, or longer ones");
            return Err(refused("intervals", schedule.intervals(), problem));
        }
        let played = (schedule.intervals() as f64 * pace) as usize;
        let left = (traffic.rows() - start).saturating_sub(played);
        if left > 0 && self.intervals.is_none() {
            notes.push(format!(
                "the last {left} rows do not fill an interval and are not played"
            ));
        }
        let (agents, agent_faults) = self.agents(&timing, &traffic);
        let mut faults = self.faults(agent_faults);
        let mut traffic = traffic;
        for (number, mint) in self.mint.iter().enumerate() {
            let (more, minted) = mint.mint(&traffic, number + 1, schedule.intervals());
            traffic = more;
            faults.minted.push(minted);
        }
        let traffic = Arc::new(faults.rename(traffic, self.rename.clone(), self.seed));
        let run = |&budget: &f64| {
            let mut policy = budget_alone(budget);
            policy.floor = self.coverage.map_or(0.0, CoverageFloor::traces_per_second);
            VirtualRun {
                traffic: Arc::clone(&traffic),
                schedule,
                timing,
                agents: agents.clone(),
                faults: faults.clone(),
                policy,
                warm_up: self.warm_up,
                cell: self.cell(),
                seed: self.seed,
            }
        };
        Ok(PreparedRuns {
            runs: self.budget.iter().map(run).collect(),
            notes,
        })
    }

    fn timing(&self) -> Result<Timing, ReplayError> {
        let part = self.interval / TimingSettings::GRACE_PART;
        let grace = self.grace.unwrap_or(part);
        let longest = TimingSettings::GRACE_INTERVALS_MAX * self.interval;
        if grace > longest {
            let longest = humantime::format_duration(longest);
            let problem = format!("must be at most ten intervals, which is {longest}");
            let grace = humantime::format_duration(grace);
            return Err(refused("grace", grace, problem));
        }
        Ok(Timing {
            interval: self.interval,
            grace,
            poll_interval: self.poll_interval.unwrap_or(self.interval),
            report_interval: self.report_interval.unwrap_or(self.interval / 6),
        })
    }

    fn cell(&self) -> Duration {
        self.coverage.map_or(CELL, |floor| floor.span)
    }

    fn faults(&self, agents: AgentFaults) -> Faults {
        Faults {
            agents,
            bursts: self.burst.clone(),
            fades: self.fade.clone(),
            budgets: self.change_budget.clone(),
            ..Faults::default()
        }
    }

    fn read(&self) -> Result<Recording, ReplayError> {
        let Some(file) = &self.traffic else {
            return Ok(Recording {
                traffic: self.scenario().traffic(self.seed),
                row_seconds: 60.0,
                notes: Vec::new(),
            });
        };
        let reading = ReadOptions {
            row_seconds: self.row_seconds,
            gaps: self.gaps,
        };
        Ok(read(file, &reading)?)
    }

    fn scenario(&self) -> Scenario {
        self.synthetic.unwrap_or(Scenario::Steady)
    }

    /// Describes the run in a line.
    fn subtitle(&self, run: &VirtualRun) -> String {
        let file = self.traffic.as_deref().and_then(std::path::Path::file_name);
        let name = file.map_or_else(
            || format!("{:?}", self.scenario()),
            |file| file.to_string_lossy().into_owned(),
        );
        let traffic: &Traffic = &run.traffic;
        format!(
            "{name} · from {} · {} intervals of {} · {} operations · virtual time",
            run.schedule.label(traffic, 0),
            run.schedule.intervals(),
            humantime::format_duration(self.interval),
            traffic.operations().len(),
        )
    }
}

/// Runs the command. Exit status: 0 when the allocation did well, 1 when it did not, 2 without a
/// verdict.
pub(super) fn run(args: &SimulateArgs) -> ExitCode {
    conclude(simulate(args))
}
