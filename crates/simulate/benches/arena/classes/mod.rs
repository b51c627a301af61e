//! Errors, slow traces and test accounts: the rules of systems that know them, and Weir with edges, on one workload of which
//! it is known what each trace turns out to be.
//!
//! Begin with [`workload::Fleet`], then [`rules::Rule`], then [`judge::play`].

pub mod judge;
pub mod keys;
pub mod rules;
pub mod weir;
pub mod workload;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;

use weir_allocation::Class;

use crate::statistics::Mean;
use judge::{Measured, play};
use rules::{Constant, Dynsampler, Rule};
use workload::{BUDGET, Fleet};

/// A contender: its name, and what creates it.
type Contender = (
    &'static str,
    for<'f> fn(&'f Fleet, u64) -> Box<dyn Rule + 'f>,
);

/// All contenders, in the order of the table.
pub const CONTENDERS: &[Contender] = &[
    ("Weir", |fleet, seed| Box::new(weir::Weir::new(fleet, seed))),
    ("Edgar, 1 % of the rest", |fleet, _| {
        Box::new(Constant::edgar(fleet, 0.01))
    }),
    ("Edgar, 10 % of the rest", |fleet, _| {
        Box::new(Constant::edgar(fleet, 0.1))
    }),
    ("Edgar, what fits of the rest", |fleet, _| {
        Box::new(Constant::edgar(fleet, Constant::edgar_fits(fleet)))
    }),
    ("dynsampler EMA, 1 in 100 successes", |fleet, _| {
        Box::new(Dynsampler::ema(fleet, 100.0))
    }),
    ("dynsampler average, 1 in 100 successes", |fleet, _| {
        Box::new(Dynsampler::average(fleet, 100.0))
    }),
    ("dynsampler EMA, what fits of successes", |fleet, _| {
        Box::new(Dynsampler::ema(fleet, Dynsampler::fits(fleet)))
    }),
    ("tail, 1 % of the rest", |fleet, _| {
        Box::new(Constant::tail(fleet, 0.01))
    }),
    ("tail, what fits of the rest", |fleet, _| {
        Box::new(Constant::tail(fleet, Constant::tail_fits(fleet)))
    }),
];

/// Plays all contenders on the requests of a seed.
pub fn bout(fleet: &Fleet, seed: u64) -> Vec<Measured> {
    let enter = |(_, enter): &Contender| (enter(fleet, seed), StdRng::seed_from_u64(seed));
    let mut rules: Vec<_> = CONTENDERS.iter().map(enter).collect();
    play(fleet, seed, &mut rules)
}

/// A column: its title, its decimals and its figure.
type Column = (&'static str, usize, fn(&Measured) -> f64);

const COLUMNS: &[Column] = &[
    ("traces/s", 1, |of| of.calm.traces_per_second()),
    ("off %", 1, |of| 100.0 * of.calm.off()),
    ("storm: traces/s", 1, |of| of.storm.traces_per_second()),
    ("off %", 1, |of| 100.0 * of.storm.off()),
    ("errors %", 1, |of| 100.0 * of.calm.kept(Class::Error)),
    ("storm: others' %", 1, |of| 100.0 * of.storm.other_errors()),
    ("its errors/s", 2, |of| of.storm.stormy_errors()),
    ("tagged %", 1, |of| 100.0 * of.calm.kept(Class::Tagged)),
    ("slow %", 1, |of| 100.0 * of.calm.kept(Class::Slow)),
    ("coverage %", 1, |of| 100.0 * of.coverage),
    ("total off %", 2, |of| 100.0 * of.calm.total_off()),
    ("storm: off %", 2, |of| 100.0 * of.storm.total_off()),
];

/// The table.
pub fn table(seeds: u64) -> String {
    let measured = bouts(seeds);
    let titles: Vec<&str> = COLUMNS.iter().map(|(title, ..)| *title).collect();
    let mut text = format!(
        "Budget: {BUDGET:.1} traces a second; {seeds} seeds.\n\n| | {} |\n|---{}|\n",
        titles.join(" | "),
        "|---:".repeat(COLUMNS.len()),
    );
    for (place, (name, _)) in CONTENDERS.iter().enumerate() {
        let cells: Vec<String> = COLUMNS
            .iter()
            .map(|(_, decimals, figure)| {
                let figures: Vec<f64> = measured.iter().map(|all| figure(&all[place])).collect();
                shown(&figures, *decimals)
            })
            .collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

fn shown(figures: &[f64], decimals: usize) -> String {
    match Mean::of(figures) {
        None => "–".to_owned(),
        Some(of) if of.half.is_infinite() => format!("{:.decimals$}", of.mean),
        Some(of) => format!("{:.decimals$} ± {:.decimals$}", of.mean, of.half),
    }
}

/// Plays seeds on all cores, in the order of the seeds.
fn bouts(seeds: u64) -> Vec<Vec<Measured>> {
    let fleet = Fleet::new();
    let next = AtomicU64::new(1);
    let done: Mutex<Vec<(u64, Vec<Measured>)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        break;
                    }
                    let measured = bout(&fleet, seed);
                    done.lock().unwrap().push((seed, measured));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(seed, _)| *seed);
    done.into_iter().map(|(_, measured)| measured).collect()
}
