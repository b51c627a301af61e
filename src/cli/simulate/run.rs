//! Plays every budget and prints the results.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::{CoverageFloor, PreparedRuns, SimulateArgs};
use crate::cli::replay::{Conclusion, Outputs, ReplayError};
use crate::simulate::comparison::{self, Outcome};
use crate::simulate::plot::{self, PlotTexts};
use crate::simulate::virtual_time::{VirtualRun, play};
use crate::simulate::{Verdict, WireTally, table};

/// Plays and judges according to the flags.
///
/// # Errors
/// If nothing can be played.
pub fn simulate(args: &SimulateArgs) -> Result<Conclusion, ReplayError> {
    let PreparedRuns { runs, notes } = args.prepare()?;
    let outputs = Outputs {
        subtitle: args.subtitle(&runs[0]),
        plot: args.plot.clone(),
        csv: args.csv.clone(),
    };
    outputs.check()?;
    say(&outputs.subtitle);
    notes.iter().for_each(|note| say(&format!("note: {note}")));
    let outcomes = play_all(&runs);
    let verdicts: Vec<Option<Verdict>> = outcomes.iter().map(verdict).collect();
    say("");
    if let ([outcome], [verdict]) = (outcomes.as_slice(), verdicts.as_slice()) {
        let intervals = &outcome.played.intervals;
        say(&table::intervals(
            intervals,
            outcome.budget,
            verdict.as_ref(),
        ));
        if let Some(verdict) = verdict {
            say(&table::verdict(verdict));
        }
    }
    let cell = humantime::format_duration(args.cell()).to_string();
    say(&comparison::table(&outcomes, &cell));
    say(&comparison::services(&outcomes, &runs[0].traffic, args.top));
    if let Some(coverage) = args.coverage {
        say(&price(coverage, &outcomes[0], &runs[0]));
    }
    write(&outputs, &outcomes, &verdicts)?;
    Ok(concluded(&outcomes, &verdicts))
}

/// Prints a line; does nothing if standard output was closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn verdict(outcome: &Outcome) -> Option<Verdict> {
    let intervals = &outcome.played.intervals;
    Verdict::of(
        intervals,
        &WireTally::default(),
        outcome.budget,
        outcome.warm_up,
    )
}

fn concluded(outcomes: &[Outcome], verdicts: &[Option<Verdict>]) -> Conclusion {
    let mut conclusion = Conclusion::Passed;
    for (outcome, verdict) in outcomes.iter().zip(verdicts) {
        let passes = verdict.as_ref().map(Verdict::passes);
        if outcomes.len() > 1 {
            let said = match passes {
                Some(true) => "kept as well as the traffic allows",
                Some(false) => "not kept as well as with exact counts",
                None => "no verdict: too few intervals",
            };
            say(&format!("budget {}: {said}", outcome.budget));
        }
        conclusion = match (passes, conclusion) {
            (None, _) | (_, Conclusion::Undecided) => Conclusion::Undecided,
            (Some(false), _) => Conclusion::Failed,
            (Some(true), before) => before,
        };
    }
    if conclusion == Conclusion::Undecided && outcomes.len() == 1 {
        say("no verdict: too few intervals were played");
    }
    conclusion
}

/// Plays all runs, as many at a time as there are cores.
fn play_all(runs: &[VirtualRun]) -> Vec<Outcome> {
    let bar = progress(runs);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(runs.len()) {
            scope.spawn(|| {
                while let Some((place, run)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    runs.get(place).map(|run| (place, run))
                } {
                    let outcome = Outcome {
                        budget: run.policy.budget,
                        played: play(run, |_, _, _| bar.inc(1)),
                        warm_up: run.warm_up,
                    };
                    let mut done = done
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((place, outcome));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// A bar on a terminal, for long runs.
fn progress(runs: &[VirtualRun]) -> ProgressBar {
    const LONG: usize = 1_000_000;
    let intervals: usize = runs.iter().map(|run| run.schedule.intervals()).sum();
    let work = intervals.saturating_mul(runs[0].traffic.operations().len());
    if work < LONG || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} interval {pos} of {len}, {eta} left");
    ProgressBar::new(intervals as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The part of a budget that a coverage floor costs.
fn price(coverage: CoverageFloor, outcome: &Outcome, run: &VirtualRun) -> String {
    let floor = coverage.traces_per_second();
    let judged = run.schedule.intervals().saturating_sub(run.warm_up).max(1);
    let seconds = judged as f64 * run.timing.interval.as_secs_f64();
    let operations = outcome.played.operations.iter();
    let cost: f64 = operations
        .map(|(offered, _)| floor.min(*offered as f64 / seconds))
        .sum();
    format!(
        "coverage {} in {} asks for {floor:.4} traces/s of every operation that has them: {cost:.2} traces/s in all at their mean rates\n",
        coverage.probability,
        humantime::format_duration(coverage.span),
    )
}

fn write(
    outputs: &Outputs,
    outcomes: &[Outcome],
    verdicts: &[Option<Verdict>],
) -> Result<(), ReplayError> {
    if outcomes[0].played.intervals.is_empty() {
        return Ok(());
    }
    if let ([outcome], [verdict]) = (outcomes, verdicts) {
        return outputs.write(&outcome.played.intervals, outcome.budget, verdict.as_ref());
    }
    if let Some(file) = &outputs.csv {
        let runs = || outcomes.iter().zip(verdicts);
        let lines = runs().map(|(outcome, verdict)| table::Run {
            intervals: &outcome.played.intervals,
            budget: outcome.budget,
            verdict: verdict.as_ref(),
        });
        File::create(file)
            .and_then(|to| table::write_runs(to, lines).map_err(std::io::Error::other))
            .map_err(|source| cannot_write(file, source))?;
        say(&format!("intervals: {}", file.display()));
    }
    if let Some(file) = &outputs.plot {
        let budgets: Vec<String> = outcomes.iter().map(|one| one.budget.to_string()).collect();
        let texts = PlotTexts {
            title: format!(
                "Sampled traces per second at budgets of {}",
                budgets.join(", ")
            ),
            subtitle: outputs.subtitle.clone(),
        };
        let runs: Vec<_> = outcomes
            .iter()
            .map(|one| (one.budget, one.played.intervals.as_slice()))
            .collect();
        let picture = plot::compared(&texts, &runs)?;
        std::fs::write(file, picture).map_err(|source| cannot_write(file, source))?;
        say(&format!("plot: {}", file.display()));
    }
    Ok(())
}

fn cannot_write(file: &Path, source: std::io::Error) -> ReplayError {
    ReplayError::Write {
        file: file.display().to_string(),
        source,
    }
}
