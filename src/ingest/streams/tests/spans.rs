//! Root spans: each counts once, with its weight.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::said::Reason;
use super::super::*;
use super::{HOUR, NINE, SECOND, Stored, point};
use crate::ingest::{Temporality, Weight};

const NAMES_AT_START: [&str; 3] = ["GET", "POST", "nightly"];

/// A span that ended at this time.
fn span(number: u64, name: &'static str, probability: f64, ended_ns: u64) -> Point<'static> {
    let counted = Counted::Span {
        at_start: name.into(),
        weight: Some(Weight::of_probability(probability)),
    };
    // As evenly distributed as digests are.
    let series = super::super::phase(number, 5);
    let mut point = point(series, counted, ended_ns - SECOND, ended_ns, 1);
    point.temporality = Temporality::Delta;
    point
}

fn sums(counted: &[(String, u64, u64)]) -> (u64, u64) {
    counted.iter().fold((0, 0), |(offered, sampled), of| {
        (offered + of.1, sampled + of.2)
    })
}

proptest! {
    /// Exports arrive in any order, several times, and joined with others. What is counted is every span once,
    /// and the sum of all weights but for a part of one request.
    #[test]
    fn every_span_counts_once_with_its_weight(
        probabilities in prop::collection::vec(0.001..1.0_f64, 30),
        exports in prop::collection::vec(
            prop::collection::btree_set(0..30_usize, 1..8), 1..40,
        ),
    ) {
        let mut stored = Stored::default();
        let (mut offered, mut sampled) = (0, 0);
        for (at, export) in exports.iter().enumerate() {
            let spans = export.iter().map(|number| {
                let name = NAMES_AT_START[number % 3];
                span(*number as u64, name, probabilities[*number], NINE + *number as u64 * SECOND)
            });
            let now = NINE + 60 * SECOND + at as u64 * SECOND;
            let spans: Vec<Point<'_>> = spans.collect();
            let counted = stored.take(spans, now);
            prop_assert!(counted.iter().all(|of| of.2 <= of.1));
            let new = sums(&counted);
            offered += new.0;
            sampled += new.1;
            let bytes = encode(&mut stored.state, now);
            prop_assert_eq!(decode(&bytes), Ok(stored.state.clone()));
        }
        let all: BTreeSet<usize> = exports.into_iter().flatten().collect();
        prop_assert_eq!(sampled, all.len() as u64);
        let weights: f64 = all.iter().map(|number| 1.0 / probabilities[*number]).sum();
        prop_assert!((weights - offered as f64).abs() <= 1.001, "{offered} of {weights}");
        prop_assert!(stored.said.is_empty());
    }
}

/// A busy name and a rare one: neither gains by the rounding of single exports.
#[test]
fn parts_of_requests_are_counted_without_bias() {
    let mut stored = Stored::default();
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..3000 {
        let time_ns = NINE + number * SECOND;
        let mut spans = vec![span(2 * number, "GET", 0.3, time_ns)];
        if number % 10 == 0 {
            spans.push(span(2 * number + 1, "POST", 0.7, time_ns));
        }
        for (name, offered, _) in stored.take(spans, time_ns) {
            *all.entry(name).or_default() += offered;
        }
    }
    let (get, post) = (3000.0 / 0.3, 300.0 / 0.7);
    let sum: u64 = all.values().sum();
    assert!((sum as f64 - get - post).abs() <= 1.0, "{all:?}");
    // Five standard deviations of what the rounding of single exports may give to the other one.
    assert!(
        (all["POST"] as f64 - post).abs() < 5.0 * 300_f64.sqrt() / 2.0,
        "{all:?}"
    );
}

#[test]
fn spans_that_cannot_be_counted_are_said() {
    let mut stored = Stored::default();
    let mut without_a_time = span(1, "GET", 0.5, NINE);
    without_a_time.time_ns = 0;
    let old = span(2, "GET", 0.5, NINE - HOUR - SECOND);
    let good = span(3, "GET", 0.5, NINE - HOUR / 2);
    let counted = stored.take(vec![without_a_time, old, good], NINE);
    assert_eq!(sums(&counted), (2, 1));
    let told = [Reason::NoTime, Reason::TooOld].map(|reason| stored.said.of(reason));
    assert_eq!((told, stored.said.rejected()), ([1, 1], 2));
    // Twenty minutes later the span is forgotten, so one that is as old may have been counted.
    let later = NINE + 1200 * SECOND;
    let counted = stored.take(vec![span(4, "GET", 0.5, later)], later);
    assert_eq!(sums(&counted), (2, 1));
    let counted = stored.take(vec![span(3, "GET", 0.5, NINE - HOUR / 2)], later);
    assert_eq!((counted, stored.said.of(Reason::Forgotten)), (vec![], 1));
}

/// A state that was lost knows nothing of the spans before.
#[test]
fn after_a_lost_state_only_later_spans_count() {
    let mut stored = Stored {
        state: SourceState::lost(NINE),
        ..Stored::default()
    };
    let counted = stored.take(vec![span(1, "GET", 0.5, NINE - SECOND)], NINE + SECOND);
    assert_eq!((counted, stored.said.of(Reason::Forgotten)), (vec![], 1));
    let counted = stored.take(vec![span(2, "GET", 0.5, NINE + SECOND)], NINE + SECOND);
    assert_eq!(sums(&counted), (2, 1));
}

/// What docs/sources.md says of the cost.
#[test]
fn a_span_takes_few_bytes_and_a_source_is_bounded() {
    let mut stored = Stored::default();
    for export in 0..120 {
        let time_ns = NINE + export * 5 * SECOND;
        let spans = (0..5).map(|at| span(export * 5 + at, "GET", 0.01, time_ns));
        stored.take(spans.collect(), time_ns);
    }
    let bytes = encode(&mut stored.state, NINE + 600 * SECOND).len();
    assert!((2500..4500).contains(&bytes), "{bytes} bytes for 600 spans");
    let spans = (0..20_000).map(|at| span(1_000_000 + at, "GET", 1e-12, NINE + 600 * SECOND + at));
    let counted = stored.take(spans.collect(), NINE + 610 * SECOND);
    assert_eq!(sums(&counted), (20_000 * Weight::MOST, 20_000));
    let bytes = encode(&mut stored.state, NINE + 610 * SECOND).len();
    assert!(bytes <= codec::LARGEST, "{bytes} bytes");
    let remembered = stored.state.seen.count();
    assert!(
        (seen::SPANS * 7 / 8..=seen::SPANS).contains(&remembered),
        "{remembered}"
    );
}
