//! Compares budgets: a line for each, and the services that would spend them.

use std::fmt::Write;

use super::traffic::Traffic;
use super::verdict::Interval;
use super::virtual_time::VirtualPlayed;

/// The length of a month.
const SECONDS_PER_MONTH: f64 = 30.0 * 86_400.0;

/// The results of one budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The budget, in traces per second.
    pub budget: f64,
    /// The run.
    pub played: VirtualPlayed,
    /// Intervals at the beginning that are not measured.
    pub warm_up: usize,
}

impl Outcome {
    fn judged(&self) -> &[Interval] {
        let intervals = &self.played.intervals;
        intervals.get(self.warm_up..).unwrap_or_default()
    }

    /// The mean of a figure over the judged intervals.
    fn mean(&self, of: impl Fn(&Interval) -> f64) -> f64 {
        let judged = self.judged();
        judged.iter().map(of).sum::<f64>() / judged.len().max(1) as f64
    }

    /// The judged interval with the largest error.
    fn worst(&self) -> Option<&Interval> {
        let error = |interval: &&Interval| interval.error(self.budget).abs();
        let judged = self.judged().iter();
        judged.max_by(|one, other| error(one).total_cmp(&error(other)))
    }

    fn seconds(&self) -> f64 {
        self.judged().iter().map(|interval| interval.seconds).sum()
    }
}

/// A line for every budget; `cell` names the time in which an operation should show a trace.
#[must_use]
pub fn table(outcomes: &[Outcome], cell: &str) -> String {
    let mut text = format!(
        "{:>9}  {:>9}  {:>12}  {:>8}  {:>8}  {:>12}  {:>8}  {:>6}  {:>18}  worst interval\n",
        "budget",
        "sampled/s",
        "mean |error|",
        "bias",
        "99 %",
        format!("shown in {cell}"),
        "fairness",
        "churn",
        "traces a month",
    );
    for outcome in outcomes {
        let budget = outcome.budget;
        let error = |interval: &Interval| interval.error(budget);
        let sampled = outcome.mean(Interval::sampled);
        let worst = outcome.worst().map_or(String::new(), |interval| {
            format!("{:+.1} % at {}", 100.0 * error(interval), interval.label)
        });
        let _ = writeln!(
            text,
            "{budget:>9}  {sampled:>9.2}  {:>10.2} %  {:>+6.2} %  {:>+6.1} %  {:>10.1} %  {:>8.3}  {:>4.0} %  {:>18}  {worst}",
            100.0 * outcome.mean(|interval| error(interval).abs()),
            100.0 * outcome.mean(error),
            100.0 * high(outcome.judged().iter().map(error).collect()),
            100.0 * outcome.played.covered,
            outcome.played.fairness,
            100.0 * outcome.played.churn,
            rounded(sampled * SECONDS_PER_MONTH),
        );
        if outcome.played.missing > 0.0 {
            let _ = writeln!(
                text,
                "{:>9}  floors ask for {:.2} traces/s more than the budget on average and are scaled down",
                "", outcome.played.missing
            );
        }
    }
    text
}

/// The error that 1 % of intervals exceed.
fn high(mut errors: Vec<f64>) -> f64 {
    errors.sort_by(f64::total_cmp);
    let place = (0.99 * (errors.len() as f64 - 1.0)).round() as usize;
    errors.get(place).copied().unwrap_or(0.0)
}

/// The requests of one service, and its sampled traces with each budget, per second.
struct Spender<'a> {
    name: &'a str,
    operations: usize,
    offered: f64,
    sampled: Vec<f64>,
}

/// The `top` services with the largest part of the last budget, and the rest together.
#[must_use]
pub fn services(outcomes: &[Outcome], traffic: &Traffic, top: usize) -> String {
    let mut spenders = spenders(outcomes, traffic);
    let spent = |spender: &Spender<'_>| spender.sampled.last().copied().unwrap_or(0.0);
    spenders.sort_by(|one, other| spent(other).total_cmp(&spent(one)));
    let offered: f64 = spenders.iter().map(|spender| spender.offered).sum();
    let sampled: Vec<f64> = sums(outcomes.len(), &spenders);
    let mut text = format!(
        "{:<40}  {:>10}  {:>12}  {:>7}",
        format!("who spends it, of {} services", spenders.len()),
        "operations",
        "offered/s",
        "part"
    );
    for outcome in outcomes {
        let _ = write!(
            text,
            "  {:>16}  {:>7}",
            format!("sampled/s at {}", outcome.budget),
            "part"
        );
    }
    text.push('\n');
    let mut line = |spender: &Spender<'_>| {
        let _ = write!(
            text,
            "{:<40}  {:>10}  {:>12.2}  {:>5.1} %",
            shortened(spender.name),
            spender.operations,
            spender.offered,
            percent(spender.offered, offered)
        );
        for (spent, sum) in spender.sampled.iter().zip(&sampled) {
            let _ = write!(text, "  {spent:>16.3}  {:>5.1} %", percent(*spent, *sum));
        }
        text.push('\n');
    };
    let rest = spenders.split_off(top.min(spenders.len()));
    spenders.iter().for_each(&mut line);
    if !rest.is_empty() {
        line(&Spender {
            name: &format!("the other {}", rest.len()),
            operations: rest.iter().map(|spender| spender.operations).sum(),
            offered: rest.iter().map(|spender| spender.offered).sum(),
            sampled: sums(outcomes.len(), &rest),
        });
    }
    text
}

