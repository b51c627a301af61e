//! Plays the same workloads against Weir's allocation and against the published rules of other
//! systems.
//!
//! `make arena` plays everything and writes `docs/arena.md`; `cargo bench --bench arena --
//! --only step --seeds 3` plays one workload and prints it. With `--recordings FOLDER` every traffic
//! file of a folder is played too. Nothing here passes or fails.
//!
//! Begin with [`rules::Controller`], then [`bout::Stage::play`], then [`figures`].

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod ablation;
mod bout;
mod classes;
mod figures;
mod goals;
mod rules;
mod statistics;
mod table;
mod targets;
mod trust;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;

use bout::Stage;
use figures::Measured;
use rules::CONTENDERS;
use table::Results;
use workload::{REPORTING, RecordedWorkload, SPANS, SYNTHETIC, Workload};

/// Plays the arena.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play the recorded traffic of this folder too
    #[arg(long, value_name = "FOLDER")]
    recordings: Option<PathBuf>,
    /// How many seeds to play
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u64,
    /// Play only the workloads whose name starts with this; with --trust and --ablation, the rows
    /// whose name contains it
    #[arg(long, value_name = "WORKLOAD")]
    only: Option<String>,
    /// Play only the table of agents that are late, silent, new or gone
    #[arg(long)]
    trust: bool,
    /// Play only the table of what each part of the allocation is worth
    #[arg(long, conflicts_with = "trust")]
    ablation: bool,
    /// Play only the table of errors, slow traces and test accounts
    #[arg(long, conflicts_with_all = ["trust", "ablation", "only"])]
    classes: bool,
    /// Play only the goals on the recordings
    #[arg(long, requires = "recordings")]
    goals: bool,
    /// Judge the goals on the halves of the recordings that may be used for tuning
    #[arg(long, requires = "goals", conflicts_with = "write")]
    tuning: bool,
    /// Write the tables into this document instead of printing them
    #[arg(long, value_name = "DOCUMENT", conflicts_with = "only")]
    write: Option<PathBuf>,
    /// Cargo gives this flag to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A workload that is played seed by seed.
struct Play<'a> {
    name: &'a str,
    says: String,
    seeds: u64,
    recorded: bool,
    make: Box<dyn Fn(u64) -> Workload + Sync + 'a>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("arena: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.trust {
        let table = trust::table(arguments.only.as_deref())?;
        return put(arguments, &[("trust", table)]);
    }
    if arguments.classes {
        return put(arguments, &[("classes", classes::table(arguments.seeds))]);
    }
    let recordings = match &arguments.recordings {
        Some(folder) => workload::recordings(folder)?,
        None => Vec::new(),
    };
    if arguments.ablation {
        let table = ablation::table(&recordings, arguments.only.as_deref())?;
        return put(arguments, &[("ablation", table)]);
    }
    if arguments.goals {
        let mut recordings = recordings;
        if let Some(only) = &arguments.only {
            recordings.retain(|recording| recording.name.starts_with(only.as_str()));
        }
        let half = usize::from(!arguments.tuning);
        return put(arguments, &[("goals", goals::table(&recordings, half))]);
    }
    let mut plays = plays(&recordings, arguments.seeds);
    if let Some(only) = &arguments.only {
        plays.retain(|play| play.name.starts_with(only.as_str()));
    }
    if plays.is_empty() || arguments.seeds == 0 {
        return Err("there is nothing to play".to_owned());
    }
    let results = play_all(&plays);
    let (synthetic, recorded): (Vec<Results>, Vec<Results>) = results
        .into_iter()
        .partition(|results| results.span.is_empty());
    let mut sections = Vec::new();
    if arguments.only.is_none() {
        sections.push(("trust", trust::table(None)?));
        sections.push(("classes", classes::table(arguments.seeds)));
        sections.push(("ablation", ablation::table(&recordings, None)?));
    }
    if !synthetic.is_empty() {
        sections.push(("targets synthetic", targets::synthetic(&synthetic)));
        sections.push(("synthetic", tables(&synthetic, "")));
    }
    if !recorded.is_empty() {
        if arguments.only.is_none() {
            sections.push(("goals", goals::table(&recordings, 1)));
        }
        sections.push(("recorded", tables(&recorded, REPORTING)));
    }
    put(arguments, &sections)
}

