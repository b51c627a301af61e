//! The loop that all contenders play in: the same arrivals, polls, grace and lost reports.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::StdRng;

use weir_simulate::virtual_time::{Reports, draw, turn};

use crate::figures::{Ideal, Judge, Measured};
use crate::rules::{Contender, Controller, INITIAL_PROBABILITY, Kind, Observed, Setting};
use crate::workload::Workload;

/// Everything about a workload that does not depend on the contender.
pub struct Stage {
    pub workload: Workload,
    /// The offered requests, interval by interval.
    pub counts: Vec<Vec<u64>>,
    /// One for each span of the workload.
    pub ideals: Vec<Ideal>,
    seed: u64,
}

impl Stage {
    pub fn new(workload: Workload, seed: u64) -> Self {
        let schedule = &workload.schedule;
        let counts: Vec<Vec<u64>> = (0..schedule.intervals())
            .map(|number| schedule.counts(&workload.traffic, number))
            .collect();
        let spans = workload.spans.iter();
        Self {
            ideals: spans
                .map(|span| Ideal::of(&workload, span, &counts))
                .collect(),
            counts,
            workload,
            seed,
        }
    }

    /// Plays one contender. Returns its figures in every span, or none if it cannot play this
    /// workload.
    pub fn play(&self, contender: &Contender) -> Option<Vec<Measured>> {
        let workload = &self.workload;
        if workload.floor > 0.0 && contender.kind == Kind::Peer {
            return None;
        }
        let setting = Setting::of(workload, self.seed);
        let mut controller = (contender.enter)(&setting)?;
        let ages = workload.timing.ages();
        let operations = workload.traffic.operations().len();
        let mut served: VecDeque<Vec<f64>> =
            vec![vec![INITIAL_PROBABILITY; operations]; ages.len()].into();
        let mut bounds: VecDeque<Vec<f64>> = vec![Vec::new(); ages.len()].into();
        // The same random streams for every contender, so that coins and arrivals do not depend on
        // who plays.
        let stream = |number: u64| StdRng::seed_from_u64(self.seed.wrapping_mul(3) + number);
        let mut coins = stream(1);
        let mut reports = Reports::new(
            &workload.traffic,
            &workload.timing,
            &workload.agents,
            &workload.faults,
            stream(0),
        );
        let mut judge = Judge::new(workload, &self.ideals);
        for (number, counts) in self.counts.iter().enumerate() {
            let foreseen = controller.foresee(number, counts);
            let foresees = foreseen.is_some();
            let applied = foreseen.unwrap_or_else(|| mixed(&served, &ages));
            let least = self.least(controller.as_ref(), counts);
            let (mut kept, mut sampled) = sample(&mut coins, counts, &applied, &least);
            enforce(&mut kept, &mut sampled, &bounds, &ages, setting.seconds);
            reports.close(number, counts, &sampled);
            let told = controller.next(&Observed {
                seconds: setting.seconds,
                windows: reports.windows(controller.settled()),
                counts,
            });
            judge.interval(number, counts, &kept, controller.missing());
            if !foresees {
                judge.plan(number, &served[0], &told);
            }
            turn(&mut served, told);
            turn(&mut bounds, controller.upper_bounds().unwrap_or_default());
        }
        Some(judge.measured())
    }

    /// The part of every operation's requests that SDKs sample whatever they are served.
    fn least(&self, controller: &dyn Controller, counts: &[u64]) -> Vec<f64> {
        let instances = self.workload.instances.unwrap_or(0) as f64;
        let seconds = self.workload.timing.interval.as_secs_f64();
        let least = controller.lower_bound() * instances * seconds;
        counts
            .iter()
            .map(|&count| (least / count.max(1) as f64).min(1.0))
            .collect()
    }
}

/// The probabilities that apply to an interval's requests: a mixture of the last plans.
fn mixed(served: &VecDeque<Vec<f64>>, ages: &[f64]) -> Vec<f64> {
    (0..served[0].len())
        .map(|place| {
            let parts = ages.iter().zip(served);
            parts.map(|(part, plan)| part * plan[place]).sum()
        })
        .collect()
}

/// Limits the sampled traces of each operation to what its clients allow; one trace is always
/// allowed.
fn enforce(
    kept: &mut [u64],
    sampled: &mut [u64],
    bounds: &VecDeque<Vec<f64>>,
    ages: &[f64],
    seconds: f64,
) {
    if bounds.iter().any(Vec::is_empty) {
        return;
    }
    for (place, bound) in mixed(bounds, ages).into_iter().enumerate() {
        let most = (bound * seconds).max(1.0) as u64;
        kept[place] = kept[place].min(most);
        sampled[place] = sampled[place].min(most);
    }
}

/// The sampled traces of every operation, and how many of them the probability alone sampled,
/// without the lower bound.
fn sample(
    coins: &mut StdRng,
    counts: &[u64],
    applied: &[f64],
    least: &[f64],
) -> (Vec<u64>, Vec<u64>) {
    let mut kept = vec![0; counts.len()];
    let mut sampled = vec![0; counts.len()];
    for (place, &offered) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let probability = applied[place].max(least[place]);
        kept[place] = draw(coins, offered, probability);
        sampled[place] = if applied[place] < probability {
            draw(coins, kept[place], applied[place] / probability)
        } else {
            kept[place]
        };
    }
    (kept, sampled)
}
