//! What exports add, and which state they leave.

mod model;
mod spans;

use std::borrow::Cow;

use proptest::prelude::*;
use uuid::Uuid;

use super::said::Reason;
use super::sorted::Sorted;
use super::*;
use crate::ingest::source::{Convention, Family, Temporality};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
/// 2026-11-20T09:00:00Z.
const NINE: u64 = 1_795_165_200 * SECOND;

fn at(now_ns: u64) -> Instants {
    Instants {
        now_ns,
        oldest_ns: now_ns - HOUR,
        interval_ns: 60 * SECOND,
    }
}

fn requests(name: &str) -> Counted<'_> {
    Counted::Requests {
        family: Family::Http,
        convention: Convention::Stable,
        at_start: Cow::Borrowed(name),
        at_end: None,
    }
}

fn roots(sampled: bool) -> Counted<'static> {
    Counted::Roots {
        sampled: Some(sampled),
    }
}

fn point(series: u64, counted: Counted<'_>, start_ns: u64, time_ns: u64, value: u64) -> Point<'_> {
    Point {
        series,
        counted,
        temporality: Temporality::Cumulative,
        start_ns,
        time_ns,
        value,
    }
}

fn export(points: Vec<Point<'_>>) -> SourceExport<'_> {
    SourceExport {
        key: Uuid::from_u128(7),
        agent: "shop/1".into(),
        service: "shop".into(),
        points,
    }
}

/// A source in the store, as its exports come one after the other.
#[derive(Default)]
struct Stored {
    state: SourceState,
    said: Said,
}

impl Stored {
    fn take(&mut self, points: Vec<Point<'_>>, now_ns: u64) -> Vec<(String, u64, u64)> {
        let export = export(points);
        let taken = take(self.state.clone(), &export, at(now_ns));
        let counts = taken.counts.map_or_else(Vec::new, |counts| counts.entries);
        self.said.add(taken.said);
        let entries = counts.iter().filter(|entry| entry.offered > 0);
        let told = entries.map(|of| (of.name.to_string(), of.offered, of.sampled));
        let told = told.collect();
        self.state = taken.next;
        told
    }
}

proptest! {
    #[test]
    fn a_state_comes_back(
        counters in prop::collection::btree_map(
            (any::<u64>(), prop_oneof![Just(0), any::<u64>()]),
            (any::<u64>(), any::<u64>()),
            0..50,
        ),
        times in prop::collection::vec(any::<u64>(), 0..64),
        series in prop::collection::btree_map(any::<u64>(), any::<u64>(), 0..50),
        weights in prop::collection::vec((".{0,20}", any::<u64>()), 0..5),
        slots in prop::collection::vec(
            (any::<u64>(), any::<u64>(), prop::collection::btree_set(any::<u64>(), 0..20)), 0..5,
        ),
        numbers: [u64; 4],
    ) {
        let counters = counters.into_iter();
        let mut state = SourceState {
            since_ns: numbers[0],
            forgotten_ns: numbers[1],
            best: Measure::Roots,
            conventions: state::Conventions(5),
            counted_until_ns: numbers[2],
            other_until_ns: numbers[3],
            counters: Sorted::of(
                counters
                    .map(|(key, (time_ns, value))| (key, state::Counter { time_ns, value }))
                    .collect(),
            ).expect("sorted"),
            deltas: deltas::Deltas {
                times,
                series: Sorted::of(series.into_iter().collect()).expect("sorted"),
                forgotten_ns: numbers[0],
            },
            weights,
            seen: seen::Seen {
                slots: slots
                    .into_iter()
                    .map(|(heard_ns, until_ns, digests)| seen::Slot {
                        heard_ns,
                        until_ns,
                        digests: digests.into_iter().collect(),
                    })
                    .collect(),
                forgotten_ns: numbers[2],
            },
            rest: numbers[1],
        };
        let bytes = encode(&mut state, NINE);
        prop_assert_eq!(decode(&bytes), Ok(state));
    }

    #[test]
    fn any_bytes_are_a_state_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let mut versioned = vec![1];
        versioned.extend(bytes);
        if let Ok(mut state) = decode(&versioned) {
            let _ = encode(&mut state, NINE);
        }
    }
}

#[test]
fn a_stream_that_is_shared_or_old_is_said_and_not_counted() {
    let mut stored = Stored::default();
    let old = NINE - 3 * 24 * HOUR;
    let minute = 60 * SECOND;
    let get = || requests("GET");
    // Nobody knows how much of it was counted before.
    assert_eq!(
        stored.take(vec![point(1, get(), old, NINE, 1000)], NINE),
        []
    );
    assert_eq!(stored.said.of(Reason::Baseline), 1);
    let next = NINE + minute;
    let counted = stored.take(vec![point(1, get(), old, next, 1030)], next);
    assert_eq!(counted, [("GET".to_owned(), 30, 0)]);
    // Another process of the same resource, which has sent for days to somebody else.
    let other = old + SECOND;
    let counted = stored.take(vec![point(1, get(), other, next, 9_000_000)], next);
    assert_eq!(counted, []);
    // A series that the first process did not have a minute ago counts whole.
    let (post, later) = (requests("POST"), next + minute);
    let counted = stored.take(vec![point(2, post, old, later, 4)], later);
    assert_eq!(counted, [("POST".to_owned(), 4, 0)]);
    // A smaller value of a stream that did not start again.
    let counted = stored.take(vec![point(1, get(), old, later, 17)], later);
    assert_eq!((counted, stored.said.of(Reason::Shared)), (vec![], 1));
    let counted = stored.take(vec![point(1, get(), old, later + 1, 1031)], later);
    assert_eq!(counted, [("GET".to_owned(), 1, 0)]);
    assert_eq!(stored.said.rejected(), 1);
}

#[test]
fn a_stream_without_a_start_begins_again_when_it_falls() {
    let mut stored = Stored::default();
    let mut counted = Vec::new();
    for (seconds, value) in [(0, 50), (60, 70), (120, 8), (90, 75), (180, 9)] {
        let time_ns = NINE + seconds * SECOND;
        let points = vec![point(1, requests("GET"), 0, time_ns, value)];
        counted.push(stored.take(points, NINE + 200 * SECOND));
    }
    let counted: Vec<u64> = counted.iter().flatten().map(|of| of.1).collect();
    assert_eq!(
        counted,
        [20, 8, 1],
        "the first is a baseline, the fourth was overtaken"
    );
}

#[test]
fn roots_are_split_by_the_requests_of_their_export() {
    let mut stored = Stored::default();
    let start = NINE - 60 * SECOND;
    let points = |time_ns: u64, values: [u64; 4]| {
        vec![
            point(1, requests("GET"), start, time_ns, values[0]),
            point(2, requests("POST"), start, time_ns, values[1]),
            point(3, roots(true), start, time_ns, values[2]),
            point(4, roots(false), start, time_ns, values[3]),
        ]
    };
    let counted = stored.take(points(NINE, [300, 100, 40, 160]), NINE);
    let names: Vec<_> = counted.iter().map(|of| (of.0.as_str(), of.1)).collect();
    assert_eq!(names, [("GET", 150), ("POST", 50)]);
    assert_eq!(counted.iter().map(|of| of.2).sum::<u64>(), 40);
    assert!(counted[0].2.abs_diff(30) <= 1, "{counted:?}");
    // More roots than requests: jobs that nobody asked for have no name.
    let next = NINE + 60 * SECOND;
    let counted = stored.take(points(next, [306, 102, 60, 160]), next);
    let names: Vec<_> = counted.iter().map(|of| (of.0.as_str(), of.1)).collect();
    assert_eq!(names, [("GET", 6), ("POST", 2), ("__other__", 12)]);
    // An export of roots alone, as of a body that was cut, is split as the last one.
    let later = next + 60 * SECOND;
    let counted = stored.take(vec![point(4, roots(false), start, later, 168)], later);
    let names: Vec<_> = counted.iter().map(|of| (of.0.as_str(), of.1)).collect();
    assert_eq!(names, [("GET", 6), ("POST", 2)]);
}

#[test]
fn requests_are_counted_by_one_measure() {
    let mut stored = Stored::default();
    let start = NINE - 60 * SECOND;
    let old = || Counted::Requests {
        family: Family::Http,
        convention: Convention::Old,
        at_start: "GET".into(),
        at_end: None,
    };
    let minute = |number: u64| NINE + number * 60 * SECOND;
    let sum = |counted: Vec<(String, u64, u64)>| counted.iter().map(|of| of.1).sum::<u64>();
    let counted = stored.take(vec![point(1, old(), start, minute(0), 10)], minute(0));
    assert_eq!(sum(counted), 10);
    // The rest of that collection comes in a body of its own.
    let rest = vec![point(3, roots(false), start, minute(0), 10)];
    assert_eq!(sum(stored.take(rest, minute(0))), 0);
    // The next collection: five more, by both conventions and as roots.
    let all = |time_ns: u64, value: u64| {
        vec![
            point(1, old(), start, time_ns, value),
            point(2, requests("GET"), start, time_ns, value),
            point(3, roots(false), start, time_ns, value),
        ]
    };
    assert_eq!(sum(stored.take(all(minute(1), 15), minute(1))), 5);
    assert_eq!(sum(stored.take(all(minute(2), 22), minute(2))), 7);
    // For good, even if an export holds requests alone.
    let counted = stored.take(vec![point(1, old(), start, minute(3), 50)], minute(3));
    assert_eq!(sum(counted), 0);
}

/// A process that names its requests over HTTP both ways, and its procedure calls the old way.
#[test]
fn of_two_conventions_of_a_family_one_counts() {
    let mut stored = Stored::default();
    let start = NINE - 60 * SECOND;
    let by = |family, convention, at_start: &'static str| Counted::Requests {
        family,
        convention,
        at_start: at_start.into(),
        at_end: None,
    };
    let points = |time_ns: u64, value: u64| {
        vec![
            point(
                1,
                by(Family::Http, Convention::Old, "GET"),
                start,
                time_ns,
                value,
            ),
            point(
                2,
                by(Family::Http, Convention::Stable, "GET"),
                start,
                time_ns,
                value,
            ),
            point(
                3,
                by(Family::Rpc, Convention::Old, "cart/add"),
                start,
                time_ns,
                value,
            ),
        ]
    };
    for (minute, value) in [(0, 5), (1, 12)] {
        let time_ns = NINE + minute * 60 * SECOND;
        let new = value - if minute == 0 { 0 } else { 5 };
        let counted = stored.take(points(time_ns, value), time_ns);
        let expected = ["GET", "cart/add"].map(|name| (name.to_owned(), new, 0));
        assert_eq!(counted, expected);
    }
}

