//! Goals that do not depend on how calm the traffic is: what Weir reached on every recording, beside
//! the best rule that could have been used.

mod forecast;
mod run;
mod summary;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::workload::RecordedWorkload;
use run::{Match, Reached};

/// The budgets, as parts of the mean traffic.
const BUDGETS: [f64; 3] = [0.5, 0.05, 0.01];
const SEEDS: u64 = 2;
/// Recordings with more intervals than this are played with one seed.
const LONG: usize = 3000;

/// A recording with a budget.
struct Played {
    recording: usize,
    budget: f64,
    seeds: Vec<Match>,
}

/// Plays every recording with every budget, and judges one of its halves. Returns the tables.
pub fn table(recordings: &[RecordedWorkload], half: usize) -> String {
    let played = play_all(recordings, half);
    let mut text = summary::summary(recordings, &played);
    text.push_str(
        "\n| recording | budget | error % | best fair rule | error % | ratio | bias % | its bias % | p99 % | p99 of late % | \
         runs % | shuffled % | repeats | one probability % | Jain | near % |\n\
         |---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in &played {
        let weir = |of: fn(&Reached) -> f64| one.mean(|seed| of(&seed.weir));
        let _ = writeln!(
            text,
            "| {} | {:.0} % | {:.2} | {} | {:.2} | {:.2} | {:+.2} | {:+.2} | {:.1} | {:.1} | {:.2} | {:.2} | {:+.2} | \
             {:.2} | {:.3} | {:.1} |",
            recordings[one.recording].name,
            100.0 * one.budget,
            100.0 * weir(|of| of.error),
            one.seeds[0].best.0,
            100.0 * one.mean(|seed| seed.best.1.error),
            one.ratio(),
            100.0 * weir(|of| of.bias),
            100.0 * one.mean(|seed| seed.best.1.bias),
            100.0 * weir(|of| of.high),
            100.0 * one.mean(|seed| seed.late.high),
            100.0 * weir(|of| of.long_runs),
            100.0 * weir(|of| of.shuffled_runs),
            weir(|of| of.repeats),
            100.0 * one.mean(|seed| seed.uniform.error),
            weir(|of| of.jain),
            100.0 * weir(|of| of.near),
        );
    }
    text
}

impl Played {
    fn mean(&self, of: impl Fn(&Match) -> f64) -> f64 {
        self.seeds.iter().map(of).sum::<f64>() / self.seeds.len().max(1) as f64
    }

    fn ratio(&self) -> f64 {
        self.mean(|seed| seed.weir.error) / self.mean(|seed| seed.best.1.error)
    }

    /// Whether one probability for all has a larger error, or no fair rule a smaller one either.
    fn beats_one_probability(&self) -> bool {
        let uniform = self.mean(|seed| seed.uniform.error);
        self.mean(|seed| seed.weir.error) <= uniform
            || self.mean(|seed| seed.best.1.error) > uniform
    }
}

/// A recording, a budget, a seed.
type Job = (usize, usize, u64);

fn play_all(recordings: &[RecordedWorkload], half: usize) -> Vec<Played> {
    // Long ones first, so that no core waits for the last of them.
    let mut jobs: Vec<Job> = Vec::new();
    for (recording, played) in recordings.iter().enumerate() {
        for budget in 0..BUDGETS.len() {
            let seeds = if played.intervals() > LONG { 1 } else { SEEDS };
            jobs.extend((1..=seeds).map(|seed| (recording, budget, seed)));
        }
    }
    jobs.sort_by_key(|(recording, ..)| std::cmp::Reverse(recordings[*recording].cells()));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(Job, Match)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (recording, budget, seed) = job;
                    let workload = recordings[recording].with(seed, BUDGETS[budget]);
                    let judged = workload.spans[half].intervals.clone();
                    let played = run::play(&workload, judged, seed);
                    done.lock().unwrap().push((job, played));
                    eprintln!(
                        "{}, {} % kept, seed {seed}",
                        recordings[recording].name,
                        100.0 * BUDGETS[budget]
                    );
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(job, _)| *job);
    let mut all: Vec<Played> = Vec::new();
    for ((recording, budget, _), played) in done {
        let budget = BUDGETS[budget];
        match all.last_mut() {
            Some(last) if (last.recording, last.budget) == (recording, budget) => {
                last.seeds.push(played);
            }
            _ => all.push(Played {
                recording,
                budget,
                seeds: vec![played],
            }),
        }
    }
    all
}
