//! Whole fleets in a loop: what is sampled, window by window.

use weir::allocation::{OVERFLOW_OPERATION, OVERFLOW_SERVICE, OperationId, ServiceId};

use super::fleet::{Fleet, Source, policy};

const BUDGET: f64 = 500.0;

fn zipf_fleet(seed: u64) -> Fleet {
    Fleet::new(Fleet::zipf(3_000, 100_000.0), policy(BUDGET), seed)
}

/// Plays windows and returns sampled/budget − 1 of each.
fn errors(fleet: &mut Fleet, windows: usize) -> Vec<f64> {
    (0..windows)
        .map(|_| fleet.pass() / fleet.policy.budget - 1.0)
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn steady_traffic_keeps_the_budget() {
    // Estimates that scatter are too low as often as too high, and low ones overspend by more.
    for (noise, off, tracking) in [(0.0, 0.01, 0.01), (0.15, 0.015, 0.02)] {
        let mut fleet = zipf_fleet(1);
        fleet.noise = noise;
        errors(&mut fleet, 10);
        let errors = errors(&mut fleet, 40);
        let bias = mean(errors.iter().copied());
        let error = mean(errors.iter().map(|error| error.abs()));
        assert!(bias.abs() <= off, "bias {bias} at noise {noise}");
        assert!(error <= tracking, "error {error} at noise {noise}");
        assert!(fleet.plan.fleet.unseen_reserve < 0.005 * BUDGET);
    }
}

#[test]
fn a_step_of_all_traffic_settles_within_two_windows() {
    for factor in [3.0, 1.0 / 3.0] {
        let mut fleet = zipf_fleet(2);
        errors(&mut fleet, 15);
        for source in &mut fleet.sources {
            source.rate *= factor;
        }
        let after = errors(&mut fleet, 8);
        let settled = &after[2..];
        assert!(
            settled.iter().all(|error| error.abs() < 0.05),
            "factor {factor}: {after:?}"
        );
    }
}

#[test]
fn names_that_change_all_at_once_stay_near_the_budget() {
    let mut fleet = zipf_fleet(3);
    errors(&mut fleet, 15);
    for source in fleet
        .sources
        .iter_mut()
        .filter(|source| source.operation.0 % 10 >= 7)
    {
        source.operation.0 += 100_000;
    }
    let after = errors(&mut fleet, 6);
    // In the window itself the new names are served the defaults of the plan before.
    assert!(after.iter().all(|error| error.abs() < 0.25), "{after:?}");
    assert!(
        after[3..].iter().all(|error| error.abs() < 0.05),
        "{after:?}"
    );
    // They took the place of others, and nothing says that more will come.
    assert!(fleet.plan.fleet.unseen_reserve <= 0.01 * BUDGET);
}

#[test]
fn a_hundred_thousand_new_names_fit_through_the_overflow_entry() {
    let mut fleet = zipf_fleet(4);
    errors(&mut fleet, 15);
    // Operations beyond the limits are counted together: 100,000 names of 0.02 requests a second.
    fleet.sources.insert(
        0,
        Source {
            operation: OperationId(50),
            service: ServiceId(3),
            overflow: true,
            rate: 2_000.0,
        },
    );
    let after = errors(&mut fleet, 8);
    assert!(after.iter().all(|error| error.abs() < 0.1), "{after:?}");
    let entry = fleet.plan.operations[0];
    assert!(entry.overflow && entry.probability > 0.0);
    let default = fleet.plan.default_probability(ServiceId(3));
    assert_eq!(entry.probability, default);
    let figures = fleet.plan.fleet;
    assert!(default <= figures.budget / figures.offered);
}

#[test]
fn services_over_the_limit_are_served_the_fleet_default() {
    let mut fleet = zipf_fleet(5);
    fleet.sources.insert(
        0,
        Source {
            operation: OVERFLOW_OPERATION,
            service: OVERFLOW_SERVICE,
            overflow: true,
            rate: 5_000.0,
        },
    );
    errors(&mut fleet, 5);
    let plan = &fleet.plan;
    assert_eq!(plan.operations[0].operation, OVERFLOW_OPERATION);
    assert_eq!(
        plan.operations[0].probability,
        plan.fleet.default_probability
    );
    assert_eq!(plan.services[0].service, OVERFLOW_SERVICE);
    assert_eq!(
        plan.services[0].default_probability,
        plan.fleet.default_probability
    );
    assert!(plan.fleet.default_probability > 0.0);
}

#[test]
fn a_budget_taken_to_zero_and_given_back_is_kept_again() {
    let mut fleet = zipf_fleet(6);
    errors(&mut fleet, 10);
    fleet.policy.budget = 0.0;
    fleet.pass();
    assert_eq!(fleet.pass(), 0.0);
    assert!(
        fleet
            .plan
            .operations
            .iter()
            .all(|plan| plan.probability == 0.0)
    );
    assert_eq!(fleet.plan.fleet.default_probability, 0.0);
    fleet.policy.budget = BUDGET;
    let after = errors(&mut fleet, 20);
    assert!(
        after[1..].iter().all(|error| error.abs() < 0.1),
        "{after:?}"
    );
    assert!(after.iter().all(|error| *error < 0.1), "{after:?}");
}
