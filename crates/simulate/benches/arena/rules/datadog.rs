//! The Datadog agent's sampler: a target shared over signatures by their busiest five seconds.

use rand::SeedableRng;
use rand::rngs::StdRng;

use ::weir_simulate::virtual_time::draw;

use super::{Controller, Observed, Setting};

const BUCKET_SECONDS: f64 = 5.0;
/// The number of buckets of which the fullest counts.
const BUCKETS: usize = 6;
/// The most that a rate rises from one bucket to the next, as a factor.
const RISE: f64 = 1.2;

type Buckets = [f64; BUCKETS];

/// The sampler of one agent that sees all traffic.
///
/// # Source
/// DataDog/datadog-agent, `pkg/trace/sampler/coresampler.go` at ff58345 and `prioritysampler.go` at
/// 5b159f4: every five seconds, a signature's demand is the fullest of its last six buckets of
/// five seconds; the target is spread equally, what small signatures leave going to the others;
/// rate = share / demand, rises capped at ×1.2; a signature unknown gets the lower of the lowest
/// rate and target / busiest five seconds of all. Requests that clients dropped count.
///
/// Transplanted: the published signature is service and environment, so an operation is served
/// its service's rate; the same arithmetic by operation is played as a second contender. The
/// target is the whole budget, since one agent hears of everything. A window's requests fall into
/// its buckets by chance, evenly, and SDKs poll at the loop's interval rather than with every
/// payload.
pub struct Agent {
    target: f64,
    /// The signature of every operation.
    signatures: Vec<usize>,
    seen: Vec<Option<Buckets>>,
    rates: Vec<Option<f64>>,
    all: Buckets,
    lowest: f64,
    /// The number of buckets begun so far.
    begun: usize,
    arrivals: StdRng,
}

impl Agent {
    pub fn by_service(setting: &Setting<'_>) -> Self {
        let operations = setting.traffic.operations().iter();
        Self::new(setting, operations.map(|of| of.service).collect())
    }

    pub fn by_operation(setting: &Setting<'_>) -> Self {
        Self::new(setting, (0..setting.traffic.operations().len()).collect())
    }

    fn new(setting: &Setting<'_>, signatures: Vec<usize>) -> Self {
        let count = signatures.iter().max().map_or(0, |last| last + 1);
        Self {
            target: setting.budget,
            signatures,
            seen: vec![None; count],
            rates: vec![None; count],
            all: Buckets::default(),
            lowest: 1.0,
            begun: 0,
            arrivals: StdRng::seed_from_u64(setting.seed),
        }
    }

    /// Closes a bucket: shares the target again and empties the oldest bucket.
    fn rotate(&mut self) {
        let demands: Vec<Option<f64>> = self
            .seen
            .iter()
            .map(|buckets| buckets.map(|buckets| fullest(&buckets)))
            .collect();
        let share = share(self.target, demands.iter().flatten().copied().collect());
        self.lowest = 1.0;
        for (signature, demand) in demands.into_iter().enumerate() {
            let before = self.rates[signature].take();
            let Some(demand) = demand else { continue };
            let rate = if share < demand { share / demand } else { 1.0 };
            let most = before.map_or(1.0, |before| (before * RISE).min(1.0));
            let rate = rate.min(most);
            if rate >= 1.0 && demand == 0.0 {
                self.seen[signature] = None;
                continue;
            }
            self.lowest = self.lowest.min(rate);
            self.rates[signature] = Some(rate);
        }
        self.begun += 1;
        let oldest = self.begun % BUCKETS;
        self.all[oldest] = 0.0;
        for buckets in self.seen.iter_mut().flatten() {
            buckets[oldest] = 0.0;
        }
    }

    fn default_rate(&self) -> f64 {
        let all = fullest(&self.all);
        let rate = if self.target < all {
            self.target / all
        } else {
            1.0
        };
        rate.min(self.lowest)
    }
}

/// The demand that the fullest bucket shows, in requests per second.
fn fullest(buckets: &Buckets) -> f64 {
    buckets.iter().copied().fold(0.0, f64::max) / BUCKET_SECONDS
}

/// The share of every signature. What small ones do not use goes to the others.
fn share(target: f64, mut demands: Vec<f64>) -> f64 {
    demands.sort_by(f64::total_cmp);
    let mut left = target;
    let mut share = target / demands.len().max(1) as f64;
    for (place, demand) in demands.iter().enumerate() {
        if *demand >= share || place + 1 == demands.len() {
            break;
        }
        left -= demand;
        share = left / (demands.len() - place - 1) as f64;
    }
    share
}

impl Controller for Agent {
    fn next(&mut self, observed: &Observed<'_>) -> Vec<f64> {
        let mut waiting = vec![0_u64; self.seen.len()];
        for (place, count) in observed.offered().into_iter().enumerate() {
            waiting[self.signatures[place]] += count;
        }
        let steps = (observed.seconds / BUCKET_SECONDS).round().max(1.0) as usize;
        for step in 0..steps {
            let part = 1.0 / (steps - step) as f64;
            let bucket = self.begun % BUCKETS;
            for (signature, waiting) in waiting.iter_mut().enumerate() {
                let count = draw(&mut self.arrivals, *waiting, part);
                *waiting -= count;
                if count > 0 {
                    self.all[bucket] += count as f64;
                    self.seen[signature].get_or_insert_default()[bucket] += count as f64;
                }
            }
            self.rotate();
        }
        let default = self.default_rate();
        self.signatures
            .iter()
            .map(|&signature| self.rates[signature].unwrap_or(default))
            .collect()
    }
}
