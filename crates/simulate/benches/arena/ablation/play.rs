//! Plays a course with a tuning. Errors are those of what the probabilities keep on average, without the coins.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::StdRng;

use weir_allocation::{Inputs, Plan, Tuning, next_plan};
use weir_simulate::virtual_time::{Reports, draw, probabilities, turn};

use super::courses::{Course, Run};

/// A probability that moved by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;

/// What a tuning reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached {
    /// The mean |error|, as a part of the budget.
    pub error: f64,
    /// The mean error.
    pub bias: f64,
    /// The error that 1 % of the intervals exceed.
    pub high: f64,
    /// The part of the probabilities that a plan changes.
    pub churn: f64,
}

/// Plays a course with every seed.
pub fn play(course: &Course, tuning: &Tuning) -> Reached {
    let (mut errors, mut churn) = (Vec::new(), 0.0);
    for run in &course.runs {
        churn += play_run(course, run, tuning, &mut errors);
    }
    reached(errors, churn)
}

/// Adds the errors of the judged intervals; returns the sum of their plans' churn.
fn play_run(course: &Course, run: &Run, tuning: &Tuning, errors: &mut Vec<f64>) -> f64 {
    let stream = |number: u64| StdRng::seed_from_u64(run.seed.wrapping_mul(3) + number);
    let (traffic, timing) = (&run.traffic, &course.timing);
    let mut coins = stream(1);
    let mut reports = Reports::new(traffic, timing, &course.agents, &course.faults, stream(0));
    let ages = timing.ages();
    let seconds = timing.interval.as_secs_f64();
    let mut plan = Plan::genesis(&(course.policy)(0));
    let first = probabilities(&plan, traffic);
    let mut served: VecDeque<Vec<f64>> = vec![first; ages.len()].into();
    let mut churn = 0.0;
    for (number, counts) in run.counts.iter().enumerate() {
        let budget = (course.policy)(number.saturating_sub(1)).budget;
        let (mut offered, mut kept) = (0.0, 0.0);
        let mut sampled = vec![0; counts.len()];
        for (place, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let parts = ages.iter().zip(&served);
            let told: f64 = parts.map(|(part, plan)| part * plan[place]).sum();
            let probability = course.keeps * told;
            offered += count as f64 / seconds;
            kept += count as f64 * probability / seconds;
            sampled[place] = draw(&mut coins, count, probability);
        }
        reports.close(number, counts, &sampled);
        let inputs = Inputs {
            tuning,
            ..Inputs::new(1, reports.windows(plan.settled))
        };
        plan = next_plan(&plan, &(course.policy)(number), inputs);
        turn(&mut served, probabilities(&plan, traffic));
        if course.judged.contains(&number) {
            errors.push((kept - budget.min(offered)) / budget);
            churn += changed(&served[1], &served[0], &plan);
        }
    }
    churn
}

/// The part of a plan's probabilities that are not those of before.
fn changed(old: &[f64], new: &[f64], plan: &Plan) -> f64 {
    let places = plan.operations.iter().map(|of| of.operation.0 as usize - 1);
    let changed = places.filter(|&at| (new[at] - old[at]).abs() > CHANGE * old[at]);
    changed.count() as f64 / plan.operations.len().max(1) as f64
}

fn reached(mut errors: Vec<f64>, churn: f64) -> Reached {
    let count = errors.len().max(1) as f64;
    errors.sort_by(f64::total_cmp);
    let place = (0.99 * (count - 1.0)).round() as usize;
    Reached {
        error: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
        bias: errors.iter().sum::<f64>() / count,
        high: errors.get(place).copied().unwrap_or(0.0),
        churn: churn / count,
    }
}
