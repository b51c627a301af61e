//! Compares budgets: the figures of each, and the services that would spend them.

use std::collections::BTreeSet;

use serde::Serialize;
use weir_allocation::Class;

use super::classes;
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

/// What a budget comes to.
///
/// # Units
/// Errors are parts of the budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetFigures {
    /// The budget.
    pub budget_traces_per_second: f64,
    /// The mean sampled rate.
    pub sampled_traces_per_second: f64,
    /// The same, for a month of 30 days.
    pub traces_per_month: f64,
    /// The mean error without its sign.
    pub mean_absolute_error: f64,
    /// The mean error with its sign.
    pub bias: f64,
    /// The error that 1 % of intervals exceed.
    pub error_99: f64,
    /// The part of the times with requests in which an operation shows a trace.
    pub covered: f64,
    /// Jain's index: 1 if every operation got its fair part.
    pub fairness: f64,
    /// The mean part of the probabilities that a plan changes by more than 1 %.
    pub churn: f64,
    /// The largest error.
    pub worst_error: f64,
    /// Where it was: the name of the recorded row.
    pub worst_at: String,
    /// By how much floors exceeded the budget on average, in traces per second.
    pub missing_traces_per_second: f64,
}

impl Outcome {
    /// The figures over the judged intervals.
    #[must_use]
    pub fn figures(&self) -> BudgetFigures {
        let budget = self.budget;
        let error = |interval: &Interval| interval.error(budget);
        let sampled = self.mean(Interval::sampled);
        let worst = self.worst();
        BudgetFigures {
            budget_traces_per_second: budget,
            sampled_traces_per_second: sampled,
            traces_per_month: sampled * SECONDS_PER_MONTH,
            mean_absolute_error: self.mean(|interval| error(interval).abs()),
            bias: self.mean(error),
            error_99: high(self.judged().iter().map(error).collect()),
            covered: self.played.covered,
            fairness: self.played.fairness,
            churn: self.played.churn,
            worst_error: worst.map_or(0.0, error),
            worst_at: worst.map_or(String::new(), |interval| interval.label.clone()),
            missing_traces_per_second: self.played.missing,
        }
    }
}

/// The error that 1 % of intervals exceed.
fn high(mut errors: Vec<f64>) -> f64 {
    errors.sort_by(f64::total_cmp);
    let place = (0.99 * (errors.len() as f64 - 1.0)).round() as usize;
    errors.get(place).copied().unwrap_or(0.0)
}

/// The requests of one service, and its sampled traces with each budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spender {
    /// The service, or what the rest is called.
    pub service: String,
    /// Its operations.
    pub operations: usize,
    /// Root requests.
    pub offered_per_second: f64,
    /// In the order of the budgets.
    pub sampled_traces_per_second: Vec<f64>,
}

/// The `top` services with the largest part of the last budget, and the rest together.
#[must_use]
pub fn services(outcomes: &[Outcome], traffic: &Traffic, top: usize) -> Vec<Spender> {
    let mut spenders = spenders(outcomes, traffic);
    let spent = |spender: &Spender| spender.sampled_traces_per_second.last().copied();
    spenders.sort_by(|one, other| {
        let (one, other) = (spent(one), spent(other));
        other.unwrap_or(0.0).total_cmp(&one.unwrap_or(0.0))
    });
    let rest = spenders.split_off(top.min(spenders.len()));
    if !rest.is_empty() {
        spenders.push(sum(format!("the other {}", rest.len()), &rest));
    }
    spenders
}

/// Several services as one.
#[must_use]
pub fn sum(service: String, spenders: &[Spender]) -> Spender {
    let budgets = spenders
        .first()
        .map_or(0, |first| first.sampled_traces_per_second.len());
    let sampled = |place: usize| {
        let of = |spender: &Spender| spender.sampled_traces_per_second[place];
        spenders.iter().map(of).sum()
    };
    Spender {
        service,
        operations: spenders.iter().map(|spender| spender.operations).sum(),
        offered_per_second: spenders.iter().map(|it| it.offered_per_second).sum(),
        sampled_traces_per_second: (0..budgets).map(sampled).collect(),
    }
}

