//! Recorded traffic, from a folder that the caller names.

use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal, Poisson};

use weir::allocation::{OperationName, ServiceName};
use weir::simulate::Traffic;
use weir::simulate::recording::read_traffic;

use super::{Workload, file, plain};

const FUNCTIONS: &str = "azure_functions_2019_500fn_min480-959.csv";
const WORLD_CUP: &str = "wc98_burst_1998-06-29_1998-07-08.csv";
/// The day of the record that is played: two matches, one of them with extra time.
const DAY: &str = "1998-06-30";
/// What is kept, as a part of what is offered on average.
const KEPT: f64 = 0.05;
const OPERATIONS: usize = 300;
const OPERATIONS_PER_SERVICE: usize = 30;
const ZIPF_EXPONENT: f64 = 1.6;
const OWN_NOISE: f64 = 0.15;
const SECONDS_PER_ROW: f64 = 60.0;

/// A recorded workload.
pub struct Recording {
    pub name: &'static str,
    pub says: String,
    of: Of,
}

enum Of {
    /// Every operation as recorded; only the coins differ from seed to seed.
    Traffic(Traffic),
    /// A total as recorded, spread over operations that are made up.
    Total(Vec<f64>),
}

/// Reads what the folder holds.
///
/// # Errors
/// Names the file that is missing or wrong.
pub fn recordings(folder: &Path) -> Result<Vec<Recording>, String> {
    let functions =
        read_traffic(&file(folder, FUNCTIONS)?).map_err(|error| format!("{FUNCTIONS}: {error}"))?;
    let text = fs::read_to_string(file(folder, WORLD_CUP)?).map_err(|error| error.to_string())?;
    let total = day(&text)?;
    Ok(vec![
        Recording {
            name: "Azure Functions",
            says: format!(
                "{} functions over {} minutes of 2019, as recorded; the budget is 5 % of the mean",
                functions.operations().len(),
                functions.rows(),
            ),
            of: Of::Traffic(functions),
        },
        Recording {
            name: "World Cup",
            says: format!(
                "the site's requests in each of the {} minutes of {DAY}, as recorded, spread by \
                 Zipf's law over {OPERATIONS} operations that scatter by 15 %; the budget is 5 % \
                 of the mean",
                total.len(),
            ),
            of: Of::Total(total),
        },
    ])
}

/// The totals of the day, minute by minute.
fn day(text: &str) -> Result<Vec<f64>, String> {
    let lines = text.lines().filter(|line| line.starts_with(DAY));
    let total: Result<Vec<f64>, String> = lines
        .map(|line| {
            let count = line.split(',').nth(1).and_then(|count| count.parse().ok());
            count.ok_or_else(|| format!("{WORLD_CUP}: no count in {line:?}"))
        })
        .collect();
    total.and_then(|total| {
        if total.is_empty() {
            Err(format!("{WORLD_CUP}: nothing of {DAY}"))
        } else {
            Ok(total)
        }
    })
}

/// The budget that keeps the wanted part of a traffic's mean.
fn budget(traffic: &Traffic) -> f64 {
    let counts = traffic.operations().iter().flat_map(|of| &of.counts);
    let total: u64 = counts.map(|&count| u64::from(count)).sum();
    KEPT * total as f64 / traffic.rows() as f64 / SECONDS_PER_ROW
}

impl Recording {
    /// The workload of a seed.
    pub fn make(&self, seed: u64) -> Workload {
        match &self.of {
            Of::Traffic(traffic) => plain(traffic.clone(), None, budget(traffic)),
            Of::Total(total) => {
                let (traffic, expected) = spread(total, seed);
                let budget = budget(&traffic);
                plain(traffic, Some(expected), budget)
            }
        }
    }
}

/// Spreads a total over made-up operations, by Zipf's law.
fn spread(total: &[f64], seed: u64) -> (Traffic, Vec<Vec<f64>>) {
    let mut random = StdRng::seed_from_u64(seed);
    let scatter = Normal::new(1.0, OWN_NOISE).unwrap();
    let zipf = |rank: usize| (rank as f64).powf(-ZIPF_EXPONENT);
    let parts: f64 = (1..=OPERATIONS).map(zipf).sum();
    let (mut rows, mut expected) = (Vec::new(), Vec::new());
    for rank in 1..=OPERATIONS {
        let means: Vec<f64> = total.iter().map(|of| of * zipf(rank) / parts).collect();
        let counts = means.iter().map(|mean| {
            let rate: f64 = mean * scatter.sample(&mut random).max(0.0);
            let count: f64 = Poisson::new(rate).map_or(0.0, |poisson| poisson.sample(&mut random));
            count as u32
        });
        let service = format!("service-{:02}", (rank - 1) / OPERATIONS_PER_SERVICE);
        rows.push((
            ServiceName::parse(&service).unwrap(),
            OperationName::parse(&format!("GET /resource-{rank}")).unwrap(),
            counts.collect(),
        ));
        expected.push(means.iter().map(|mean| mean / SECONDS_PER_ROW).collect());
    }
    let labels = (0..total.len()).map(|row| row.to_string()).collect();
    (Traffic::new(labels, rows).unwrap(), expected)
}