fn spenders<'a>(outcomes: &[Outcome], traffic: &'a Traffic) -> Vec<Spender<'a>> {
    let of = |range: std::ops::Range<usize>, outcome: &Outcome, what: fn(&(u64, u64)) -> u64| {
        let counts = outcome.played.operations[range].iter().map(what);
        counts.sum::<u64>() as f64 / outcome.seconds().max(f64::MIN_POSITIVE)
    };
    let spender = |service: &'a super::traffic::ServiceTraffic| {
        let range = || service.operations.clone();
        Spender {
            name: service.name.as_str(),
            operations: service.operations.len(),
            offered: outcomes
                .first()
                .map_or(0.0, |one| of(range(), one, |(offered, _)| *offered)),
            sampled: outcomes
                .iter()
                .map(|one| of(range(), one, |(_, sampled)| *sampled))
                .collect(),
        }
    };
    traffic.services().iter().map(spender).collect()
}

fn sums(budgets: usize, spenders: &[Spender<'_>]) -> Vec<f64> {
    let sum = |place: usize| spenders.iter().map(|spender| spender.sampled[place]).sum();
    (0..budgets).map(sum).collect()
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        100.0 * part / whole
    } else {
        0.0
    }
}

fn shortened(name: &str) -> String {
    const LONGEST: usize = 40;
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A large number in words.
fn rounded(value: f64) -> String {
    match value {
        1e9.. => format!("{:.2} billion", value / 1e9),
        1e6.. => format!("{:.1} million", value / 1e6),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};
    use weir_allocation::{OperationName, Plan, ServiceName};

    fn outcome(budget: f64) -> Outcome {
        let interval = |number: usize| Interval {
            label: format!("t{number}"),
            seconds: 60.0,
            budget_factor: 1.0,
            tally: Tally {
                offered: 60_000,
                served: Sampled {
                    count: if number == 3 { 120 } else { 60 } * budget as u64,
                    ..Sampled::default()
                },
                reference: Sampled::default(),
            },
        };
        Outcome {
            budget,
            warm_up: 2,
            played: VirtualPlayed {
                intervals: (0..12).map(interval).collect(),
                churn: 0.2,
                covered: 0.9,
                fairness: 0.99,
                operations: vec![(590_000, 600 * budget as u64), (10_000, 60 * budget as u64)],
                missing: 0.0,
                plan: Plan::default(),
            },
        }
    }

    fn traffic() -> Traffic {
        let row = |service: &str| {
            let operation = OperationName::parse("o").unwrap();
            (ServiceName::parse(service).unwrap(), operation, Vec::new())
        };
        Traffic::new(vec!["t".into()], vec![row("big"), row("small")]).unwrap()
    }

    #[test]
    fn a_line_says_what_a_budget_comes_to() {
        let text = table(&[outcome(50.0), outcome(100.0)], "5m");
        let line = text.lines().nth(1).unwrap();
        for word in [
            "50",
            "55.00",
            "10.00 %",
            "+10.00 %",
            "+100.0 % at t3",
            "142.6 million",
            "90.0 %",
        ] {
            assert!(line.contains(word), "{word} in {line}");
        }
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn floors_that_do_not_fit_are_said() {
        let mut outcome = outcome(50.0);
        outcome.played.missing = 12.5;
        assert!(table(&[outcome], "5m").contains("12.50 traces/s more than the budget"));
    }

    #[test]
    fn those_who_spend_most_stand_first_and_the_rest_is_added_up() {
        let text = services(&[outcome(50.0)], &traffic(), 1);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("big") && lines[1].contains("90.9 %"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("the other 1") && lines[2].contains("9.1 %"),
            "{text}"
        );
        assert!(lines[1].contains("98.3 %"), "{text}");
    }
}
