//! A line for every goal: its limit, and where it is missed.

use std::fmt::Write as _;

use super::Played;
use crate::workload::RecordedWorkload;

/// The mean error over that of the best fair rule: on average over all, and each.
const RATIO_MEAN: f64 = 1.05;
const RATIO_MOST: f64 = 1.25;
const BIAS: f64 = 0.01;
const LONG_RUNS: f64 = 0.005;
/// Either of the two.
const JAIN: f64 = 0.99;
const NEAR: f64 = 0.95;

/// A goal that holds for every recording and budget; the worst one is shown.
struct Goal {
    says: &'static str,
    limit: String,
    most: f64,
    of: fn(&Played) -> f64,
    percent: bool,
}

fn goals() -> [Goal; 4] {
    [
        Goal {
            says: "mean error over that of the best fair rule",
            limit: format!("≤ {RATIO_MOST}"),
            most: RATIO_MOST,
            of: Played::ratio,
            percent: false,
        },
        Goal {
            says: "bias over the worst day",
            limit: format!("± {} %", 100.0 * BIAS),
            most: BIAS,
            of: |one| one.mean(|seed| seed.weir.bias).abs(),
            percent: true,
        },
        Goal {
            says: "p99 above that of exact counts, late",
            limit: "≤ 0".to_owned(),
            most: 0.0,
            of: |one| one.mean(|seed| seed.weir.high - seed.late.high),
            percent: true,
        },
        Goal {
            says: "intervals in runs over +20 % that are longer than three",
            limit: format!("≤ {} %", 100.0 * LONG_RUNS),
            most: LONG_RUNS,
            of: |one| one.mean(|seed| seed.weir.long_runs),
            percent: true,
        },
    ]
}

/// The table of the goals.
pub fn summary(recordings: &[RecordedWorkload], played: &[Played]) -> String {
    let logs: f64 = played.iter().map(|one| one.ratio().ln()).sum();
    let ratio = (logs / played.len().max(1) as f64).exp();
    let mut text = "| goal | limit | Weir | reached |\n|---|---:|---|---|\n".to_owned();
    text.push_str(&line(
        "mean error over that of the best fair rule, geometric mean",
        &format!("≤ {RATIO_MEAN}"),
        &format!("{ratio:.3}"),
        ratio <= RATIO_MEAN,
    ));
    for goal in goals() {
        text.push_str(&goal.line(recordings, played));
    }
    let fair = |one: &Played| one.beats_one_probability();
    let (reached, seen) = missed(recordings, played, fair);
    let says = "one probability beaten wherever a fair rule can";
    text.push_str(&line(says, "–", &seen, reached));
    let near = |one: &Played| {
        one.mean(|seed| seed.weir.jain) >= JAIN || one.mean(|seed| seed.weir.near) >= NEAR
    };
    let (reached, seen) = missed(recordings, played, near);
    let limit = format!("≥ {JAIN}, or {:.0} %", 100.0 * NEAR);
    let says = "Jain's index without the worst 1 %, or operations within a factor of two";
    text.push_str(&line(says, &limit, &seen, reached));
    text
}

fn line(goal: &str, limit: &str, seen: &str, reached: bool) -> String {
    let reached = if reached { "yes" } else { "**no**" };
    let mut text = String::new();
    let _ = writeln!(text, "| {goal} | {limit} | {seen} | {reached} |");
    text
}

impl Goal {
    fn line(&self, recordings: &[RecordedWorkload], played: &[Played]) -> String {
        let of = |one: &&Played| (self.of)(one);
        let worst = played
            .iter()
            .max_by(|one, other| of(one).total_cmp(&of(other)));
        let Some(worst) = worst else {
            return String::new();
        };
        let missed = played.iter().filter(|one| of(one) > self.most).count();
        let figure = if self.percent {
            format!("{:.2} %", 100.0 * of(&worst))
        } else {
            format!("{:.2}", of(&worst))
        };
        let seen = format!(
            "{missed} of {} miss it; the worst is {figure}, {}",
            played.len(),
            name(recordings, worst),
        );
        line(self.says, &self.limit, &seen, missed == 0)
    }
}

/// Whether all hold, and which do not.
fn missed(
    recordings: &[RecordedWorkload],
    played: &[Played],
    holds: impl Fn(&Played) -> bool,
) -> (bool, String) {
    let missed = played.iter().filter(|one| !holds(one));
    let names: Vec<String> = missed.map(|one| name(recordings, one)).collect();
    match names.as_slice() {
        [] => (true, "all".to_owned()),
        names => (false, format!("{} miss it", names.join(", "))),
    }
}

fn name(recordings: &[RecordedWorkload], one: &Played) -> String {
    let budget = 100.0 * one.budget;
    format!("{} at {budget:.0} %", recordings[one.recording].name)
}
