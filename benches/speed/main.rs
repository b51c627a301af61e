//! How fast Weir is, each figure beside the limit it is compared with, measured in the same run.
//!
//! `cargo bench --bench speed` runs all; `cargo bench --bench speed -- polls reports` some. Nothing
//! here passes or fails: machines differ and are shared, so what counts is the ratio.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(dead_code, reason = "the tests' support is used in part")]

mod bare;
mod fleet;
mod growth;
mod polls;
mod reports;
mod wrk;

#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use support::{postgres, process};

/// What a bench waits for at most.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if wanted.first().is_some_and(|first| first == bare::ARGUMENT) {
        return bare::serve(&wanted[1]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    runtime.block_on(async {
        if asked("polls") {
            polls::run().await;
        }
        if asked("reports") {
            reports::run().await;
        }
        if asked("growth") {
            growth::run().await;
        }
    });
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
