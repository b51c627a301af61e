//! Synthetic traffic in which one thing happens, to measure an allocation with.
//!
//! All scenarios share one fleet: 2,400 operations whose rates follow Zipf's law with a sum of
//! 100,000 root requests a second, and 600 rare ones with a request in ten seconds to ten minutes.
//! Rates scatter by 15 % per operation and by 3 % in common from row to row, and arrivals are a
//! Poisson process. A row is a minute.

use std::f64::consts::TAU;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};

use super::traffic::{OperationRow, Traffic};
use super::virtual_time::Loss;
use weir_allocation::{OperationName, ServiceName};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Nothing.
    Steady,
    /// All rates rise and fall by 60 % in a day of 240 rows.
    Diurnal,
    /// All rates rise by 3 % a row for 40 rows, and fall back as slowly.
    Ramp,
    /// All rates triple for 60 rows, then fall back.
    Step,
    /// Three in ten operations are renamed.
    Rename,
    /// One small operation rises to 20,000 requests a second for 30 rows.
    Explode,
    /// The reports of half the agents are lost for five rows.
    Loss,
}

/// How the rates scatter.
///
/// A scatter that is drawn for every row cannot be predicted: the common one of 3 % costs every
/// controller √(2/π)·3 % = 2.4 % of mean error. A scatter that is drawn more often averages out
/// over a row, and one that persists can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Noise {
    /// All rates are drawn for every row.
    #[default]
    Minute,
    /// All rates are drawn every ten seconds.
    TenSeconds,
    /// The common part keeps nine tenths of itself from row to row; each operation's own part is
    /// drawn for every row.
    Persistent,
}

impl Noise {
    /// The deviation over a row that a deviation at an instant leads to.
    fn over_a_row(self, deviation: f64) -> f64 {
        match self {
            Self::TenSeconds => deviation / (SECONDS_PER_ROW / 10.0).sqrt(),
            Self::Minute | Self::Persistent => deviation,
        }
    }

    /// The common factor of all operations, row by row, and the part of it that can be known
    /// beforehand.
    fn common(self, random: &mut StdRng) -> (Vec<f64>, Vec<f64>) {
        let deviation = self.over_a_row(COMMON_NOISE);
        let scatter = Normal::new(0.0, deviation).expect("the deviation is positive");
        let mut last = 0.0;
        let row = |_| {
            let drawn = scatter.sample(random);
            let known = match self {
                Self::Persistent => PERSISTENCE * last,
                Self::Minute | Self::TenSeconds => 0.0,
            };
            last = match self {
                Self::Persistent => known + (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * drawn,
                Self::Minute | Self::TenSeconds => drawn,
            };
            (1.0 + last, 1.0 + known)
        };
        (0..ROWS).map(row).unzip()
    }
}

/// The event happens after this many rows.
pub const EVENT: usize = 60;
const ROWS: usize = 240;
const SECONDS_PER_ROW: f64 = 60.0;
const BUSY: usize = 2400;
const RARE: usize = 600;
const BUSY_PER_SECOND: f64 = 100_000.0;
const ZIPF_EXPONENT: f64 = 1.6;
const SERVICES: usize = 100;
const OWN_NOISE: f64 = 0.15;
const COMMON_NOISE: f64 = 0.03;
/// The part of the common noise that is left a row later, if it persists.
const PERSISTENCE: f64 = 0.9;
const RAMP_PER_ROW: f64 = 1.03;
const RAMP_ROWS: usize = 40;
const EXPLODED: usize = 1500;
const EXPLODED_PER_SECOND: f64 = 20_000.0;

impl Scenario {
    /// Generates the traffic. Equal seeds give equal traffic.
    ///
    /// # Panics
    /// Never: the names are short plain words and are all different.
    #[must_use]
    pub fn traffic(self, seed: u64) -> Traffic {
        self.traffic_with(seed, Noise::Minute)
    }

