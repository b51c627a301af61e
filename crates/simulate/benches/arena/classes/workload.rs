//! The requests: their classes are known, and nothing but chance and one error storm happens.

use std::f64::consts::TAU;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};

use weir_allocation::{Class, OperationName, ServiceName};
use weir_simulate::Traffic;

/// What all contenders are to keep, in traces per second.
pub const BUDGET: f64 = 100.0;

/// Minutes that are not judged: every contender learns the fleet.
const WARM_UP: usize = 60;
pub const MINUTES: usize = 180;
/// The minutes that are judged.
pub const JUDGED: Range<usize> = WARM_UP..MINUTES;
/// The minutes in which requests of one service fail, and its place.
pub const STORM: Range<usize> = 120..135;
pub const STORMY: usize = 1;
/// How many times more of them.
const STORM_FACTOR: f64 = 100.0;

const SERVICES: usize = 10;
const OPERATIONS: usize = 200;
/// Root requests per second.
const REQUESTS: f64 = 2000.0;
/// How fast operations become rare: the rate of the one in place n falls with n to this power.
const TAIL: f64 = 1.3;
/// The parts of requests that fail, in the median, and that are slow.
const ERRORS: f64 = 0.002;
const SLOW: f64 = 0.01;
/// Of the services with this place, this part of the requests is of test accounts.
const TAGGED_SERVICES: [usize; 2] = [0, 4];
const TAGGED: f64 = 0.01;
/// All rates rise and fall by this part in this time.
const SWING: f64 = 0.3;
const SWING_SECONDS: f64 = 4.0 * 3600.0;
/// The scatter of each operation and of all together, drawn again every `SCATTER_SECONDS`.
const SCATTER: f64 = 0.15;
const COMMON_SCATTER: f64 = 0.03;
const SCATTER_SECONDS: usize = 10;

/// The requests of one class of one operation.
pub struct Entry {
    pub service: usize,
    /// The place of its operation.
    pub operation: usize,
    pub class: Class,
    /// Mean requests per second.
    pub rate: f64,
}

/// A fleet of which it is known what each trace turns out to be.
pub struct Fleet {
    /// The names of the entries, in their order. It has no counts.
    pub traffic: Traffic,
    pub entries: Vec<Entry>,
}

impl Fleet {
    /// The same fleet each time.
    pub fn new() -> Self {
        let mut random = SmallRng::seed_from_u64(7);
        let spread = Normal::new(0.0, 0.7).unwrap();
        let weights = (1..=OPERATIONS).map(|rank| (rank as f64).powf(-TAIL));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        let mut entries = Vec::new();
        let mut rows = Vec::new();
        for service in 0..SERVICES {
            for operation in (service..OPERATIONS).step_by(SERVICES) {
                let rate = REQUESTS * weights[operation] / sum;
                let errors: f64 = spread.sample(&mut random);
                let errors = if service == STORMY {
                    ERRORS
                } else {
                    ERRORS * errors.exp()
                };
                let tagged = if TAGGED_SERVICES.contains(&service) {
                    TAGGED
                } else {
                    0.0
                };
                let rest = 1.0 - errors - SLOW - tagged;
                for (class, part) in Class::ALL.into_iter().zip([errors, SLOW, tagged, rest]) {
                    if part <= 0.0 {
                        continue;
                    }
                    let name = class.entry(&format!("GET /resource-{operation}"));
                    let name = OperationName::parse(&name).unwrap();
                    let of = ServiceName::parse(&format!("service-{service}")).unwrap();
                    rows.push((of, name, Vec::new()));
                    entries.push(Entry {
                        service,
                        operation,
                        class,
                        rate: rate * part,
                    });
                }
            }
        }
        Self {
            traffic: Traffic::new(Vec::new(), rows).unwrap(),
            entries,
        }
    }

    /// The mean rate of the entries of some classes.
    pub fn rate(&self, classes: &[Class]) -> f64 {
        let entries = self.entries.iter();
        let wanted = entries.filter(|entry| classes.contains(&entry.class));
        wanted.map(|entry| entry.rate).sum()
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        OPERATIONS
    }

    /// The requests of every second. Equal seeds give equal ones.
    pub fn play(&self, seed: u64) -> Played<'_> {
        Played {
            fleet: self,
            random: SmallRng::seed_from_u64(seed),
            second: 0,
            scatter: vec![1.0; OPERATIONS],
        }
    }
}

/// A run of a fleet, second by second.
pub struct Played<'f> {
    fleet: &'f Fleet,
    random: SmallRng,
    second: usize,
    scatter: Vec<f64>,
}

impl Played<'_> {
    /// The requests of the next second, entry by entry.
    pub fn next_second(&mut self) -> Vec<u64> {
        if self.second.is_multiple_of(SCATTER_SECONDS) {
            self.draw_scatter();
        }
        let swing = 1.0 + SWING * (self.second as f64 / SWING_SECONDS * TAU).sin();
        let storm = STORM.contains(&(self.second / 60));
        let mut counts = Vec::with_capacity(self.fleet.entries.len());
        for entry in &self.fleet.entries {
            let failing = match (storm && entry.service == STORMY, entry.class) {
                (false, _) => 1.0,
                (true, Class::Error) => STORM_FACTOR,
                (true, _) => (1.0 - STORM_FACTOR * ERRORS) / (1.0 - ERRORS),
            };
            let rate = entry.rate * failing * swing * self.scatter[entry.operation];
            counts.push(drawn(&mut self.random, rate));
        }
        self.second += 1;
        counts
    }

    fn draw_scatter(&mut self) {
        let mut factor = |scatter: f64| {
            let normal = Normal::new(1.0, scatter).unwrap();
            normal.sample(&mut self.random).max(0.0)
        };
        let common = factor(COMMON_SCATTER);
        for own in &mut self.scatter {
            *own = common * factor(SCATTER);
        }
    }
}

/// A number of requests. Most entries have none in most seconds, which takes one random number.
fn drawn(random: &mut SmallRng, rate: f64) -> u64 {
    if rate < 0.5 && random.random::<f64>() < (-rate).exp() {
        return 0;
    }
    if rate < 0.5 {
        // One at least, given that it is not none: another draw until it fits.
        let poisson = Poisson::new(rate).unwrap();
        return loop {
            let count: f64 = poisson.sample(random);
            if count > 0.0 {
                break count as u64;
            }
        };
    }
    let count: f64 = Poisson::new(rate).unwrap().sample(random);
    count as u64
}
