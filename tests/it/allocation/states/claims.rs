//! Counts out of all proportion to everything known.

use weir::allocation::{AgentId, Hold, ServiceId};

use super::super::agents::{Sent, World, sent};
use super::{BUDGET, assert_kept, mean, of};

/// An agent claims 10¹² requests of a service five times, of which it says none was sampled, and falls silent. Its
/// last report ends early in the next window, or with its own.
fn claims(service: u32, last: Option<f64>) {
    let mut world = World::settled(BUDGET, 4, 6);
    let claimed = |number, ends| {
        let claim = Sent {
            stated: 0.0,
            counts: vec![(service, 90, 1_000_000_000_000)],
            ends,
            ..sent(7, number)
        };
        [vec![claim], of(1..=4, number)].concat()
    };
    let before = world.plan.fleet.offered;
    for ends in [1.0; 5].into_iter().chain(last) {
        world.pass(|number| claimed(number, ends));
        let claims = &world.plan.claims;
        assert_eq!(claims.len(), 1, "{claims:?}");
        let claim = (claims[0].agent, claims[0].service);
        assert_eq!(claim, (AgentId(7), ServiceId(service)));
        assert_eq!(claims[0].offered, 1_000_000_000_000);
        assert_eq!(world.plan.fleet.hold, Hold::None);
        let offered = world.plan.fleet.offered;
        assert!((offered / before - 1.0).abs() < 0.02, "{offered}");
        // The others' traffic goes on being held to the budget.
        let operations = world.plan.operations.iter();
        let kept: f64 = operations.map(|of| of.probability * of.offered).sum();
        assert!((kept / BUDGET - 1.0).abs() < 0.02, "{kept}");
    }
    let more = |number| -> Vec<Sent> {
        let agents = of(1..=4, number).into_iter();
        agents.map(|sent| sent.times(3.0)).collect()
    };
    mean(&mut world, 2, more);
    for _ in 0..12 {
        assert_kept(world.pass(more), 0.05);
        assert!(world.plan.claims.is_empty());
        assert_eq!(world.plan.fleet.hold, Hold::None);
    }
}

#[test]
fn a_claim_out_of_all_proportion_is_held_apart_and_named() {
    claims(9, None);
}

#[test]
fn the_end_of_a_claim_is_held_apart_when_its_agent_has_fallen_silent() {
    for ends in [0.01, 0.1, 0.5, 0.9] {
        claims(9, Some(ends));
        claims(1, Some(ends));
    }
}

#[test]
fn a_claim_on_a_service_of_others_is_held_apart_and_named() {
    claims(1, None);
}

#[test]
fn a_claim_that_goes_on_is_believed() {
    let mut world = World::settled(BUDGET, 4, 6);
    let grown = |number| {
        let much = Sent {
            stated: 0.0,
            counts: vec![(9, 90, 10_000_000_000)],
            ..sent(7, number)
        };
        [vec![much], of(1..=4, number)].concat()
    };
    world.pass(grown);
    assert_eq!(world.plan.claims.len(), 1);
    mean(&mut world, 14, grown);
    assert!(world.plan.claims.is_empty(), "{:?}", world.plan.claims);
    assert_kept(world.pass(grown), 0.05);
}
