//! What the arena says of classes, on one seed: `docs/arena.md` has the table of all seeds.

#![allow(
    clippy::unwrap_used,
    reason = "the arena is a bench, which stops where it cannot go on"
)]

#[allow(dead_code, reason = "the test needs no table")]
#[path = "../benches/arena/classes/mod.rs"]
mod classes;
#[allow(dead_code, reason = "the test needs no table")]
#[path = "../benches/arena/statistics.rs"]
mod statistics;

use classes::judge::Measured;
use classes::workload::{BUDGET, Fleet};
use classes::{CONTENDERS, bout};
use weir_allocation::Class;

/// The contenders with their figures.
fn played() -> Vec<(&'static str, Measured)> {
    let names = CONTENDERS.iter().map(|(name, _)| *name);
    names.zip(bout(&Fleet::new(), 1)).collect()
}

#[test]
fn weir_alone_keeps_its_budget_and_every_error_up_to_the_cap() {
    let played = played();
    let cap = Class::Error.by_default(BUDGET).cap;
    for (name, of) in &played {
        let is_weir = *name == "Weir";
        let keeps = of.calm.off() <= 0.05 && of.storm.traces_per_second() <= 1.05 * BUDGET;
        assert_eq!(keeps, is_weir, "{name}: {of:?}");
        // Head sampling alone does not know errors.
        let knows_errors = !name.starts_with("Edgar");
        let errors = [of.calm.kept(Class::Error), of.storm.other_errors()];
        assert!(
            errors.iter().all(|kept| (*kept >= 0.97) == knows_errors),
            "{name}: {of:?}"
        );
        let knows_tagged = is_weir || !knows_errors;
        let tagged = of.calm.kept(Class::Tagged);
        assert_eq!(tagged >= 0.97, knows_tagged, "{name}: {of:?}");
        // Each kept trace stands for as many as it should.
        assert!(of.calm.total_off() < 0.2, "{name}: {of:?}");
    }
    let (_, weir) = &played[0];
    let capped = (0.9 * cap..=1.05 * cap).contains(&weir.storm.stormy_errors());
    assert!(capped && weir.coverage >= 0.99, "{weir:?}");
}
