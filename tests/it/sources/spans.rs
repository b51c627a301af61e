//! Root spans that reach replicas in exports of any kind: each is counted once.

use chrono::TimeDelta;
use uuid::Uuid;
use weir::allocation::{Basis, OperationPlan, Plan, ServicePlan};
use weir::clock::{Clock, SystemClock};
use weir::ingest::{Counted, Exported, Point, SourceExport, Temporality, Weight};
use weir::snapshot::{Published, Snapshot};
use weir::telemetry::metrics::CountBasis;

use super::{BUCKET, Replica, SECOND, now_ns};
use crate::jobs::OPERATION;
use crate::support::postgres::TestDatabase;

/// The spans with these numbers, which ended then. Each stands for two and a half requests, if it says so.
fn spans(
    numbers: impl Iterator<Item = u64>,
    weight: Option<Weight>,
    ended_ns: u64,
) -> SourceExport<'static> {
    let span = |number: u64| Point {
        // Evenly distributed, as digests are.
        series: number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        counted: Counted::Span {
            at_start: if number.is_multiple_of(3) {
                "POST"
            } else {
                "GET"
            }
            .into(),
            weight,
        },
        temporality: Temporality::Delta,
        start_ns: ended_ns - SECOND,
        time_ns: ended_ns + number,
        value: 1,
    };
    SourceExport {
        key: Uuid::from_u128(1),
        agent: "shop/1".into(),
        service: "shop".into(),
        points: numbers.map(span).collect(),
    }
}

fn weighed(numbers: impl Iterator<Item = u64>, ended_ns: u64) -> SourceExport<'static> {
    spans(numbers, Some(Weight::of_probability(0.4)), ended_ns)
}

fn recently() -> u64 {
    now_ns() - 30 * SECOND
}

async fn sums(replica: &Replica) -> (u64, u64) {
    let counted = replica.counted().await;
    counted
        .values()
        .fold((0, 0), |sums, of| (sums.0 + of.0, sums.1 + of.1))
}

/// Two replicas take the same spans at the same time, in exports of twelve, and joined to exports of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_count_each_span_once() {
    const SPANS: u64 = 240;
    let (database, ended_ns) = (TestDatabase::create().await, recently());
    let replicas = [
        Replica::start(&database).await,
        Replica::start(&database).await,
    ];
    for round in 0..6 {
        let mut sending = Vec::new();
        for (at, replica) in replicas.iter().enumerate() {
            // The same spans are in other exports at the other replica.
            let size = [12, 20][at];
            let first = round * SPANS / 6;
            for from in (first..first + SPANS / 6).step_by(size as usize) {
                let export = weighed(from..(from + size).min(SPANS), ended_ns);
                let ingest = replica.ingest.clone();
                sending.push(tokio::spawn(
                    async move { ingest.export(vec![export]).await },
                ));
            }
        }
        for sent in sending {
            assert_eq!(sent.await.unwrap().unwrap(), Exported::default());
        }
    }
    for replica in &replicas {
        let again = replica
            .ingest
            .export(vec![weighed(0..SPANS, ended_ns)])
            .await;
        assert_eq!(again.unwrap(), Exported::default());
    }
    assert_eq!(sums(&replicas[0]).await, (5 * SPANS / 2, SPANS));
    let counted = replicas[0].counted().await;
    let post = counted[&("shop".to_owned(), "POST".to_owned())];
    assert_eq!(post.1, SPANS / 3);
    assert!(post.0.abs_diff(5 * SPANS / 6) <= 20, "{counted:?}");
}

/// Batches leave SDKs several times a second. Each covers the time since the one before, and no more: of a bucket that is
/// said to be in, nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_of_a_source_cover_each_time_once() {
    let (database, ended_ns) = (TestDatabase::create().await, recently());
    let replica = Replica::start(&database).await;
    for round in 0..10 {
        let export = weighed(4 * round..4 * round + 4, ended_ns + round * SECOND / 5);
        assert_eq!(
            replica.ingest.export(vec![export]).await.unwrap(),
            Exported::default()
        );
    }
    let deltas = replica.deltas().await;
    let reports = deltas.iter().flat_map(|delta| &delta.reports);
    let mut covered: Vec<_> = reports.map(|of| (of.sequence, of.span)).collect();
    covered.sort();
    covered.dedup();
    assert_eq!(covered.len(), 10);
    for pair in covered.windows(2) {
        assert_eq!(pair[1].1.start, pair[0].1.end, "{covered:?}");
    }
}

