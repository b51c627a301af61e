//! `weir simulate`: plays traffic against the engine in virtual time and judges what it kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::replay::{Conclusion, Outputs, ReplayError, check_budget, conclude, first_row, within};
use crate::simulate::recording::read_traffic;
use crate::simulate::scenario::Scenario;
use crate::simulate::virtual_time::{Timing, VirtualPlayed, VirtualRun, budget_alone, play};
use crate::simulate::{Interval, Schedule, Traffic, Verdict, WireTally, table};

/// Flags of `weir simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Recorded traffic: Azure Functions invocations per minute, or service,operation,<time>,…
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "synthetic",
        required_unless_present = "synthetic"
    )]
    pub traffic: Option<PathBuf>,
    /// Made-up traffic of 3,000 operations in which one thing happens
    #[arg(long, value_name = "SCENARIO")]
    pub synthetic: Option<Scenario>,
    /// The budget to hold
    #[arg(long, value_name = "TRACES_PER_SECOND")]
    pub budget: f64,
    /// How often a plan is computed; one recorded row is played in each interval
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// How long after its end a window waits for reports [default: a sixth of the interval]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub grace: Option<Duration>,
    /// How often an SDK polls [default: the interval]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub poll_interval: Option<Duration>,
    /// How often an agent reports; what comes after the grace is late
    /// [default: a sixth of the interval, 10s of 60s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub report_interval: Option<Duration>,
    /// How many intervals to play [default: all that are recorded]
    #[arg(long, value_name = "N")]
    pub intervals: Option<usize>,
    /// The recorded row to begin with, by its column's name [default: the first]
    #[arg(long, value_name = "COLUMN")]
    pub start_at: Option<String>,
    /// Recorded rows that go by in an interval: 2 plays twice as fast, 0.5 half as fast
    #[arg(long, value_name = "ROWS", default_value_t = 1.0)]
    pub time_scale: f64,
    /// How many agents report
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub agents: usize,
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

/// The shortest interval: windows are counted in milliseconds.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest interval a server can have.
const LONGEST: Duration = Duration::from_secs(3600);

impl SimulateArgs {
    /// Checks the flags and reads or makes up the traffic.
    ///
    /// # Errors
    /// Names the flag or the place in the file that is wrong.
    pub fn prepare(&self) -> Result<VirtualRun, ReplayError> {
        check_budget(self.budget)?;
        within("interval", self.interval, SHORTEST, LONGEST)?;
        let timing = Timing {
            interval: self.interval,
            grace: self.grace.unwrap_or(self.interval / 6),
            poll_interval: self.poll_interval.unwrap_or(self.interval),
            report_interval: self.report_interval.unwrap_or(self.interval / 6),
        };
        within("grace", timing.grace, Duration::ZERO, 10 * self.interval)?;
        for (flag, duration) in [
            ("poll-interval", timing.poll_interval),
            ("report-interval", timing.report_interval),
        ] {
            within(flag, duration, SHORTEST / 10, LONGEST)?;
        }
        within("time-scale", self.time_scale, 0.001, 1000.0)?;
        within("agents", self.agents, 1, 10_000)?;
        within("intervals", self.intervals.unwrap_or(1), 1, usize::MAX)?;
        let traffic = self.read()?;
        let start = first_row(&traffic, self.start_at.as_deref())?;
        Ok(VirtualRun {
            schedule: Schedule::new(traffic.rows(), start, self.time_scale, self.intervals),
            traffic,
            timing,
            agents: self.agents,
            loss: self
                .synthetic
                .and_then(|scenario| scenario.loss(self.agents)),
            policy: budget_alone(self.budget),
            seed: self.seed,
        })
    }

    fn read(&self) -> Result<Traffic, ReplayError> {
        Ok(match (&self.traffic, self.synthetic) {
            (Some(file), _) => read_traffic(file)?,
            (None, scenario) => scenario.unwrap_or(Scenario::Steady).traffic(self.seed),
        })
    }

    fn outputs(&self, run: &VirtualRun) -> Outputs {
        let file = self.traffic.as_deref().and_then(std::path::Path::file_name);
        let name = match (file, self.synthetic) {
            (Some(file), _) => file.to_string_lossy().into_owned(),
            (None, scenario) => format!("{:?}", scenario.unwrap_or(Scenario::Steady)),
        };
        Outputs {
            subtitle: format!(
                "{name} · from {} · {} intervals of {} · {} operations · virtual time",
                run.schedule.label(&run.traffic, 0),
                run.schedule.intervals(),
                humantime::format_duration(self.interval),
                run.traffic.operations().len(),
            ),
            plot: self.plot.clone(),
            csv: self.csv.clone(),
        }
    }
}

/// Runs the command: 0 when the engine did well, 1 when it did not, 2 without a verdict.
pub(super) fn run(args: &SimulateArgs) -> ExitCode {
    conclude(simulate(args))
}

/// Plays and judges as the flags say.
///
/// # Errors
/// When there is no way to play at all.
pub fn simulate(args: &SimulateArgs) -> Result<Conclusion, ReplayError> {
    let run = args.prepare()?;
    let outputs = args.outputs(&run);
    outputs.check()?;
    let played = play(&run, |_, _| ());
    let intervals = &played.intervals;
    let verdict = Verdict::of(intervals, &WireTally::default(), args.budget, args.warm_up);
    println!(
        "{}",
        table::intervals(intervals, args.budget, verdict.as_ref())
    );
    if !intervals.is_empty() {
        outputs.write(intervals, args.budget, verdict.as_ref())?;
    }
    let Some(verdict) = verdict else {
        println!("\nno verdict: too few intervals were played");
        return Ok(Conclusion::Undecided);
    };
    println!("\n{}", table::verdict(&verdict));
    println!("{}", extremes(&played, args));
    Ok(if verdict.passes() {
        Conclusion::Passed
    } else {
        Conclusion::Failed
    })
}

/// How far off the worst intervals were, and how much plans change.
fn extremes(played: &VirtualPlayed, args: &SimulateArgs) -> String {
    let error = |interval: &Interval| interval.error(args.budget);
    let judged = played.intervals.get(args.warm_up..).unwrap_or_default();
    let mut errors: Vec<f64> = judged.iter().map(error).collect();
    errors.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (part * (errors.len() as f64 - 1.0)).round() as usize;
        100.0 * errors.get(place).copied().unwrap_or(0.0)
    };
    format!(
        "error between {:+.1} % and {:+.1} %, 99 % of intervals under {:+.1} %; {:.0} % of probabilities change by over 1 % a plan",
        at(0.0),
        at(1.0),
        at(0.99),
        100.0 * played.churn,
    )
}
