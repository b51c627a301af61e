//! A changed interval: the next plan continues from a plan with longer or shorter windows.

use weir::allocation::{Plan, Timestamp, Window, WindowCounts};

use super::fleet::{WINDOW_MILLISECONDS, agent, count, counts, next, policy};

/// The counts of a window of this many seconds, from the start of the minute with this number.
fn seconds(minute: i64, length: i64, operations: Vec<(u32, u64)>) -> WindowCounts {
    let offered = operations.iter().map(|(_, offered)| offered).sum();
    let operations = operations
        .into_iter()
        .map(|(id, offered)| count(id, offered));
    let start = minute * WINDOW_MILLISECONDS;
    let mut heard = agent(1, offered);
    heard.covered_milliseconds = length * 1000;
    WindowCounts {
        window: Window {
            start: Timestamp(start),
            end: Timestamp(start + length * 1000),
        },
        ..counts(0, operations.collect(), vec![heard])
    }
}

/// A plan whose second operation has been silent for ten minutes.
fn silent_for_ten_minutes() -> Plan {
    let policy = policy(10.0);
    let both = seconds(0, 60, vec![(1, 6_000), (2, 600)]);
    let first = next(&Plan::genesis(&policy), &policy, &both);
    (1..=10).fold(first, |plan, minute| {
        next(&plan, &policy, &seconds(minute, 60, vec![(1, 6_000)]))
    })
}

#[test]
fn silence_is_counted_on_in_windows_of_the_new_length() {
    let before = silent_for_ten_minutes();
    assert_eq!(before.operations[1].silent_windows, 10);
    let shorter = next(&before, &policy(10.0), &seconds(11, 10, vec![(1, 1_000)]));
    assert_eq!(
        shorter.operations[1].silent_windows, 61,
        "ten minutes, and a window"
    );
    let longer = next(&before, &policy(10.0), &seconds(11, 300, vec![(1, 30_000)]));
    assert_eq!(
        longer.operations[1].silent_windows, 3,
        "ten minutes, and a window"
    );
}

#[test]
fn rates_and_probabilities_go_on() {
    let before = silent_for_ten_minutes();
    for length in [10_i64, 300] {
        let offered = 100 * length.unsigned_abs();
        let plan = next(
            &before,
            &policy(10.0),
            &seconds(11, length, vec![(1, offered)]),
        );
        let (old, new) = (before.operations[0], plan.operations[0]);
        assert!((new.offered / old.offered - 1.0).abs() < 0.05, "{new:?}");
        assert!(
            (new.probability / old.probability - 1.0).abs() < 0.1,
            "{new:?}"
        );
    }
}