    /// Like [`Scenario::traffic`], with another kind of noise.
    ///
    /// # Panics
    /// Never: the names are short plain words and are all different.
    #[must_use]
    pub fn traffic_with(self, seed: u64, noise: Noise) -> Traffic {
        let mut random = StdRng::seed_from_u64(seed);
        let fleet = Fleet::draw(&mut random, noise);
        let own = noise.over_a_row(OWN_NOISE);
        let mut rows = Vec::with_capacity(fleet.rates.len());
        for (rank, rate) in fleet.rates.into_iter().enumerate() {
            let common = |row: usize| self.course(row) * fleet.common[row];
            let mean = |row: usize| common(row) * self.rate(rank, rate, row);
            let counts: Vec<u32> = (0..ROWS)
                .map(|row| draw(&mut random, mean(row) * SECONDS_PER_ROW, own))
                .collect();
            if self == Self::Rename && fleet.renamed[rank] {
                let (before, after) = counts.split_at(EVENT);
                rows.push(named(rank, 1, before.to_vec()));
                rows.push(named(rank, 2, [vec![0; EVENT], after.to_vec()].concat()));
            } else {
                rows.push(named(rank, 1, counts));
            }
        }
        let labels = (0..ROWS).map(|row| row.to_string()).collect();
        Traffic::new(labels, rows).expect("every rank has names of its own")
    }

    /// The rates around which [`Scenario::traffic`] scatters, in root requests per second: row by
    /// row for every operation, in the order of the traffic.
    #[must_use]
    pub fn expected(self, seed: u64) -> Vec<Vec<f64>> {
        self.expected_with(seed, Noise::Minute)
    }

    /// Like [`Scenario::expected`], for [`Scenario::traffic_with`]: what can be known before a row.
    #[must_use]
    pub fn expected_with(self, seed: u64, noise: Noise) -> Vec<Vec<f64>> {
        let fleet = Fleet::draw(&mut StdRng::seed_from_u64(seed), noise);
        let mut operations = Vec::with_capacity(fleet.rates.len());
        for (rank, &rate) in fleet.rates.iter().enumerate() {
            let rates: Vec<f64> = (0..ROWS)
                .map(|row| self.course(row) * fleet.known[row] * self.rate(rank, rate, row))
                .collect();
            if self == Self::Rename && fleet.renamed[rank] {
                let (before, after) = rates.split_at(EVENT);
                let gone = vec![0.0; ROWS - EVENT];
                operations.push((rank % SERVICES, [before, &gone].concat()));
                operations.push((rank % SERVICES, [&[0.0; EVENT], after].concat()));
            } else {
                operations.push((rank % SERVICES, rates));
            }
        }
        operations.sort_by_key(|(service, _)| *service);
        operations.into_iter().map(|(_, rates)| rates).collect()
    }

    /// The reports that are lost.
    #[must_use]
    pub fn loss(self, agents: usize) -> Option<Loss> {
        (self == Self::Loss).then_some(Loss {
            intervals: EVENT..EVENT + 5,
            agents: agents / 2,
            queued: false,
        })
    }

    /// The factor of all rates.
    fn course(self, row: usize) -> f64 {
        match self {
            Self::Diurnal => 1.0 + 0.6 * (TAU * row as f64 / ROWS as f64).sin(),
            Self::Ramp if row < EVENT => 1.0,
            Self::Ramp => {
                let since = row - EVENT;
                let up = since.min((2 * RAMP_ROWS).saturating_sub(since));
                RAMP_PER_ROW.powi(up as i32)
            }
            Self::Step if (EVENT..2 * EVENT).contains(&row) => 3.0,
            _ => 1.0,
        }
    }

