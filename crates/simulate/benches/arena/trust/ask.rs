//! What is asked of a row, and what was seen.

use std::ops::Range;

use super::run::Point;

/// Intervals whose mean counts as an extreme: it hides what is chance.
const RUN: usize = 3;
/// How close a plan has to be, and for how many plans, to be right.
const RIGHT: f64 = 0.05;
const RIGHT_FOR: usize = 3;

/// A figure, and its limit. Intervals count from 0; ranges do not include their end.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// The mean error is within this part of the budget.
    Mean { from: usize, to: usize, within: f64 },
    /// The mean error of three intervals is at most this, at any time.
    Over { from: usize, to: usize, most: f64 },
    /// The mean error of three intervals is at least this, at any time.
    Under { from: usize, to: usize, least: f64 },
    /// No plan holds probabilities.
    NoHold { from: usize, to: usize },
    /// Plans say of at most this part of the agents that they are missing, on average.
    Missing { from: usize, to: usize, most: f64 },
    /// The plan after an interval is within 5 %.
    Plan { after: usize },
    /// The plan after an interval keeps nothing.
    Nothing { after: usize },
    /// Plans are within 5 % this number of intervals after an interval.
    Settles { at: usize, within: usize },
    /// What is kept too much in all, in budgets of an interval.
    Excess { from: usize, to: usize, most: f64 },
    /// New names keep at most their part of the traffic.
    Share { from: usize, to: usize },
    /// The mean |error|, as a multiple of that of the same fleet on time, is at most this.
    OnTime { from: usize, to: usize, factor: f64 },
}

/// What was seen.
pub struct Seen {
    pub asked: String,
    pub seen: String,
    pub reached: bool,
}

/// The points of each seed; of the same with a fleet on time, where that is asked for.
pub struct Played {
    pub runs: Vec<Vec<Point>>,
    pub on_time: Vec<Vec<Point>>,
}

impl Ask {
    pub fn judge(self, played: &Played) -> Seen {
        let runs = &played.runs;
        match self {
            Self::Mean { from, to, within } => {
                let mean = mean(runs, from..to, |point| point.error);
                let asked = format!("mean error within {}", percent(within));
                seen(asked, signed(mean), mean.abs() <= within)
            }
            Self::Over { from, to, most } => {
                let worst = extreme(runs, from..to, f64::max);
                let asked = format!("never more than {} over", percent(most));
                seen(asked, signed(worst), worst <= most)
            }
            Self::Under { from, to, least } => {
                let worst = extreme(runs, from..to, f64::min);
                let asked = format!("never more than {} under", percent(-least));
                seen(asked, signed(worst), worst >= least)
            }
            Self::NoHold { from, to } => {
                let holds = mean(runs, from..to, |point| f64::from(u8::from(point.holds)));
                let of = format!("{} of plans", percent(holds));
                seen("no hold".to_owned(), of, holds <= 0.0)
            }
            Self::Missing { from, to, most } => {
                let missing = mean(runs, from..to, |point| point.missing);
                let asked = format!("at most {} of the agents said to be missing", percent(most));
                seen(asked, percent(missing), missing <= most)
            }
            Self::Plan { after } => {
                let mean = mean(runs, after..after + 1, |point| point.planned);
                let asked = format!("plan {} within 5 %", after + 1);
                seen(asked, signed(mean), mean.abs() <= RIGHT)
            }
            Self::Nothing { after } => {
                let kept = mean(runs, after..after + 1, |point| point.planned_kept);
                let asked = "the next plan keeps nothing".to_owned();
                seen(asked, format!("{kept:.1} traces/s"), kept <= 0.0)
            }
            Self::Settles { at, within } => settles(runs, at, within),
            Self::Excess { from, to, most } => excess(runs, from..to, most),
            Self::Share { from, to } => share(runs, from..to),
            Self::OnTime { from, to, factor } => on_time(played, from..to, factor),
        }
    }
}

fn seen(asked: String, seen: String, reached: bool) -> Seen {
    Seen {
        asked,
        seen,
        reached,
    }
}

fn excess(runs: &[Vec<Point>], range: Range<usize>, most: f64) -> Seen {
    let over = |point: &Point| point.error.max(0.0);
    let excess = mean(runs, range.clone(), over) * range.len() as f64;
    let asked = format!("at most {most:.0} budgets too much in all");
    seen(asked, format!("{excess:.1}"), excess <= most)
}

fn share(runs: &[Vec<Point>], range: Range<usize>) -> Seen {
    let kept = mean(runs, range.clone(), |point| point.new_kept);
    let offered = mean(runs, range, |point| point.new_offered);
    let asked = format!("at most {} of the budget to them", shown(offered));
    seen(asked, shown(kept), kept <= offered * (1.0 + RIGHT))
}

fn on_time(played: &Played, range: Range<usize>, factor: f64) -> Seen {
    let error = |runs| mean(runs, range.clone(), |point| point.error.abs());
    let (own, other) = (error(&played.runs), error(&played.on_time));
    let asked = format!("mean \\|error\\| at most {factor} × that of a fleet on time");
    let times = own / other;
    seen(
        asked,
        format!("{times:.2} × ({})", percent(own)),
        times <= factor,
    )
}

fn settles(runs: &[Vec<Point>], at: usize, within: usize) -> Seen {
    let settled = |run: &Vec<Point>| {
        let right = |points: &[Point]| points.iter().all(|point| point.planned.abs() <= RIGHT);
        let after = run[at..].windows(RIGHT_FOR).position(right);
        after.map_or(run.len() - at, |after| after + 1)
    };
    let worst = runs.iter().map(settled).max().unwrap_or(0);
    let settles = runs.iter().all(|run| settled(run) < run.len() - at);
    let after = if settles {
        worst.to_string()
    } else {
        "never".to_owned()
    };
    seen(
        format!("right after {within} plans"),
        after,
        worst <= within,
    )
}

fn mean(runs: &[Vec<Point>], range: Range<usize>, of: impl Fn(&Point) -> f64) -> f64 {
    let points = runs.iter().flat_map(|run| &run[range.clone()]);
    let (mut sum, mut count) = (0.0, 0.0);
    for point in points {
        sum += of(point);
        count += 1.0;
    }
    sum / f64::max(count, 1.0)
}

fn extreme(runs: &[Vec<Point>], range: Range<usize>, of: fn(f64, f64) -> f64) -> f64 {
    let means = runs.iter().flat_map(|run| {
        let runs = run[range.clone()].windows(RUN);
        runs.map(|run| run.iter().map(|point| point.error).sum::<f64>() / RUN as f64)
    });
    means.reduce(of).unwrap_or(0.0)
}

fn percent(part: f64) -> String {
    let scaled = 100.0 * part;
    if scaled.abs() >= 100.0 || (scaled - scaled.round()).abs() < 1e-9 {
        format!("{scaled:.0} %")
    } else {
        format!("{scaled:.1} %")
    }
}

fn signed(part: f64) -> String {
    format!("{}{}", if part > 0.0 { "+" } else { "" }, percent(part))
}

/// A part that may be small.
fn shown(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}
