//! The table of trust: agents as they are in the field, and what Weir makes of them.
//!
//! Begin with [`rows`], then [`run::play`].

mod ask;
mod case;
mod rows;
mod run;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ask::{Played, Seen};
pub use case::Case;
use rows::Row;

/// How many seeds are played.
const SEEDS: u64 = 3;

/// A row and what was seen of it.
struct Done {
    row: usize,
    seen: Vec<Seen>,
}

/// Plays the rows whose name contains `only`, all if there is none. Returns the table.
///
/// # Errors
/// If there is no such row.
pub fn table(only: Option<&str>) -> Result<String, String> {
    let mut rows = rows::all();
    if let Some(only) = only {
        rows.retain(|row| row.name.contains(only));
    }
    if rows.is_empty() {
        return Err("there is no such row".to_owned());
    }
    Ok(written(&rows, &played(&rows)))
}

/// The cases of some rows.
pub fn cases(names: &[&str]) -> Vec<(String, Case)> {
    let rows = rows::all();
    let row = |name: &&str| {
        let found = rows.iter().find(|row| row.name == *name);
        let found = found.unwrap_or_else(|| panic!("there is no row {name}"));
        (found.name.clone(), (found.case)())
    };
    names.iter().map(row).collect()
}

fn played(rows: &[Row]) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Done>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((row, of)) = {
                    let row = next.fetch_add(1, Ordering::Relaxed);
                    rows.get(row).map(|of| (row, of))
                } {
                    let case = (of.case)();
                    let runs = |case: &case::Case| -> Vec<_> {
                        (1..=SEEDS).map(|seed| run::play(case, seed)).collect()
                    };
                    let on_time = of.on_time().map_or(Vec::new(), |case| runs(&case));
                    let played = Played {
                        runs: runs(&case),
                        on_time,
                    };
                    let seen = of.asks.iter().map(|ask| ask.judge(&played)).collect();
                    done.lock().unwrap().push(Done { row, seen });
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|done| done.row);
    done
}

fn written(rows: &[Row], done: &[Done]) -> String {
    let all = done.iter().flat_map(|done| &done.seen);
    let reached = all.clone().filter(|seen| seen.reached).count();
    let mut text = format!(
        "{reached} of {} figures are reached.\n\n| what happens | asked for | seen | reached |\n\
         |---|---|---:|---|\n",
        all.count()
    );
    for (row, done) in rows.iter().zip(done) {
        for (place, seen) in done.seen.iter().enumerate() {
            let name = if place == 0 { row.name.as_str() } else { "" };
            let reached = if seen.reached { "yes" } else { "**no**" };
            let Seen { asked, seen, .. } = seen;
            let _ = writeln!(text, "| {name} | {asked} | {seen} | {reached} |");
        }
    }
    text
}