/// Writes sections into the document, or prints them.
fn put(arguments: &Arguments, sections: &[(&str, String)]) -> Result<(), String> {
    let Some(document) = &arguments.write else {
        sections.iter().for_each(|(_, text)| println!("{text}\n"));
        return Ok(());
    };
    let said = |error: std::io::Error| format!("{}: {error}", document.display());
    let mut text = std::fs::read_to_string(document).map_err(said)?;
    for (section, written) in sections {
        text = table::placed(&text, section, written)?;
    }
    std::fs::write(document, text).map_err(said)
}

/// The tables of some workloads, and where a peer wins in the spans with this name.
fn tables(results: &[Results], span: &str) -> String {
    let tables: Vec<String> = results.iter().map(Results::table).collect();
    let judged = results.iter().filter(|results| results.span == span);
    format!("{}\n{}", tables.join("\n"), table::wins(judged))
}

/// All plays.
fn plays<'a>(recordings: &'a [RecordedWorkload], seeds: u64) -> Vec<Play<'a>> {
    let recorded = recordings.iter().map(|recording| Play {
        name: &recording.name,
        says: recording.says.clone(),
        seeds: seeds.div_ceil(recording.seeds_in),
        recorded: true,
        make: Box::new(|seed| recording.make(seed)),
    });
    let synthetic = SYNTHETIC.iter().map(|spec| Play {
        name: spec.name,
        says: spec.says.to_owned(),
        seeds,
        recorded: false,
        make: Box::new(|seed| spec.make(seed)),
    });
    // Long ones first, so that no core waits for the last of them.
    recorded.chain(synthetic).collect()
}

/// The results of a workload with one seed.
struct Done {
    play: usize,
    seed: u64,
    budget: f64,
    /// The figures of each contender in every span.
    measured: Vec<Option<Vec<Measured>>>,
}

/// Plays every workload with every seed on all cores.
fn play_all(plays: &[Play<'_>]) -> Vec<Results> {
    let jobs: Vec<(usize, u64)> = (0..plays.len())
        .flat_map(|play| (1..=plays[play].seeds).map(move |seed| (play, seed)))
        .collect();
    let done: Mutex<Vec<Done>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&(play, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let stage = Stage::new((plays[play].make)(seed), seed);
                    let measured = CONTENDERS.iter().map(|one| stage.play(one)).collect();
                    let mut done = done.lock().unwrap();
                    done.push(Done {
                        play,
                        seed,
                        budget: stage.workload.budget,
                        measured,
                    });
                    eprintln!(
                        "{:4} of {}: {}, seed {seed}, {:.0} s",
                        done.len(),
                        jobs.len(),
                        plays[play].name,
                        started.elapsed().as_secs_f64(),
                    );
                }
            });
        }
    });
    gathered(plays, done.into_inner().unwrap())
}

/// Groups the seeds of each workload, in order, because figures are compared seed by seed.
fn gathered(plays: &[Play<'_>], mut done: Vec<Done>) -> Vec<Results> {
    done.sort_by_key(|done| (done.play, done.seed));
    let spans = |recorded: bool| if recorded { &SPANS[..] } else { &[""] };
    let mut results = Vec::new();
    for (number, play) in plays.iter().enumerate() {
        let of = || done.iter().filter(|done| done.play == number);
        for (place, span) in spans(play.recorded).iter().enumerate() {
            let contender = |who: usize| {
                let measured = of().filter_map(|done| done.measured[who].as_ref());
                measured.map(|spans| spans[place]).collect()
            };
            results.push(Results {
                name: play.name.to_owned(),
                span,
                says: play.says.clone(),
                budget: of().map(|done| done.budget).sum::<f64>() / of().count() as f64,
                seeds: of().count(),
                measured: (0..CONTENDERS.len()).map(contender).collect(),
            });
        }
    }
    results
}
