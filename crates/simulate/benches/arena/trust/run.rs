//! Plays a case in the loop of `weir simulate`, without the coins: errors are those of what the
//! probabilities keep on average.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::StdRng;

use weir_allocation::{Hold, Inputs, Plan, next_plan};
use weir_simulate::virtual_time::{Reports, draw, probabilities, turn};

use super::case::Case;

/// What an interval shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Point {
    /// How far the kept rate is from the budget, or from all traffic where that is less, as a part of
    /// the budget.
    pub error: f64,
    /// The same of the plan after the interval, had all SDKs used it for the next interval.
    pub planned: f64,
    /// What it would have kept, in traces per second.
    pub planned_kept: f64,
    /// Whether the plan after the interval holds probabilities.
    pub holds: bool,
    /// The part of the agents that it says are missing.
    pub missing: f64,
    /// The part of the budget that new names kept, and their part of the traffic.
    pub new_kept: f64,
    pub new_offered: f64,
}

/// Plays a case with a seed.
pub fn play(case: &Case, seed: u64) -> Vec<Point> {
    let scene = case.scene(seed);
    let stream = |number: u64| StdRng::seed_from_u64(seed.wrapping_mul(3) + number);
    let mut coins = stream(1);
    let faults = &case.faults.agents;
    let mut reports = Reports::new(
        &scene.traffic,
        &case.timing,
        &case.agents,
        faults,
        stream(0),
    );
    let ages = case.timing.ages();
    let operations = scene.traffic.operations().len();
    let mut plan = Plan::genesis(&case.policy(0));
    let first = vec![case.policy.initial_probability; operations];
    let mut served: VecDeque<Vec<f64>> = vec![first; ages.len()].into();
    let mut points: Vec<Point> = Vec::with_capacity(case.intervals);
    for (number, counts) in scene.counts.iter().enumerate() {
        let before = case.policy(number.saturating_sub(1)).budget;
        let applied: Vec<f64> = (0..operations)
            .map(|place| {
                let parts = ages.iter().zip(&served);
                parts.map(|(part, plan)| part * plan[place]).sum()
            })
            .collect();
        let sampled: Vec<u64> = counts
            .iter()
            .zip(&applied)
            .map(|(&count, &probability)| draw(&mut coins, count, probability))
            .collect();
        let seconds = case.timing.interval.as_secs_f64();
        let sums = Sums::of(counts, &applied, &scene.new);
        let mut point = Point {
            error: sums.error(before, seconds),
            new_kept: sums.new_kept / seconds / before.max(f64::MIN_POSITIVE),
            new_offered: sums.new_offered / sums.offered.max(1.0),
            ..Point::default()
        };
        reports.close(number, counts, &sampled);
        let policy = case.policy(number);
        let inputs = Inputs::new(1, reports.windows(plan.settled));
        plan = next_plan(&plan, &policy, inputs);
        let newest = probabilities(&plan, &scene.traffic);
        if let Some(next) = scene.counts.get(number + 1) {
            let sums = Sums::of(next, &newest, &[]);
            point.planned = sums.error(policy.budget, seconds);
            point.planned_kept = sums.kept / seconds;
        }
        point.holds = plan.fleet.hold != Hold::None;
        let missing = plan.agents.iter().filter(|of| of.missing_windows > 0);
        point.missing = missing.count() as f64 / plan.agents.len().max(1) as f64;
        if std::env::var_os("TRUST_TRACE").is_some() {
            trace(number, &point, &plan);
        }
        turn(&mut served, newest);
        points.push(point);
    }
    points
}

/// Prints what a plan was made from.
fn trace(number: usize, point: &Point, plan: &Plan) {
    let fleet = &plan.fleet;
    let missing = plan.agents.iter().filter(|of| of.missing_windows > 0);
    eprintln!(
        "{number:4} error {:+8.3} planned {:+8.3} {:?} offered {:9.1} of {:9.1} completeness {:.3} \
         covered {:.3} windows {} agents {} missing {} claims {} level {:.3}",
        point.error,
        point.planned,
        fleet.hold,
        fleet.offered,
        fleet.observed_offered,
        fleet.completeness,
        fleet.covered,
        fleet.windows_read,
        plan.agents.len(),
        missing.count(),
        plan.claims.len(),
        fleet.level,
    );
}

/// Requests and what is kept of them on average, in an interval.
struct Sums {
    offered: f64,
    kept: f64,
    new_offered: f64,
    new_kept: f64,
}

impl Sums {
    fn of(counts: &[u64], probabilities: &[f64], new: &[usize]) -> Self {
        let offered = |place: usize| counts[place] as f64;
        let kept = |place: usize| offered(place) * probabilities[place];
        Self {
            offered: (0..counts.len()).map(offered).sum(),
            kept: (0..counts.len()).map(kept).sum(),
            new_offered: new.iter().map(|&place| offered(place)).sum(),
            new_kept: new.iter().map(|&place| kept(place)).sum(),
        }
    }

    /// As a part of the budget; of a trace per second if there is none.
    fn error(&self, budget: f64, seconds: f64) -> f64 {
        let target = budget.min(self.offered / seconds);
        let unit = if budget > 0.0 { budget } else { 1.0 };
        (self.kept / seconds - target) / unit
    }
}
