//! Courses that once broke a promise, as they were found.

use super::operations::Op::*;
use super::play;

/// Of the probabilities that could stay, the last one that was moved made up for more than was
/// missing: a plan for 10 traces a second would have spent 10.02.
#[test]
fn what_stays_never_spends_more_than_its_targets() {
    let course = [
        Unheard {
            replica: 0,
            writes: 1,
        },
        Tick { order: 0 },
        Tick { order: 0 },
        Lose { agent: 0 },
        Disappear { operation: 39 },
        Tick { order: 0 },
        Tick { order: 0 },
        Tick { order: 0 },
    ];
    assert_eq!(play(2, &course), Ok(()));
}

/// Retention began at the clock's time at the start of the process. After a start with a clock a
/// day ahead, the marks were deleted, and once the clock was right, a report was counted again.
#[test]
fn a_start_with_a_clock_ahead_costs_no_marks() {
    let course = [
        Tick { order: 0 },
        Tick { order: 0 },
        Clocks { seconds: 86_400 },
        Restart {
            replica: 0,
            in_order: true,
        },
        Restart {
            replica: 1,
            in_order: true,
        },
        Tick { order: 0 },
        Tidy { replica: 0 },
        Tidy { replica: 1 },
        Clocks { seconds: 0 },
        Tick { order: 0 },
        Again {
            agent: 0,
            last: 2,
            to: 0,
        },
    ];
    assert_eq!(play(2, &course), Ok(()));
}

/// An agent was replaced while the database was away. Its last counts died with it, and what it used to
/// count was kept free for a day: 6.4 of 10 traces a second were kept.
#[test]
fn an_agent_that_was_replaced_while_the_database_was_away_is_not_missing() {
    let course = [
        Tick { order: 0 },
        Tick { order: 1 },
        DatabaseAway,
        ReplaceAgent { agent: 0 },
        Disappear { operation: 135 },
        Tick { order: 4 },
        Tick { order: 5 },
        Tick { order: 5 },
        Tick { order: 1 },
        Tick { order: 4 },
        Tick { order: 1 },
    ];
    assert_eq!(play(2, &course), Ok(()));
}

/// An agent was replaced while most of the traffic of a service ended: its successor counted so much less
/// that it was not taken for one.
#[test]
fn an_agent_that_is_replaced_while_traffic_falls_is_not_missing() {
    let course = [
        Tick { order: 0 },
        Tick { order: 0 },
        Disappear { operation: 12 },
        ReplaceAgent { agent: 0 },
    ];
    assert_eq!(play(2, &course), Ok(()));
}

/// SDKs behind a replica that was cut off held an old plan while traffic exploded. What they sampled was taken for
/// what SDKs usually keep, and for hours 8.6 of 10 traces a second were kept.
#[test]
fn an_old_plan_behind_a_replica_that_is_cut_off_is_no_habit_of_sdks() {
    let ticks = |count| std::iter::repeat_n(Tick { order: 0 }, count);
    let cut_early = [
        Tick { order: 0 },
        Cut { replica: 1 },
        Explode { operation: 43 },
    ];
    let course: Vec<_> = cut_early.into_iter().chain(ticks(3)).collect();
    assert_eq!(play(2, &course), Ok(()));
    let course: Vec<_> = ticks(10)
        .chain([Cut { replica: 2 }])
        .chain(ticks(6))
        .chain([Explode { operation: 47 }])
        .chain(ticks(5))
        .collect();
    assert_eq!(play(3, &course), Ok(()));
}

/// A plan was made under a clock five minutes ahead. The next one left out what had come in since the last window that
/// was settled.
#[test]
fn what_came_in_before_a_clock_was_set_back_is_read() {
    let course = [Clocks { seconds: 300 }, Tick { order: 0 }];
    for _ in 0..4 {
        assert_eq!(play(2, &course), Ok(()));
    }
}