    fn rate(self, rank: usize, rate: f64, row: usize) -> f64 {
        let exploded =
            self == Self::Explode && rank == EXPLODED && (EVENT..EVENT + EVENT / 2).contains(&row);
        if exploded { EXPLODED_PER_SECOND } else { rate }
    }
}

/// What is drawn before the first row.
struct Fleet {
    /// The common scatter of all operations, row by row.
    common: Vec<f64>,
    /// The part of it that can be known before the row.
    known: Vec<f64>,
    /// Whether an operation may be renamed, by rank.
    renamed: Vec<bool>,
    /// Root requests per second, by rank.
    rates: Vec<f64>,
}

impl Fleet {
    fn draw(random: &mut StdRng, noise: Noise) -> Self {
        let (common, known) = noise.common(random);
        let mut renamed: Vec<bool> = (0..BUSY + RARE).map(|rank| rank % 10 < 3).collect();
        renamed.shuffle(random);
        Self {
            common,
            known,
            renamed,
            rates: rates(random),
        }
    }
}

/// Root requests per second of every operation.
fn rates(random: &mut StdRng) -> Vec<f64> {
    let zipf = |rank: usize| (rank as f64).powf(-ZIPF_EXPONENT);
    let total: f64 = (1..=BUSY).map(zipf).sum();
    let busy = (1..=BUSY).map(|rank| BUSY_PER_SECOND * zipf(rank) / total);
    let mut rates: Vec<f64> = busy.collect();
    rates.extend((0..RARE).map(|_| 0.1 * 60_f64.powf(-random.random::<f64>())));
    rates
}

fn named(rank: usize, version: u32, counts: Vec<u32>) -> OperationRow {
    let service = format!("service-{:02}", rank % SERVICES);
    let operation = format!("GET /v{version}/resource-{rank}");
    (
        ServiceName::parse(&service).expect("is a name"),
        OperationName::parse(&operation).expect("is a name"),
        counts,
    )
}

/// A random count with this mean and a rate that scatters.
fn draw(random: &mut StdRng, mean: f64, deviation: f64) -> u32 {
    let scatter = Normal::new(1.0, deviation).expect("the deviation is positive");
    let rate = mean * scatter.sample(random).max(0.0);
    if rate <= 0.0 {
        return 0;
    }
    let count: f64 = Poisson::new(rate)
        .expect("the rate is positive and finite")
        .sample(random);
    count as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_second(traffic: &Traffic, rows: std::ops::Range<usize>) -> f64 {
        let counts = traffic
            .operations()
            .iter()
            .map(|of| &of.counts[rows.clone()]);
        let total: u64 = counts.flatten().map(|&count| u64::from(count)).sum();
        total as f64 / rows.len() as f64 / SECONDS_PER_ROW
    }

    #[test]
    fn a_step_trebles_the_traffic_and_takes_it_back() {
        let traffic = Scenario::Step.traffic(1);
        let [before, during, after] = [0..60, 60..120, 120..240].map(|r| per_second(&traffic, r));
        assert!((before / 100_000.0 - 1.0).abs() < 0.05, "{before}");
        assert!((during / before - 3.0).abs() < 0.2, "{during}");
        assert!((after / before - 1.0).abs() < 0.05, "{after}");
    }

    #[test]
    fn renaming_changes_names_and_not_the_traffic() {
        let traffic = Scenario::Rename.traffic(1);
        assert_eq!(traffic.operations().len(), 3_900);
        let [before, after] = [0..60, 60..240].map(|rows| per_second(&traffic, rows));
        assert!((after / before - 1.0).abs() < 0.05, "{before} {after}");
    }

    /// The deviation of the fleet's traffic from row to row, and that of its change.
    fn scatter(noise: Noise) -> (f64, f64) {
        let traffic = Scenario::Steady.traffic_with(3, noise);
        let rates: Vec<f64> = (0..ROWS)
            .map(|row| per_second(&traffic, row..row + 1) / BUSY_PER_SECOND - 1.0)
            .collect();
        let root = |squares: f64| (squares / ROWS as f64).sqrt();
        let step = |pair: &[f64]| (pair[1] - pair[0]).powi(2);
        (
            root(rates.iter().map(|rate| rate * rate).sum()),
            root(rates.windows(2).map(step).sum()),
        )
    }

    #[test]
    fn noise_of_ten_seconds_averages_out_and_noise_that_persists_moves_slowly() {
        // The busiest operation takes two fifths of the traffic and scatters by itself.
        let (minute, minute_step) = scatter(Noise::Minute);
        let (seconds, _) = scatter(Noise::TenSeconds);
        let (_, persistent_step) = scatter(Noise::Persistent);
        assert!(
            (minute / seconds - 6.0_f64.sqrt()).abs() < 0.6,
            "{minute} {seconds}"
        );
        assert!(
            persistent_step < minute_step,
            "{persistent_step} {minute_step}"
        );
        let common = |noise: Noise| noise.common(&mut StdRng::seed_from_u64(1));
        let (factors, known) = common(Noise::Persistent);
        assert!(
            factors
                .iter()
                .zip(&known)
                .all(|(factor, known)| (factor - known).abs() < 0.06)
        );
        assert!(known.iter().any(|known| (known - 1.0).abs() > 0.03));
    }

    #[test]
    fn the_traffic_scatters_around_what_is_expected_of_it() {
        for scenario in [Scenario::Diurnal, Scenario::Rename, Scenario::Explode] {
            let (traffic, expected) = (scenario.traffic(2), scenario.expected(2));
            assert_eq!(traffic.operations().len(), expected.len());
            for (operation, expected) in traffic.operations().iter().zip(&expected) {
                let drawn: u64 = operation.counts.iter().map(|&count| u64::from(count)).sum();
                let mean: f64 = expected.iter().map(|rate| rate * SECONDS_PER_ROW).sum();
                let allowed = 0.15 * mean + 6.0 * mean.sqrt();
                assert!((drawn as f64 - mean).abs() <= allowed, "{drawn} of {mean}");
            }
        }
    }
}
