//! The results of a soak, as the table of `docs/limits.md`.

use std::time::Duration;

use crate::Mode;
use crate::failover::{Failover, Kind};
use crate::soak::Outcome;

/// One failover's row.
pub fn line(number: usize, failover: &Failover) -> String {
    let Failover {
        kind,
        to_first_acknowledged,
        held,
        tail_bytes,
        looked_at,
        lost,
        ..
    } = failover;
    format!(
        "failover {number}, {}: first report acknowledged after {:.1} s; replication held up for \
         {:.1} s, {tail_bytes} bytes of log gone, {lost} of {looked_at} acknowledged reports lost",
        kind.name(),
        to_first_acknowledged.as_secs_f64(),
        held.as_secs_f64(),
    )
}

/// Prints the table.
pub fn print(outcomes: &[Outcome], took: Duration) {
    println!(
        "| | failovers | first report acknowledged after | plans late | acknowledged reports lost |"
    );
    println!("|---|---|---|---|---|");
    for outcome in outcomes {
        let mode = match outcome.mode {
            Mode::Synchronous => "synchronous",
            Mode::Asynchronous => "asynchronous",
        };
        for kind in [
            Kind::Machine,
            Kind::Postgres,
            Kind::Patroni,
            Kind::SwitchOver,
        ] {
            print_kind(mode, kind, outcome);
        }
    }
    for outcome in outcomes {
        let Outcome {
            mode,
            reports,
            repeats,
            names,
            polls,
            plans,
            faults,
            ..
        } = outcome;
        let slowest = polls
            .iter()
            .map(|seen| seen.slowest)
            .max()
            .unwrap_or_default();
        let asked: u64 = polls.iter().map(|seen| seen.polls).sum();
        let back: usize = polls.iter().map(|seen| seen.back.len()).sum();
        println!(
            "\n{mode:?}: {reports} reports with {names} names acknowledged, {repeats} repeats; \
             {asked} polls, the slowest {:.0} ms, {back} back to an older plan; {} windows, {} without a plan, the latest plan \
             {:.1} s after it was due; {} faults",
            slowest.as_secs_f64() * 1000.0,
            plans.due,
            plans.missing,
            plans.latest.as_secs_f64(),
            faults.len(),
        );
    }
    println!("\ntook {} s", took.as_secs());
}

fn print_kind(mode: &str, kind: Kind, outcome: &Outcome) {
    let numbered = outcome.failovers.iter().enumerate();
    let of_kind: Vec<_> = numbered
        .filter(|(_, failover)| failover.kind == kind)
        .collect();
    let mut seconds: Vec<f64> = of_kind
        .iter()
        .map(|(_, failover)| failover.to_first_acknowledged.as_secs_f64())
        .collect();
    seconds.sort_unstable_by(f64::total_cmp);
    let (Some(least), Some(most)) = (seconds.first(), seconds.last()) else {
        return;
    };
    let late: usize = of_kind.iter().map(|(at, _)| outcome.plans.late[*at]).sum();
    let lost: usize = of_kind.iter().map(|(_, failover)| failover.lost).sum();
    println!(
        "| {mode}: {} | {} | {least:.1} to {most:.1} s | {late} | {lost} |",
        kind.name(),
        of_kind.len(),
    );
}
