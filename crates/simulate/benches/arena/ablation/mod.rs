//! What each part of the allocation is worth: the same workloads without it.
//!
//! Begin with [`parts::all`], then [`courses::all`].

mod code;
mod courses;
mod parts;
mod play;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use weir_allocation::Tuning;

use crate::workload::RecordedWorkload;
use courses::{Course, Kind};
use parts::Part;
use play::Reached;

/// No mean error counts as less than this, as a part of the budget: of an error of nearly nothing, any part is
/// a multiple.
const LEAST: f64 = 1e-3;

/// Plays the courses with every part, and without each whose name contains `only`, all if there is none. Returns the
/// tables.
///
/// # Errors
/// If there is no such part, or a part names code that is not there.
pub fn table(recordings: &[RecordedWorkload], only: Option<&str>) -> Result<String, String> {
    let mut parts = parts::all();
    if let Some(only) = only {
        parts.retain(|part| part.name.contains(only));
    }
    if parts.is_empty() {
        return Err("there is no such part".to_owned());
    }
    let lines: Vec<usize> = parts
        .iter()
        .map(|part| code::lines(part.code))
        .collect::<Result<_, _>>()?;
    let courses = courses::all(recordings);
    let whole = vec![Tuning::DEFAULT];
    let without = parts.iter().map(|part| part.off());
    let tunings: Vec<Tuning> = whole.into_iter().chain(without).collect();
    let played = play_all(&courses, &tunings);
    let mut text = String::from(
        "| without | lines | synthetic | recorded | agents | most in | bias | p99 | churn |\n\
         |---|---:|---:|---:|---:|---|---:|---:|---:|\n",
    );
    for ((part, lines), without) in parts.iter().zip(lines).zip(&played[1..]) {
        let lines = if lines > 0 {
            lines.to_string()
        } else {
            "–".to_owned()
        };
        text.push_str(&row(part, &lines, &courses, &played[0], without));
    }
    text.push_str(
        "\n| workload, with every part | error % | bias % | p99 % | churn % |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for (course, reached) in courses.iter().zip(&played[0]) {
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:+.2} | {:.1} | {:.1} |",
            course.name,
            100.0 * reached.error,
            100.0 * reached.bias,
            100.0 * reached.high,
            100.0 * reached.churn,
        );
    }
    Ok(text)
}

/// How many times the error is larger without a part.
fn ratio(with: &Reached, without: &Reached) -> f64 {
    without.error.max(LEAST) / with.error.max(LEAST)
}

fn row(
    part: &Part,
    lines: &str,
    courses: &[Course],
    with: &[Reached],
    without: &[Reached],
) -> String {
    let pairs = || with.iter().zip(without);
    let of = |kind: Kind| {
        let own = courses
            .iter()
            .zip(pairs())
            .filter(|(of, _)| of.kind == kind);
        let logarithms: Vec<f64> = own
            .map(|(_, (one, other))| ratio(one, other).ln())
            .collect();
        if logarithms.is_empty() {
            return "–".to_owned();
        }
        changed((logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
    };
    let ratios = courses
        .iter()
        .zip(pairs().map(|(one, other)| ratio(one, other)));
    let most = ratios.max_by(|one, other| one.1.total_cmp(&other.1));
    let most = most.map_or_else(String::new, |(course, ratio)| {
        format!("{} {}", course.name, changed(ratio))
    });
    let points = |of: fn(&Reached) -> f64| {
        let sum: f64 = pairs().map(|(one, other)| of(other) - of(one)).sum();
        100.0 * sum / with.len() as f64
    };
    format!(
        "| {} | {lines} | {} | {} | {} | {most} | {:+.2} | {:+.2} | {:+.1} |\n",
        part.name,
        of(Kind::Synthetic),
        of(Kind::Recorded),
        of(Kind::Agents),
        points(|of| of.bias.abs()),
        points(|of| of.high),
        points(|of| of.churn),
    )
}

fn changed(ratio: f64) -> String {
    format!("{:+.1} %", 100.0 * (ratio - 1.0))
}

/// What each course reached with each tuning.
fn play_all(courses: &[Course], tunings: &[Tuning]) -> Vec<Vec<Reached>> {
    // All tunings of a course in a row: its counts stay in the cache.
    let jobs: Vec<(usize, usize)> = (0..courses.len())
        .flat_map(|course| (0..tunings.len()).map(move |tuning| (course, tuning)))
        .collect();
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let none = vec![vec![Reached::default(); courses.len()]; tunings.len()];
    let reached = Mutex::new(none);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(course, tuning)) = jobs.get(number) else {
                        break;
                    };
                    let played = play::play(&courses[course], &tunings[tuning]);
                    reached.lock().unwrap()[tuning][course] = played;
                    eprint!(
                        "\r\x1b[K{} of {}, {:.0} s: {}",
                        number + 1,
                        jobs.len(),
                        started.elapsed().as_secs_f64(),
                        courses[course].name,
                    );
                }
            });
        }
    });
    eprintln!();
    reached.into_inner().unwrap()
}
