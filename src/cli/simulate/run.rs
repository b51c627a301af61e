//! Plays every budget and prints the results.

use std::fs::File;
use std::io::IsTerminal;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use weir_terminal::{note, outln, say};

use super::{CoverageFloor, PreparedRuns, SimulateArgs};
use crate::cli::replay::{Conclusion, Outputs, ReplayError};
use crate::cli::shown::json_document;
use crate::simulate::comparison::{self, BudgetFigures, ClassSpender, Outcome, Spender};
use crate::simulate::lines::{self, Run};
use crate::simulate::plot::{self, PlotTexts};
use crate::simulate::virtual_time::{VirtualRun, play};
use crate::simulate::{RunSummary, Verdict, WireTally, show};

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
        events: args.events(),
        shown: args.shown,
    };
    outputs.check()?;
    note(&outputs.subtitle);
    notes.iter().for_each(|what| note(&format!("note: {what}")));
    let outcomes = play_all(&runs);
    let verdicts: Vec<Option<Verdict>> = outcomes.iter().map(verdict).collect();
    let results: Vec<Played<'_>> = outcomes
        .iter()
        .zip(&verdicts)
        .map(|(outcome, verdict)| Played::of(outcome, verdict.as_ref()))
        .collect();
    let spenders = comparison::services(&outcomes, &runs[0].traffic, args.top);
    let classes = comparison::by_class(&outcomes, &runs[0].traffic);
    if args.shown.for_people() {
        people(args, &results, (&spenders, &classes), &runs[0]);
    } else {
        let of = |result: &Played<'_>| json!({ "run": result.summary, "figures": result.figures });
        json_document(&json!({
            "traffic": outputs.subtitle,
            "notes": notes,
            "runs": results.iter().map(of).collect::<Vec<_>>(),
            "services": spenders,
            "classes": classes,
        }));
    }
    write(&outputs, &results)?;
    Ok(concluded(&results))
}

/// One budget: what was played, and what came of it.
struct Played<'a> {
    outcome: &'a Outcome,
    run: Run<'a>,
    summary: RunSummary,
    figures: BudgetFigures,
}

impl<'a> Played<'a> {
    fn of(outcome: &'a Outcome, verdict: Option<&'a Verdict>) -> Self {
        let run = Run {
            intervals: &outcome.played.intervals,
            budget: outcome.budget,
            verdict,
        };
        Self {
            outcome,
            run,
            summary: RunSummary::of(&run, outcome.warm_up),
            figures: outcome.figures(),
        }
    }
}

/// Prints the results for people: what came of each budget in a sentence, then the tables.
fn people(
    args: &SimulateArgs,
    results: &[Played<'_>],
    (spenders, classes): (&[Spender], &[ClassSpender]),
    run: &VirtualRun,
) {
    if let [result] = results {
        args.shown.run(&result.run, &result.summary, None);
    } else {
        results
            .iter()
            .for_each(|result| say(&show::sentence(&result.summary)));
    }
    let cell = humantime::format_duration(args.cell()).to_string();
    let figures: Vec<BudgetFigures> = results.iter().map(|it| it.figures.clone()).collect();
    outln!();
    show::budgets(&figures, &cell).print();
    outln!();
    show::services(spenders, &args.budget, run.traffic.services().len()).print();
    if !classes.is_empty() {
        outln!();
        show::classes(classes, &args.budget).print();
    }
    if let Some(coverage) = args.coverage {
        outln!();
        say(&price(coverage, results[0].outcome, run));
    }
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

fn concluded(results: &[Played<'_>]) -> Conclusion {
    let passes = || results.iter().map(|result| result.summary.passes);
    if passes().any(|passes| passes.is_none()) {
        Conclusion::Undecided
    } else if passes().all(|passes| passes == Some(true)) {
        Conclusion::Passed
    } else {
        Conclusion::Failed
    }
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
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} intervals, {eta} left");
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
        "Coverage {} in {} asks for {floor:.4} traces/s of every operation that has them: {cost:.2} traces/s in all at their mean rates.",
        coverage.probability,
        humantime::format_duration(coverage.span),
    )
}

fn write(outputs: &Outputs, results: &[Played<'_>]) -> Result<(), ReplayError> {
    if results[0].run.intervals.is_empty() {
        return Ok(());
    }
    if let [result] = results {
        return outputs.write(&result.run, &result.summary);
    }
    if let Some(file) = &outputs.csv {
        let runs = results.iter().map(|result| result.run);
        File::create(file)
            .and_then(|to| lines::write_csv(to, runs).map_err(std::io::Error::other))
            .map_err(|source| cannot_write(file, source))?;
        outputs.wrote("intervals", file);
    }
    if let Some(file) = &outputs.plot {
        let budgets = results.iter().map(|it| it.run.budget.to_string());
        let sentences = results.iter().map(|it| it.summary.sentence.as_str());
        let texts = PlotTexts {
            title: format!(
                "Sampled traces per second at budgets of {}",
                budgets.collect::<Vec<_>>().join(", ")
            ),
            subtitle: outputs.subtitle.clone(),
            description: sentences.collect::<Vec<_>>().join(" "),
            events: outputs.events.clone(),
        };
        let runs: Vec<_> = results
            .iter()
            .map(|one| (one.run.budget, one.run.intervals))
            .collect();
        let picture = plot::compared(&texts, &runs)?;
        std::fs::write(file, picture).map_err(|source| cannot_write(file, source))?;
        outputs.wrote("plot", file);
    }
    Ok(())
}

fn cannot_write(file: &Path, source: std::io::Error) -> ReplayError {
    ReplayError::Write {
        file: file.display().to_string(),
        source,
    }
}
