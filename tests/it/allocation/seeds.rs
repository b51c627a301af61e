//! Reproduces what other systems promise: a target per operation.

use std::collections::BTreeMap;

use weir::allocation::{Bounds, OperationId, Policy, ServiceId};

use super::fleet::{Fleet, Source, policy};

/// One trace a second for each operation, whatever the total.
fn one_each() -> Policy {
    let bounds = Bounds {
        cap: 1.0,
        ..Bounds::default()
    };
    Policy {
        services: BTreeMap::from([(ServiceId(1), bounds.into())]),
        ..policy(1e9)
    }
}

fn source(id: u32, rate: f64) -> Source {
    Source {
        operation: OperationId(id),
        service: ServiceId(1),
        overflow: false,
        rate,
    }
}

fn kept(sources: Vec<Source>, seed: u64) -> f64 {
    let mut fleet = Fleet::new(sources, one_each(), seed);
    let windows: Vec<f64> = (0..40).map(|_| fleet.pass()).collect();
    windows[20..].iter().sum::<f64>() / 20.0
}

#[test]
fn a_huge_endpoint_settles_at_its_share_and_a_rare_operation_stays_whole() {
    let rare = 2.0 / 3600.0;
    let mut fleet = Fleet::new(vec![source(1, 50_000.0), source(2, rare)], one_each(), 7);
    let (mut seen, mut off) = (false, 0.0);
    for window in 0..24 * 60 {
        fleet.pass();
        let of = |id| {
            let found = |plan: &&weir::allocation::OperationPlan| plan.operation == OperationId(id);
            fleet.plan.operations.iter().find(found)
        };
        if window >= 10 {
            let huge = of(1).unwrap().probability;
            // Two requests of the rare one at once look like a change of the whole fleet.
            assert!((huge / 2e-5 - 1.0).abs() < 0.08, "window {window}: {huge}");
            off += (huge / 2e-5 - 1.0).abs() / 1430.0;
        }
        if let Some(rare) = of(2) {
            // Until it comes again it gets no more than what is unknown.
            let wanted = if rare.belief.once { 0.5 } else { 1.0 };
            assert_eq!(rare.probability, wanted, "window {window}");
            seen |= !rare.belief.once;
        }
    }
    assert!(seen);
    assert!(off < 0.01, "{off}");
}

#[test]
fn the_total_grows_with_the_operations_and_not_with_their_traffic() {
    let fleet = |operations: u32, rate: f64| {
        let sources = (1..=operations).map(|id| source(id, rate * f64::from(1 + id % 7)));
        kept(sources.collect(), 11)
    };
    let (few, busier, more) = (fleet(100, 50.0), fleet(100, 500.0), fleet(200, 50.0));
    assert!((few / 100.0 - 1.0).abs() < 0.03, "{few}");
    assert!((busier / few - 1.0).abs() < 0.03, "{busier} of {few}");
    assert!((more / few - 2.0).abs() < 0.06, "{more} of {few}");
}
