//! Recorded traffic: every file of a folder that the caller names.
//!
//! A file with several operations is played as recorded. A single series is a total: it is spread
//! over synthetic operations, so that there is something to share. The first half of the time may
//! be used for tuning; the figures of the second half are quoted.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal, Poisson};

use weir_allocation::{OperationName, ServiceName};
use weir_simulate::recording::{ReadOptions, read};
use weir_simulate::{Schedule, Traffic};

use super::{Span, WARM_UP, Workload, plain, timing};

/// The names of the spans.
pub const SPANS: [&str; 2] = ["tuning half", REPORTING];
/// The span that is quoted.
pub const REPORTING: &str = "reporting half";
/// The budget, as a part of the mean offered rate,
const KEPT: f64 = 0.05;
/// but at least this many traces in an interval, so that there is more to see than chance,
const TRACES: f64 = 100.0;
/// and never more than this part.
const KEPT_MOST: f64 = 0.5;
const OPERATIONS: usize = 300;
const OPERATIONS_PER_SERVICE: usize = 30;
const ZIPF_EXPONENT: f64 = 1.6;
const OWN_NOISE: f64 = 0.15;
/// A recording with more intervals than this is played with half of the seeds.
const LONG: usize = 3000;

/// A recorded workload.
pub struct RecordedWorkload {
    pub name: String,
    pub says: String,
    /// One in this many seeds is played.
    pub seeds_in: u64,
    /// The traffic, one row per interval.
    traffic: Traffic,
    /// Whether it is a total that must be spread.
    total: bool,
    /// The mean offered rate, in root requests per second.
    mean: f64,
    budget: f64,
}

/// Reads every traffic file of a folder, by name.
///
/// # Errors
/// Names the folder or the file that is wrong.
pub fn recordings(folder: &Path) -> Result<Vec<RecordedWorkload>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(said)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{} has no .csv file", folder.display()));
    }
    files
        .iter()
        .map(|file| RecordedWorkload::of(file))
        .collect()
}

impl RecordedWorkload {
    fn of(file: &Path) -> Result<Self, String> {
        let recorded = read(file, &ReadOptions::default()).map_err(|error| error.to_string())?;
        let seconds = timing().interval.as_secs_f64();
        let pace = seconds / recorded.row_seconds;
        let schedule = Schedule::new(recorded.traffic.rows(), 0, pace, None);
        let traffic = a_row_an_interval(&recorded.traffic, &schedule);
        let operations = traffic.operations().len();
        let total = operations == 1 && traffic.services()[0].name.as_str() == "recorded";
        let counts = traffic.operations().iter().flat_map(|of| &of.counts);
        let sum: u64 = counts.map(|&count| u64::from(count)).sum();
        let mean = sum as f64 / traffic.rows().max(1) as f64 / seconds;
        let kept = KEPT.max(TRACES / seconds / mean).min(KEPT_MOST);
        let spread = if total {
            format!(
                "a total, spread over {OPERATIONS} operations by Zipf's law with a scatter of 15 % \
                 each"
            )
        } else {
            format!("{operations} operations as recorded")
        };
        let notes: Vec<String> = recorded
            .notes
            .iter()
            .map(|note| format!(" ({note})"))
            .collect();
        Ok(Self {
            name: file
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            says: format!(
                "{spread}, over {} intervals from {}{}; {mean:.1} requests a second on average, \
                 and a budget for {:.0} % of them",
                traffic.rows(),
                traffic.labels().first().map_or("", String::as_str),
                notes.concat(),
                100.0 * kept,
            ),
            seeds_in: if traffic.rows() > LONG { 2 } else { 1 },
            mean,
            budget: kept * mean,
            traffic,
            total,
        })
    }

    /// How many intervals it has.
    pub fn intervals(&self) -> usize {
        self.traffic.rows()
    }

    /// How many counts it has.
    pub fn cells(&self) -> usize {
        let operations = if self.total {
            OPERATIONS
        } else {
            self.traffic.operations().len()
        };
        self.traffic.rows() * operations
    }

    /// The workload of a seed, with a budget for a part of the mean traffic.
    pub fn with(&self, seed: u64, kept: f64) -> Workload {
        Workload {
            budget: kept * self.mean,
            ..self.make(seed)
        }
    }

    /// The workload of a seed.
    pub fn make(&self, seed: u64) -> Workload {
        let (traffic, expected) = if self.total {
            let (traffic, expected) = spread(&self.traffic, seed);
            (traffic, Some(expected))
        } else {
            (self.traffic.clone(), None)
        };
        let intervals = traffic.rows();
        let half = intervals / 2;
        Workload {
            spans: vec![
                Span {
                    intervals: WARM_UP.min(intervals / 8)..half,
                },
                Span {
                    intervals: half..intervals,
                },
            ],
            ..plain(traffic, expected, self.budget)
        }
    }
}

/// The same traffic with a row for every interval of a schedule.
fn a_row_an_interval(traffic: &Traffic, schedule: &Schedule) -> Traffic {
    let services = traffic.services();
    let mut rows: Vec<_> = traffic
        .operations()
        .iter()
        .map(|of| {
            (
                services[of.service].name.clone(),
                of.name.clone(),
                Vec::new(),
            )
        })
        .collect();
    let mut labels = Vec::with_capacity(schedule.intervals());
    for interval in 0..schedule.intervals() {
        labels.push(schedule.label(traffic, interval).to_owned());
        for (row, count) in rows.iter_mut().zip(schedule.counts(traffic, interval)) {
            row.2.push(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
    Traffic::new(labels, rows).unwrap()
}

/// Spreads a total over synthetic operations; every row adds up to the recorded total.
///
/// Every operation except the busiest scatters by itself, and the busiest takes the rest. If all
/// were scaled to the total instead, they would all share the scatter of the busiest.
fn spread(total: &Traffic, seed: u64) -> (Traffic, Vec<Vec<f64>>) {
    let mut random = StdRng::seed_from_u64(seed);
    let scatter = Normal::new(1.0, OWN_NOISE).unwrap();
    let zipf = |rank: usize| (rank as f64).powf(-ZIPF_EXPONENT);
    let parts: f64 = (1..=OPERATIONS).map(zipf).sum();
    let total = &total.operations()[0].counts;
    let mut counts: Vec<Vec<u32>> = vec![Vec::new(); OPERATIONS];
    for &sum in total {
        let mut left = sum;
        for (place, counts) in counts.iter_mut().enumerate().skip(1) {
            let mean = f64::from(sum) * zipf(place + 1) / parts;
            let rate: f64 = mean * f64::max(scatter.sample(&mut random), 0.0);
            let drawn: f64 = Poisson::new(rate).map_or(0.0, |poisson| poisson.sample(&mut random));
            let count = (drawn as u32).min(left);
            counts.push(count);
            left -= count;
        }
        counts[0].push(left);
    }
    let seconds = timing().interval.as_secs_f64();
    let (mut rows, mut expected) = (Vec::new(), Vec::new());
    for (place, counts) in counts.into_iter().enumerate() {
        let service = format!("service-{:02}", place / OPERATIONS_PER_SERVICE);
        let part = zipf(place + 1) / parts / seconds;
        rows.push((
            ServiceName::parse(&service).unwrap(),
            OperationName::parse(&format!("GET /resource-{}", place + 1)).unwrap(),
            counts,
        ));
        expected.push(total.iter().map(|&sum| f64::from(sum) * part).collect());
    }
    let labels = (0..total.len()).map(|row| row.to_string()).collect();
    (Traffic::new(labels, rows).unwrap(), expected)
}
