//! What stays unchanged while traffic only scatters, and how a bias is corrected.

use weir::allocation::{Binding, Bounds, OperationId};

use super::fleet::{Fleet, policy};

const BUDGET: f64 = 500.0;

fn scattering(seed: u64) -> Fleet {
    let mut fleet = Fleet::new(Fleet::zipf(3_000, 100_000.0), policy(BUDGET), seed);
    fleet.noise = 0.15;
    for _ in 0..20 {
        fleet.pass();
    }
    fleet
}

#[test]
fn few_probabilities_change_while_traffic_scatters_and_the_shares_stay_fair() {
    let mut fleet = scattering(1);
    let (mut changed, mut kept) = (0.0, 0.0);
    for _ in 0..40 {
        kept += fleet.pass() / 40.0;
        let figures = fleet.plan.figures;
        changed += figures.changed / 40.0;
        assert!(figures.fairness > 0.99, "{figures:?}");
        let spent = fleet.plan.aimed_sampled() / (BUDGET * fleet.plan.fleet.trim.factor);
        assert!(spent <= 1.0 + 1e-9, "{spent}");
    }
    assert!(changed <= 0.20, "{changed}");
    assert!((kept / BUDGET - 1.0).abs() < 0.01, "{kept}");
    let stay = fleet.plan.operations.iter();
    let stay = stay
        .filter(|plan| plan.binding == Binding::Deadband)
        .count();
    assert!(stay > 500, "{stay}");
}

#[test]
fn a_deadband_keeps_within_an_operations_bounds() {
    let mut fleet = scattering(2);
    let capped = OperationId(101);
    let bounds = Bounds {
        cap: 0.01,
        ..Bounds::default()
    };
    fleet.policy.operations.insert(capped, bounds);
    for _ in 0..10 {
        fleet.pass();
        for plan in &fleet.plan.operations {
            assert!((0.0..=1.0).contains(&plan.probability));
            if plan.operation == capped {
                assert!(plan.share <= 0.01 * (1.0 + 1e-9), "{plan:?}");
            }
        }
    }
}

#[test]
fn a_bias_of_what_is_kept_is_taken_back_and_never_by_more_than_a_fourth() {
    // The last bias is as much as the trim can correct. Windows that teach nothing cost some of it.
    for (applied, least, most) in [(1.1, 0.97, 1.03), (0.9, 0.97, 1.03), (1.25, 0.97, 1.06)] {
        let mut fleet = scattering(3);
        fleet.applied = applied;
        for _ in 0..60 {
            fleet.pass();
        }
        let kept: f64 = (0..20).map(|_| fleet.pass() / BUDGET / 20.0).sum();
        assert!((least..most).contains(&kept), "{applied}: {kept}");
        let factor = fleet.plan.fleet.trim.factor;
        assert!((0.8..=1.25).contains(&factor), "{factor}");
    }
    let mut wild = scattering(4);
    wild.applied = 3.0;
    for _ in 0..160 {
        wild.pass();
    }
    let factor = wild.plan.fleet.trim.factor;
    assert!((0.8..0.82).contains(&factor), "at its bound: {factor}");
}

#[test]
fn a_step_of_all_traffic_is_made_up_for_by_next_to_nothing_at_a_time() {
    let mut fleet = scattering(5);
    let before = fleet.plan.fleet.trim.factor;
    for source in &mut fleet.sources {
        source.rate *= 3.0;
    }
    for _ in 0..4 {
        fleet.pass();
    }
    let after = fleet.plan.fleet.trim.factor;
    assert!((0.98..1.0).contains(&(after / before)), "{before} {after}");
}

/// Traffic that comes every third window, in addition to constant traffic, counts towards the
/// budget.
#[test]
fn traffic_that_comes_and_goes_teaches_the_trim_too() {
    let mut fleet = scattering(7);
    fleet.noise = 0.0;
    let (mut kept, mut windows) = (0.0, 0.0);
    for window in 0..240 {
        let factor = if window % 3 == 0 { 1.2 } else { 1.0 };
        for source in &mut fleet.sources {
            source.rate *= factor;
        }
        let passed = fleet.pass() / BUDGET;
        for source in &mut fleet.sources {
            source.rate /= factor;
        }
        if window >= 120 {
            kept += passed;
            windows += 1.0;
        }
    }
    let bias = kept / windows - 1.0;
    assert!(bias.abs() < 0.006, "{bias}");
}

#[test]
fn a_trim_that_is_none_is_read_as_none() {
    for factor in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
        let mut fleet = scattering(6);
        fleet.plan.fleet.trim.factor = factor;
        fleet.pass();
        let trim = fleet.plan.fleet.trim;
        assert!((0.8..=1.25).contains(&trim.factor), "{factor}: {trim:?}");
        assert!(fleet.plan.aimed_sampled() <= BUDGET * 1.25);
    }
}
