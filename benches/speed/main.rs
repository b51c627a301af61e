//! How fast Weir is: each figure next to the limit it is compared with, measured in the same run.
//!
//! `cargo bench --bench speed` runs all but the build; `cargo bench --bench speed -- polls start`
//! some; `-- growth --plot docs/growth.svg` draws the growth. Nothing here passes or fails: machines
//! differ and are shared, so what counts is the ratio. What is printed is Markdown, for
//! `docs/performance.md`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(dead_code, reason = "the tests' support is used in part")]

mod bare;
mod build;
mod cores;
mod cycle;
mod fleet;
mod growth;
mod grpc;
mod otlp;
mod pages;
mod plot;
mod polls;
mod reports;
mod solver;
mod start;
mod steer;
mod table;
mod tls;
mod wrk;

#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use support::{postgres, process};

/// The longest that a bench waits.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [bare::ARGUMENT, file, copies] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        return bare::serve(file, copies.parse().unwrap());
    }
    if let [grpc::ARGUMENT, file] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return grpc::serve(file);
    }
    let plot = arguments.iter().position(|given| given == "--plot");
    let plot = plot.map(|at| arguments[at + 1].as_str());
    let named = arguments.iter().map(String::as_str);
    let named: Vec<&str> = named
        .filter(|given| !given.starts_with('-') && Some(*given) != plot)
        .collect();
    let asked = |name| named.is_empty() || named.contains(&name);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    table::head();
    runtime.block_on(async {
        if asked("polls") {
            polls::run().await;
        }
        if asked("pages") {
            pages::run().await;
        }
        if asked("grpc") {
            grpc::run().await;
        }
        if asked("tls") {
            tls::run().await;
        }
        if asked("reports") {
            reports::run().await;
        }
        if asked("otlp") {
            otlp::run().await;
        }
        if asked("solver") {
            solver::run();
        }
        if asked("cycle") {
            cycle::run().await;
        }
        if asked("start") {
            start::run().await;
        }
        if asked("steer") {
            steer::run().await;
        }
        if asked("growth") {
            growth::run(plot).await;
        }
        // It takes as long as everything else together, so it runs only if it is named.
        if named.contains(&"build") {
            build::run();
        }
    });
}

/// The median.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
