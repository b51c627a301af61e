//! Weir's targets, and what it reached: one line per target.

use std::fmt::Write as _;

use crate::figures::{Better, FIGURES, of};
use crate::rules::{CONTENDERS, Kind};
use crate::statistics::Mean;
use crate::table::{Results, shown};

/// A target.
struct Target {
    says: &'static str,
    figure: usize,
    limit: Limit,
    /// The contender that is measured, by name.
    who: &'static str,
    /// The workloads, by name.
    on: &'static [&'static str],
}

/// The limit of a figure, in the figure's own unit.
#[derive(Clone, Copy)]
enum Limit {
    Most(f64),
    Least(f64),
    /// On either side of 0.
    Within(f64),
    /// A multiple of the floor.
    Floor(f64),
}

const WEIR: &str = "Weir";
const ENFORCED: &str = "Weir, SDKs that sample 4 × the share at most";
const RESERVED: &str = "Weir, a lower bound from a reserve";

const fn target(
    says: &'static str,
    figure: usize,
    limit: Limit,
    on: &'static [&'static str],
) -> Target {
    Target {
        says,
        figure,
        limit,
        who: WEIR,
        on,
    }
}

const SYNTHETIC: &[Target] = &[
    target(
        "tracking error, steady",
        of::ERROR,
        Limit::Floor(1.25),
        &[
            "steady",
            "steady, 10 s noise",
            "steady, noise that persists",
        ],
    ),
    target(
        "tracking error, diurnal",
        of::ERROR,
        Limit::Floor(1.25),
        &["diurnal", "diurnal, 10 s noise"],
    ),
    target(
        "tracking error, ramp",
        of::ERROR,
        Limit::Floor(1.75),
        &["ramp", "ramp, 10 s noise"],
    ),
    target(
        "bias without bursts",
        of::BIAS,
        Limit::Within(0.005),
        &[
            "steady",
            "steady, 10 s noise",
            "steady, noise that persists",
            "diurnal",
            "diurnal, 10 s noise",
            "ramp",
            "ramp, 10 s noise",
            "rename",
            "rename, 10 s noise",
            "loss",
            "loss, 10 s noise",
            "lower bound",
            "low budget",
        ],
    ),
    target(
        "p99 overshoot, steady",
        of::HIGH,
        Limit::Floor(1.25),
        &[
            "steady",
            "steady, 10 s noise",
            "steady, noise that persists",
        ],
    ),
    target(
        "settling after a step, intervals",
        of::SETTLES,
        Limit::Most(3.0),
        &["step"],
    ),
    target(
        "one operation explodes",
        of::EVENT,
        Limit::Most(0.1),
        &["explode"],
    ),
    Target {
        who: ENFORCED,
        ..target(
            "one operation explodes, an upper bound enforced",
            of::EVENT,
            Limit::Most(0.1),
            &["explode"],
        )
    },
    target(
        "30 % renamed, the worst interval",
        of::EVENT,
        Limit::Most(0.2),
        &["rename", "rename, 10 s noise"],
    ),
    target(
        "30 % renamed, intervals",
        of::SETTLES,
        Limit::Most(2.0),
        &["rename", "rename, 10 s noise"],
    ),
    target(
        "half of the reports lost, the worst interval",
        of::EVENT,
        Limit::Most(0.1),
        &["loss", "loss, 10 s noise"],
    ),
    target(
        "fairness (Jain)",
        of::JAIN,
        Limit::Least(0.99),
        &["steady", "diurnal", "ramp"],
    ),
    target(
        "coverage at a low budget",
        of::COVERAGE,
        Limit::Least(0.95),
        &["low budget"],
    ),
    target(
        "churn, steady",
        of::CHURN,
        Limit::Most(0.2),
        &[
            "steady",
            "steady, 10 s noise",
            "steady, noise that persists",
        ],
    ),
    target(
        "floors worth 1.5 budgets: over the budget",
        of::BIAS,
        Limit::Most(0.03),
        &["floors"],
    ),
    target(
        "floors worth 1.5 budgets: reported as missing",
        of::MISSING,
        Limit::Least(0.45),
        &["floors"],
    ),
    target(
        "lower bound, none served: over the budget",
        of::BIAS,
        Limit::Most(0.05),
        &["lower bound"],
    ),
    Target {
        who: RESERVED,
        ..target(
            "lower bound, from a reserve of 20 %: over the budget",
            of::BIAS,
            Limit::Most(0.05),
            &["lower bound"],
        )
    },
];