/// As samplers report that count what they decide, without a start.
#[test]
fn what_a_sampler_decided_counts_as_it_is() {
    let mut stored = Stored::default();
    let decided = |series: u64, name: &'static str, seconds: u64, offered: u64, sampled: u64| {
        let counted = Counted::Decisions {
            at_start: name.into(),
            sampled,
        };
        let mut point = point(series, counted, 0, NINE + seconds * SECOND, offered);
        point.temporality = Temporality::Delta;
        point
    };
    let points = || vec![decided(1, "GET", 0, 100, 7), decided(2, "", 0, 4, 9)];
    let now = NINE + 30 * SECOND;
    let counted = stored.take(points(), now);
    assert_eq!(
        counted,
        [("GET".to_owned(), 100, 7), ("__other__".to_owned(), 4, 4)]
    );
    assert_eq!(stored.take(points(), now), [], "it was sent again");
    let next = vec![decided(1, "GET", 10, 3, 0)];
    let export = export(next);
    let taken = take(stored.state.clone(), &export, at(now));
    let counts = taken.counts.expect("has counts");
    assert_eq!(counts.window.start.0, milliseconds(NINE));
    assert_eq!(counts.window.end.0, milliseconds(NINE + 10 * SECOND));
    assert!(counts.sampled_known);
}

