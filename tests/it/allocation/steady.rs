//! Traffic that stays as it is.

use super::fleet::{Fleet, policy};

#[test]
fn steady_traffic_keeps_the_budget() {
    let mut fleet = Fleet::new(Fleet::zipf(3_000, 100_000.0), policy(500.0), 1);
    let mut errors = Vec::new();
    for interval in 0..60 {
        let kept = fleet.pass();
        if interval >= 20 {
            errors.push(kept / 500.0 - 1.0);
        }
    }
    let bias = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(bias.abs() <= 0.01, "bias {bias}");
}