fn spenders(outcomes: &[Outcome], traffic: &Traffic) -> Vec<Spender> {
    let of = |range: std::ops::Range<usize>, outcome: &Outcome, what: fn(&(u64, u64)) -> u64| {
        let counts = outcome.played.operations[range].iter().map(what);
        counts.sum::<u64>() as f64 / outcome.seconds().max(f64::MIN_POSITIVE)
    };
    let spender = |service: &super::traffic::ServiceTraffic| {
        let range = || service.operations.clone();
        Spender {
            service: service.name.to_string(),
            operations: {
                let entries = traffic.operations()[service.operations.clone()].iter();
                let names = entries.map(|of| Class::of(of.name.as_str()).0);
                names.collect::<BTreeSet<_>>().len()
            },
            offered_per_second: outcomes
                .first()
                .map_or(0.0, |one| of(range(), one, |(offered, _)| *offered)),
            sampled_traces_per_second: outcomes
                .iter()
                .map(|one| of(range(), one, |(_, sampled)| *sampled))
                .collect(),
        }
    };
    traffic.services().iter().map(spender).collect()
}

/// The requests of a class, and its sampled traces with each budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassSpender {
    /// The class; none for requests without one.
    pub class: Option<&'static str>,
    /// Root requests.
    pub offered_per_second: f64,
    /// In the order of the budgets.
    pub sampled_traces_per_second: Vec<f64>,
}

/// What each class of the traffic was offered and what was kept of it; empty if the traffic has no classes.
#[must_use]
pub fn by_class(outcomes: &[Outcome], traffic: &Traffic) -> Vec<ClassSpender> {
    let mut places: Vec<Option<Class>> = vec![None; traffic.operations().len()];
    for (place, _, class) in classes::entries(traffic) {
        places[place] = Some(class);
    }
    let known = |class: &Option<Class>| places.contains(class);
    if !Class::ALL.into_iter().any(|class| known(&Some(class))) {
        return Vec::new();
    }
    let rate = |class: Option<Class>, outcome: &Outcome, what: fn(&(u64, u64)) -> u64| {
        let counts = outcome.played.operations.iter().zip(&places);
        let of_class = counts.filter(|(_, of)| **of == class);
        let sum: u64 = of_class.map(|(counts, _)| what(counts)).sum();
        sum as f64 / outcome.seconds().max(f64::MIN_POSITIVE)
    };
    let all = Class::ALL.into_iter().map(Some).chain([None]);
    all.filter(known)
        .map(|class| ClassSpender {
            class: class.map(Class::name),
            offered_per_second: outcomes
                .first()
                .map_or(0.0, |one| rate(class, one, |(offered, _)| *offered)),
            sampled_traces_per_second: outcomes
                .iter()
                .map(|one| rate(class, one, |(_, sampled)| *sampled))
                .collect(),
        })
        .collect()
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
    fn figures_say_what_a_budget_comes_to() {
        let figures = outcome(50.0).figures();
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(
            close(figures.sampled_traces_per_second, 55.0),
            "{figures:?}"
        );
        assert!(close(figures.mean_absolute_error, 0.1) && close(figures.bias, 0.1));
        assert!(close(figures.worst_error, 1.0) && figures.worst_at == "t3");
        assert!(close(figures.traces_per_month, 142_560_000.0));
    }

    #[test]
    fn those_who_spend_most_stand_first_and_the_rest_is_added_up() {
        let spenders = services(&[outcome(50.0)], &traffic(), 1);
        let names: Vec<&str> = spenders.iter().map(|it| it.service.as_str()).collect();
        assert_eq!(names, ["big", "the other 1"]);
        let all = sum("all".into(), &spenders);
        let part = spenders[0].sampled_traces_per_second[0] / all.sampled_traces_per_second[0];
        assert!((part - 10.0 / 11.0).abs() < 1e-9, "{spenders:?}");
        assert_eq!(all.operations, 2);
    }
}