#[test]
fn streams_and_names_are_bounded_and_the_oldest_go_first() {
    let mut stored = Stored::default();
    let many = state::STREAMS as u64;
    let start = NINE - 60 * SECOND;
    let export = |first: u64, count: u64, time_ns: u64, value: u64| {
        let series = first..first + count;
        let name = |series: u64| Counted::Requests {
            family: Family::Http,
            convention: Convention::Stable,
            at_start: format!("GET {series}").into(),
            at_end: None,
        };
        series
            .map(|series| point(series, name(series), start, time_ns, value))
            .collect::<Vec<_>>()
    };
    let counted = stored.take(export(0, many + 5, NINE, 3), NINE);
    assert_eq!(counted.len(), NAMES);
    assert_eq!(counted.iter().map(|of| of.1).sum::<u64>(), 3 * many);
    assert_eq!(stored.said.of(Reason::TooMany), 5);
    let later = NINE + 60 * SECOND;
    assert_eq!(stored.take(export(0, 100, later, 4), later).len(), 100);
    // New ones take the place of those that were not heard for longest; a stream that was forgotten
    // begins with a baseline.
    let next = later + 60 * SECOND;
    let mut new = export(many, 50, next, 1);
    new.iter_mut()
        .for_each(|point| point.start_ns = next - SECOND);
    assert_eq!(stored.take(new, next).len(), 50);
    assert_eq!(stored.take(export(0, 100, next, 5), next).len(), 100);
    let again = stored.take(export(100, many - 100, next, 6), next);
    let sum = again.iter().map(|of| of.1).sum::<u64>();
    assert_eq!(sum, 3 * (many - 150), "fifty of them were forgotten");
    assert_eq!(stored.said.of(Reason::Baseline), 50);
    let bytes = encode(&mut stored.state, next);
    assert!(bytes.len() <= codec::LARGEST);
}

/// What docs/otlp.md says of the cost.
#[test]
fn a_stream_takes_few_bytes() {
    let mut stored = Stored::default();
    let points = |starts: &dyn Fn(u64) -> u64| {
        (0..400)
            .map(|number| {
                let series = super::phase(number, 1);
                point(
                    series,
                    requests("GET"),
                    starts(number),
                    NINE,
                    100_000 + number,
                )
            })
            .collect::<Vec<_>>()
    };
    let of_process = |_| NINE - 100 * SECOND;
    stored.take(points(&of_process), NINE);
    let bytes = encode(&mut stored.state, NINE).len();
    assert!((4800..6800).contains(&bytes), "{bytes} bytes");
    let mut stored = Stored::default();
    let of_series = |number| NINE - 100 * SECOND + super::phase(number, 2) % (60 * SECOND);
    stored.take(points(&of_series), NINE);
    let bytes = encode(&mut stored.state, NINE).len();
    assert!((6800..9200).contains(&bytes), "{bytes} bytes");
}