const HEAD: &str = "| target | workload | limit | Weir | floor | best peer | reached |\n\
                    |---|---|---:|---:|---:|---|---|\n";

/// The table of the synthetic workloads.
pub fn synthetic(results: &[Results]) -> String {
    let mut text = HEAD.to_owned();
    for target in SYNTHETIC {
        for name in target.on {
            if let Some(results) = results.iter().find(|results| results.name == *name) {
                text.push_str(&line(target, results));
            }
        }
    }
    text
}

fn line(target: &Target, results: &Results) -> String {
    let figure = &FIGURES[target.figure];
    let own = place(target.who).map(|place| results.figures(place, target.figure));
    let Some(own) = own.filter(|figures| !figures.is_empty()) else {
        return String::new();
    };
    let floor = ["*best without foresight*", "*oracle*"]
        .iter()
        .filter_map(|name| place(name))
        .map(|place| results.figures(place, target.figure))
        .find(|figures| !figures.is_empty());
    let mean = |figures: &[f64]| Mean::of(figures).map_or(f64::NAN, |it| it.mean);
    let (limit, holds): (String, Box<dyn Fn(f64) -> bool>) = match target.limit {
        Limit::Most(most) => (
            format!("≤ {}", scaled(target, most)),
            Box::new(move |is| is <= most),
        ),
        Limit::Least(least) => (
            format!("≥ {}", scaled(target, least)),
            Box::new(move |is| is >= least),
        ),
        Limit::Floor(times) => {
            let most = floor.as_ref().map_or(0.0, |floor| times * mean(floor));
            (
                format!("≤ {times} × the floor"),
                Box::new(move |is| is <= most),
            )
        }
        Limit::Within(most) => (
            format!("± {}", scaled(target, most)),
            Box::new(move |is| is.abs() <= most),
        ),
    };
    let reached = match (holds(mean(&own)), &floor) {
        (true, _) => "yes",
        (false, Some(floor)) if !holds(mean(floor)) => "no; nor does the floor",
        (false, _) => "**no**",
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "| {} | {} | {limit} | {} | {} | {} | {reached} |",
        target.says,
        results.name,
        shown(figure, &own),
        floor.map_or("–".to_owned(), |floor| shown(figure, &floor)),
        best_peer(target.figure, results),
    );
    text
}

fn scaled(target: &Target, limit: f64) -> String {
    let scaled = FIGURES[target.figure].scale * limit;
    format!("{}", (scaled * 1e6).round() / 1e6)
}

fn place(name: &str) -> Option<usize> {
    CONTENDERS.iter().position(|one| one.name == name)
}

/// The peer with the best mean, with its bias if that is what it pays with.
fn best_peer(figure: usize, results: &Results) -> String {
    let cost = |mean: f64| match FIGURES[figure].better {
        Better::Lower => mean,
        Better::Higher => -mean,
        Better::NearZero => mean.abs(),
    };
    let peers = CONTENDERS.iter().enumerate();
    let best = peers
        .filter(|(_, one)| one.kind == Kind::Peer)
        .filter_map(|(place, one)| {
            let figures = results.figures(place, figure);
            Some((Mean::of(&figures)?, figures, place, one.name))
        })
        .min_by(|one, other| cost(one.0.mean).total_cmp(&cost(other.0.mean)));
    let Some((_, figures, place, name)) = best else {
        return "–".to_owned();
    };
    let bias = Mean::of(&results.figures(place, of::BIAS)).map_or(0.0, |it| it.mean);
    let paid = if figure != of::BIAS && bias.abs() > 0.05 {
        format!(" (bias {:+.0} %)", 100.0 * bias)
    } else {
        String::new()
    };
    format!("{name} {}{paid}", shown(&FIGURES[figure], &figures))
}