/// A span that does not say with which probability it was sampled stands for what was served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_that_says_nothing_stands_for_what_its_name_was_served() {
    let (database, ended_ns) = (TestDatabase::create().await, recently());
    let replica = Replica::start(&database).await;
    let first = replica.ingest.export(vec![weighed(0..4, ended_ns)]).await;
    assert_eq!(first.unwrap(), Exported::default());
    assert_eq!(sums(&replica).await, (10, 4));
    // Of the service, 0.25 is served for what the plan does not list.
    replica.serve(None).await;
    let next = replica
        .ingest
        .export(vec![spans(4..9, None, ended_ns)])
        .await;
    assert_eq!(next.unwrap(), Exported::default());
    assert_eq!(sums(&replica).await, (10 + 4 * 5, 9));
}

/// SDKs poll once an interval, so what began before half of one after a plan was sampled by the plan before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_stands_for_what_was_served_when_it_began() {
    let (database, ended_ns) = (TestDatabase::create().await, recently());
    let replica = Replica::start(&database).await;
    let export = async |numbers, ended_ns| {
        let export = spans(numbers, None, ended_ns);
        let exported = replica.ingest.export(vec![export]).await.unwrap();
        assert_eq!(exported, Exported::default());
        sums(&replica).await
    };
    // Before the first plan, nobody knows what was served: each stands for itself.
    assert_eq!(export(3..6, ended_ns).await, (3, 3));
    replica.dictionary.refresh().await.unwrap();
    let names = replica.dictionary.names();
    let planned = |name: &str, probability: f64| OperationPlan {
        operation: names.find("shop", name).expect("it was counted"),
        service: names.find_service("shop").expect("it was counted"),
        probability,
        // It was halved: a sixteenth of a logarithm, eleven times.
        turned: 11,
        ..OPERATION
    };
    let mut operations = vec![planned("GET", 0.125), planned("POST", 0.05)];
    operations.sort_by_key(|of| of.operation);
    let plan = Plan {
        number: 1,
        services: vec![ServicePlan {
            service: operations[0].service,
            ..ServicePlan::default()
        }],
        operations,
        ..Plan::default()
    };
    let at = SystemClock.now() - TimeDelta::seconds(600);
    let published = Published {
        identity: Uuid::from_u128(1),
        at,
    };
    let snapshot = Snapshot::build(plan, Some(published), &names);
    replica.served.install(snapshot);
    let published_ns = at.timestamp_millis().unsigned_abs() * 1_000_000;
    let half = BUCKET.as_nanos() as u64 / 2;
    // Two of GET and one of POST.
    let before = export(6..9, published_ns + half).await;
    assert_eq!(before.1, 6);
    assert!((before.0 - 3).abs_diff(4 + 4 + 10) <= 1, "{before:?}");
    let after = export(9..12, published_ns + half + 2 * SECOND).await;
    assert!((after.0 - before.0).abs_diff(8 + 8 + 20) <= 1, "{after:?}");
    // Once it is known that no SDK asks, nobody applies what is served.
    let mut plan = replica.served.load().plan().clone();
    plan.services[0].polls.windows = 2;
    replica
        .served
        .install(Snapshot::build(plan, Some(published), &names));
    let last = export(12..15, published_ns + half + 3 * SECOND).await;
    assert!(last.0 - after.0 <= 4 && last.1 - after.1 == 3, "{last:?}");
}

/// Spans are left out where something better counts, and are counted again when it does not. Within an
/// interval, nothing is stored for those that are left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_left_out_where_something_better_counts() {
    let (database, ended_ns) = (TestDatabase::create().await, recently());
    let replica = Replica::start(&database).await;
    let export = async |numbers: std::ops::Range<u64>| {
        let exported = replica
            .ingest
            .export(vec![weighed(numbers, ended_ns)])
            .await;
        assert_eq!(exported.unwrap(), Exported::default());
        sums(&replica).await
    };
    assert_eq!(export(0..4).await, (10, 4));
    let left_out = || {
        let left_out = &replica.metrics.source_requests_left_out;
        left_out.of(CountBasis::Spans).get()
    };
    for (better, requests) in [
        (Basis::Requests, 10),
        (Basis::Roots, 20),
        (Basis::Reports, 30),
    ] {
        replica.serve(Some(better)).await;
        assert_eq!(export(4..8).await, (10, 4), "{better:?}");
        assert_eq!(left_out(), requests);
    }
    let deltas = replica.deltas().await;
    let reports = deltas.iter().flat_map(|delta| &delta.reports);
    let newest = reports.map(|report| report.sequence).max();
    assert_eq!(newest, Some(1), "the source was heard within an interval");
    for none_better in [Some(Basis::Spans), None] {
        replica.serve(none_better).await;
        assert_eq!(export(8..12).await, (20, 8));
    }
    assert_eq!(left_out(), 30);
}
