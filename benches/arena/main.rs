//! The same workloads for Weir's engine and for the published rules of other systems.
//!
//! `make arena` plays everything and writes `docs/arena.md`; `cargo bench --bench arena --
//! --only step --seeds 3` plays one workload and prints it. With `--recordings FOLDER` recorded
//! traffic is played instead of what is made up. Nothing here passes or fails.
//!
//! Read [`rules::Controller`] first, then [`bout::Stage::play`], then [`figures`].

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod bout;
mod figures;
mod rules;
mod statistics;
mod table;
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
use workload::{MADE_UP, Workload};

/// Plays the arena.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play the recorded traffic of this folder instead of what is made up
    #[arg(long, value_name = "FOLDER")]
    recordings: Option<PathBuf>,
    /// How many seeds to play
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u64,
    /// Play this workload alone
    #[arg(long, value_name = "WORKLOAD")]
    only: Option<String>,
    /// Write into the document's section instead of printing
    #[arg(long, value_name = "DOCUMENT")]
    write: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A workload that is played seed by seed.
struct Play<'a> {
    name: &'a str,
    says: String,
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
    let recordings = match &arguments.recordings {
        Some(folder) => workload::recordings(folder)?,
        None => Vec::new(),
    };
    let mut plays: Vec<Play<'_>> = if arguments.recordings.is_some() {
        let recorded = recordings.iter().map(|recording| Play {
            name: recording.name,
            says: recording.says.clone(),
            make: Box::new(|seed| recording.make(seed)),
        });
        recorded.collect()
    } else {
        let made_up = MADE_UP.iter().map(|spec| Play {
            name: spec.name,
            says: spec.says.to_owned(),
            make: Box::new(|seed| spec.make(seed)),
        });
        made_up.collect()
    };
    if let Some(only) = &arguments.only {
        plays.retain(|play| play.name == only);
    }
    if plays.is_empty() || arguments.seeds == 0 {
        return Err("there is nothing to play".to_owned());
    }
    let results = play_all(&plays, arguments.seeds);
    let section = if arguments.recordings.is_some() {
        "recorded"
    } else {
        "made up"
    };
    let tables: Vec<String> = results.iter().map(Results::table).collect();
    let text = format!(
        "{} seeds; mean ± half of its 95 % interval.\n\n{}\n{}",
        arguments.seeds,
        tables.join("\n"),
        table::wins(&results)
    );
    let Some(document) = &arguments.write else {
        println!("{text}");
        return Ok(());
    };
    let said = |error: std::io::Error| format!("{}: {error}", document.display());
    let old = std::fs::read_to_string(document).map_err(said)?;
    std::fs::write(document, table::placed(&old, section, &text)?).map_err(said)
}

/// What a workload came to with one seed.
struct Done {
    play: usize,
    seed: u64,
    budget: f64,
    /// What each contender measured.
    measured: Vec<Option<Measured>>,
}

/// Plays every workload with every seed on all cores.
fn play_all(plays: &[Play<'_>], seeds: u64) -> Vec<Results> {
    let jobs: Vec<(usize, u64)> = (0..plays.len())
        .flat_map(|play| (1..=seeds).map(move |seed| (play, seed)))
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

/// Puts the seeds of each workload together, in their order: figures are compared pair by pair.
fn gathered(plays: &[Play<'_>], mut done: Vec<Done>) -> Vec<Results> {
    done.sort_by_key(|done| (done.play, done.seed));
    let result = |(number, play): (usize, &Play<'_>)| {
        let of = || done.iter().filter(|done| done.play == number);
        let contender = |place: usize| of().filter_map(|done| done.measured[place]).collect();
        Results {
            name: play.name.to_owned(),
            says: play.says.clone(),
            budget: of().map(|done| done.budget).sum::<f64>() / of().count() as f64,
            measured: (0..CONTENDERS.len()).map(contender).collect(),
        }
    };
    plays.iter().enumerate().map(result).collect()
}
