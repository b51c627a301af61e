//! By what requests are counted: which basis keeps worse ones out, and what is learned from each.

use weir::allocation::{Basis, ServiceId};

use super::agents::{Sent, World, sent};

/// A report of service 2 by something that does not show what SDKs sample.
fn unshown(basis: Basis, agent: u64, window: i64) -> Sent {
    Sent {
        basis,
        stated: if basis.says_sampled() { 1.0 } else { 0.0 },
        counts: vec![(2, 3, 6_000), (2, 4, 600)],
        ..sent(agent, window)
    }
}

/// Plays windows of two services, one of which is counted by this basis.
fn play(world: &mut World, windows: usize, stated: f64, basis: Basis) {
    for _ in 0..windows {
        world.pass(|number| {
            let told = (1..=4).map(|agent| Sent {
                stated,
                ..sent(agent, number)
            });
            let untold = (11..=14).map(|agent| unshown(basis, agent, number));
            told.chain(untold).collect()
        });
    }
}

/// SDKs of which nobody says what they sampled are not taken for SDKs that sample nothing. Nor are those that are
/// counted by what they sampled taken for SDKs that sample what they are to. The others still show whether they
/// apply what they are served.
#[test]
fn what_nobody_says_and_what_shows_nothing_are_no_evidence() {
    for basis in [Basis::Requests, Basis::Spans, Basis::Calls] {
        let mut world = World::new(50.0);
        play(&mut world, 150, 1.0, basis);
        let fleet = &world.plan.fleet;
        assert!(
            (fleet.trim.compliance - 1.0).abs() < 0.02,
            "{basis:?}: {:?}",
            fleet.trim
        );
        assert!((fleet.trim.factor - 1.0).abs() < 0.05, "{:?}", fleet.trim);
        let kept = fleet.observed_sampled / world.plan.figures.due_sampled;
        assert!((kept - 1.0).abs() < 0.1, "{basis:?}: {kept}");
        play(&mut world, 150, 0.8, basis);
        let trim = world.plan.fleet.trim;
        assert!(trim.compliance < 0.9, "{basis:?}: {trim:?}");
        let known = [1, 2].map(|service| world.plan.sampled_known(ServiceId(service)));
        assert_eq!(known, [true, basis.says_sampled()]);
    }
}

fn basis(world: &World) -> Option<Basis> {
    let plan = world.plan.service(ServiceId(1));
    plan.and_then(|of| of.basis)
}

/// A report of service 1, with a part of its traffic.
fn by(agent: u64, number: i64, basis: Basis, part: f64) -> Sent {
    Sent {
        basis,
        ..sent(agent, number).times(part)
    }
}

#[test]
fn the_best_basis_keeps_worse_ones_out_for_a_while() {
    let mut world = World::new(50.0);
    for _ in 0..5 {
        world.pass(|number| vec![by(1, number, Basis::Requests, 1.0).late(2)]);
    }
    let plan = world.plan.service(ServiceId(1)).expect("it was counted");
    assert!(
        plan.bases[Basis::Requests as usize].is_some(),
        "late counts are heard as well"
    );
    assert!(!Basis::ALL.iter().any(|basis| plan.leaves_out(*basis)));
    let mut both = 0;
    while basis(&world).is_none() {
        world.pass(|number| {
            let requests = by(1, number, Basis::Requests, 1.0);
            vec![requests, by(2, number, Basis::Reports, 1.0)]
        });
        both += 1;
        assert!(both < 20);
    }
    // From then on, counts of requests are left out: their source says that it is there.
    let silent = |number| by(1, number, Basis::Requests, 0.0);
    for _ in 0..20 {
        world.pass(|number| vec![silent(number), by(2, number, Basis::Reports, 1.0)]);
        assert_eq!(basis(&world), Some(Basis::Reports));
    }
    let mut windows = 0;
    while basis(&world).is_some() {
        world.pass(|number| vec![silent(number)]);
        windows += 1;
        assert!(windows < 100);
    }
    assert_eq!(windows, 17);
}

/// While agents are being rolled out they count a part of what the others count. To leave out the others
/// would hide traffic.
#[test]
fn a_better_basis_that_counts_a_part_replaces_nothing() {
    let mut world = World::new(50.0);
    for _ in 0..30 {
        world.pass(|number| {
            let requests = by(1, number, Basis::Requests, 1.0);
            vec![requests, by(2, number, Basis::Reports, 0.1)]
        });
        assert_eq!(basis(&world), None);
    }
}

/// Processes that count roots are not those that count all requests.
#[test]
fn processes_of_one_service_may_count_differently() {
    let mut world = World::new(50.0);
    for _ in 0..10 {
        world.pass(|number| {
            let roots = by(1, number, Basis::Roots, 1.0);
            vec![
                roots,
                by(2, number, Basis::Requests, 0.5),
                by(3, number, Basis::Calls, 1.0),
            ]
        });
    }
    let plan = world.plan.service(ServiceId(1)).expect("it was counted");
    let left_out = Basis::ALL.map(|basis| plan.leaves_out(basis));
    assert_eq!(left_out, [false, false, false, true, true]);
}

/// Root spans of a service that is also counted by metrics, or by a Collector.
#[test]
fn spans_are_better_than_calls_and_worse_than_metrics() {
    for (better, worse) in [
        (Basis::Requests, Basis::Spans),
        (Basis::Roots, Basis::Spans),
        (Basis::Spans, Basis::Calls),
    ] {
        let mut world = World::new(50.0);
        for _ in 0..10 {
            world.pass(|number| vec![by(1, number, better, 1.0), by(2, number, worse, 1.1)]);
        }
        assert_eq!(basis(&world), Some(better));
        let plan = world.plan.service(ServiceId(1)).expect("it was counted");
        assert!(plan.leaves_out(worse) && !plan.leaves_out(better));
    }
    // The spans of a part of the processes, as while metrics are being rolled out.
    let mut world = World::new(50.0);
    for _ in 0..10 {
        world.pass(|number| {
            let requests = by(1, number, Basis::Requests, 0.5);
            vec![requests, by(2, number, Basis::Spans, 1.0)]
        });
    }
    assert_eq!(basis(&world), None, "both are counted");
}
