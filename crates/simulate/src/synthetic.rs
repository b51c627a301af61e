//! Synthetic traffic for the demonstration: many things happen to a fleet within a minute.
//!
//! A fleet by Zipf's law whose load drifts over the run, with these events:
//!
//! | part of the run | event |
//! |---|---|
//! | 25 % to 55 % | one service in three takes three times its requests |
//! | 40 % on | some operations go on under other names |
//! | 75 % | one operation bursts for one row of time |

use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};

use super::traffic::{OperationRow, Traffic};
use weir_allocation::{OperationName, ServiceName};

/// The size of the synthetic fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SyntheticFleet {
    /// Services.
    pub services: usize,
    /// Operations over all services, before any is renamed.
    pub operations: usize,
    /// Root requests in an average row of time, over the whole fleet, before the events.
    pub requests_per_row: f64,
    /// Rows of time.
    pub rows: usize,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Default for SyntheticFleet {
    fn default() -> Self {
        Self {
            services: 40,
            operations: 300,
            requests_per_row: 6000.0,
            rows: 30,
            seed: 1,
        }
    }
}

/// The events, each with the part of the run in which it happens.
pub const EVENTS: [(f64, &str); 4] = [
    (STEP.start, "one service in three × 3"),
    (RENAMED, "some operations renamed"),
    (STEP.end, "back"),
    (BURST, "one operation × 20"),
];

/// The exponent of the decrease from the busiest operation to the quietest.
const ZIPF_EXPONENT: f64 = 1.1;
/// How far the load drifts from its mean, up and down.
const DRIFT: f64 = 0.3;
/// The standard deviation of an operation's rate from row to row, in addition to its Poisson noise.
const RATE_NOISE: f64 = 0.05;
const STEP: std::ops::Range<f64> = 0.25..0.55;
const STEP_FACTOR: f64 = 3.0;
const RENAMED: f64 = 0.4;
const BURST: f64 = 0.75;
const BURST_FACTOR: f64 = 20.0;
/// The rank of the operation that bursts: neither the busiest nor a rare one.
const BURST_RANK: usize = 12;
/// One in this many operations is renamed.
const RENAMED_ONE_IN: usize = 30;

/// Generates the traffic. Equal arguments give equal traffic.
///
/// # Panics
/// Never: the names are made of short plain words and are all different.
#[must_use]
pub fn synthetic_traffic(fleet: &SyntheticFleet) -> Traffic {
    let mut random = StdRng::seed_from_u64(fleet.seed);
    let services = fleet.services.max(1);
    let total: f64 = (1..=fleet.operations).map(zipf).sum();
    let mut rows: Vec<OperationRow> = Vec::with_capacity(fleet.operations + fleet.operations / 8);
    for rank in 0..fleet.operations {
        // Each service gets one of the first forty operations; the other ranks are distributed
        // freely.
        let service = if rank < services {
            rank
        } else {
            random.random_range(0..services)
        };
        let mean = fleet.requests_per_row * zipf(rank + 1) / total;
        let counts: Vec<u32> = (0..fleet.rows)
            .map(|row| draw(&mut random, mean * factor(fleet, service, rank, row)))
            .collect();
        push(&mut rows, fleet, service, rank, counts);
    }
    let labels = (0..fleet.rows).map(|row| row.to_string()).collect();
    Traffic::new(labels, rows).expect("every rank has names of its own")
}

fn zipf(rank: usize) -> f64 {
    (rank as f64).powf(-ZIPF_EXPONENT)
}

/// The position of a row in the run, in [0, 1).
fn part(fleet: &SyntheticFleet, row: usize) -> f64 {
    row as f64 / fleet.rows.max(1) as f64
}

/// The factor of drift and events on an operation's mean in one row.
fn factor(fleet: &SyntheticFleet, service: usize, rank: usize, row: usize) -> f64 {
    let part = part(fleet, row);
    let drift = 1.0 + DRIFT * (TAU * part).sin();
    let step = if service.is_multiple_of(3) && STEP.contains(&part) {
        STEP_FACTOR
    } else {
        1.0
    };
    let burst = if rank == BURST_RANK && row == (BURST * fleet.rows as f64) as usize {
        BURST_FACTOR
    } else {
        1.0
    };
    drift * step * burst
}

/// A random count with this mean: the rate varies a little, and arrivals are a Poisson process.
fn draw(random: &mut StdRng, mean: f64) -> u32 {
    let wander = Normal::new(1.0, RATE_NOISE).expect("the deviation is positive");
    let rate = mean * wander.sample(random).max(0.0);
    if rate <= 0.0 {
        return 0;
    }
    let count: f64 = Poisson::new(rate)
        .expect("the rate is positive and finite")
        .sample(random);
    count as u32
}

/// Adds an operation, or the two halves of one that is renamed.
fn push(
    rows: &mut Vec<OperationRow>,
    fleet: &SyntheticFleet,
    service: usize,
    rank: usize,
    counts: Vec<u32>,
) {
    let service = ServiceName::parse(&format!("service-{service:02}")).expect("is a name");
    let name = |version: u32| {
        OperationName::parse(&format!("GET /v{version}/resource-{rank}")).expect("is a name")
    };
    if rank % RENAMED_ONE_IN != RENAMED_ONE_IN / 2 {
        rows.push((service, name(1), counts));
        return;
    }
    let renamed = |row: usize| part(fleet, row) >= RENAMED;
    let half = |after: bool| -> Vec<u32> {
        let counts = counts.iter().enumerate();
        counts
            .map(|(row, &count)| if renamed(row) == after { count } else { 0 })
            .collect()
    };
    rows.push((service.clone(), name(1), half(false)));
    rows.push((service, name(2), half(true)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_row(traffic: &Traffic) -> Vec<u64> {
        let count = |row: usize| {
            let counts = traffic
                .operations()
                .iter()
                .map(|o| u64::from(o.counts[row]));
            counts.sum()
        };
        (0..traffic.rows()).map(count).collect()
    }

    #[test]
    fn it_is_as_large_as_asked_and_the_same_every_time() {
        let fleet = SyntheticFleet::default();
        let traffic = synthetic_traffic(&fleet);
        assert_eq!(traffic.services().len(), 40);
        assert_eq!(traffic.operations().len(), 310, "300 and 10 new names");
        assert_eq!(traffic.rows(), 30);
        assert_eq!(traffic, synthetic_traffic(&fleet));
    }

    #[test]
    fn the_step_shows_in_the_total() {
        let rows = per_row(&synthetic_traffic(&SyntheticFleet::default()));
        let before = rows[7] as f64;
        let after = rows[9] as f64;
        assert!(after > 1.3 * before, "{rows:?}");
    }

    #[test]
    fn a_renamed_operation_goes_on_under_its_new_name() {
        let traffic = synthetic_traffic(&SyntheticFleet::default());
        let of = |name: &str| {
            let mut operations = traffic.operations().iter();
            &operations.find(|o| o.name.as_str() == name).unwrap().counts
        };
        let (old, new) = (of("GET /v1/resource-15"), of("GET /v2/resource-15"));
        assert!(old[..12].iter().all(|&count| count > 0));
        assert!(old[12..].iter().all(|&count| count == 0));
        assert!(new[..12].iter().all(|&count| count == 0));
        assert!(new[12..].iter().all(|&count| count > 0));
    }
}
