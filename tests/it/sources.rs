//! Exports of sources, which send the values of streams to any replica: what is counted is what their
//! processes counted.

mod damaged;
mod spans;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use weir::allocation::{Basis, OVERFLOW_NAME, Plan, ServicePlan, Timestamp};
use weir::clock::{Clock, SystemClock};
use weir::ingest::{
    Committer, Convention, Counted, Exported, Family, Ingest, IngestError, Point, ReportLimits,
    SourceExport, Temporality,
};
use weir::names::Dictionary;
use weir::snapshot::{Served, Snapshot};
use weir::store::postgres::PostgresStore;
use weir::store::{BucketCounts, DictionaryLimits, Store};
use weir::telemetry::metrics::{CountBasis, Metrics};

use crate::support::postgres::TestDatabase;
use crate::support::stored::ReadWhole;

const EVERYTHING: std::ops::Range<Timestamp> = Timestamp(i64::MIN)..Timestamp(i64::MAX);
const SECOND: u64 = 1_000_000_000;
const BUCKET: Duration = Duration::from_secs(10);

/// One replica: its own connections, names and memory of states.
struct Replica {
    ingest: Ingest,
    store: Arc<dyn Store>,
    dictionary: Arc<Dictionary>,
    served: Arc<Served>,
    metrics: Arc<Metrics>,
}

impl Replica {
    async fn start(database: &TestDatabase) -> Self {
        let store = PostgresStore::connect(database.url(), 4).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let limits = DictionaryLimits {
            services: 100,
            operations_per_service: 2000,
            operations: 10_000,
        };
        let dictionary = Dictionary::new(Arc::clone(&store), limits, Arc::default());
        let dictionary = Arc::new(dictionary);
        dictionary.refresh().await.unwrap();
        let (committer, committing) = Committer::new(Arc::clone(&store), Arc::default());
        tokio::spawn(committing.run());
        let limits = ReportLimits {
            bucket: BUCKET,
            age: Duration::from_secs(3600),
        };
        let (clock, names) = (Arc::new(SystemClock), Arc::clone(&dictionary));
        let served = Arc::new(Served::new(Plan::default()));
        let metrics: Arc<Metrics> = Arc::default();
        let (counted, plans) = (Arc::clone(&metrics), Arc::clone(&served));
        Self {
            ingest: Ingest::new(
                names,
                committer,
                clock,
                limits,
                counted,
                plans,
                Arc::default(),
            ),
            store,
            dictionary,
            served,
            metrics,
        }
    }

    /// Serves a plan that leaves out what is worse than this.
    async fn serve(&self, basis: Option<Basis>) {
        self.dictionary.refresh().await.unwrap();
        let names = self.dictionary.names();
        let plan = Plan {
            number: 1,
            services: vec![ServicePlan {
                service: names.find_service("shop").expect("it was counted"),
                default_probability: 0.25,
                basis,
                ..ServicePlan::default()
            }],
            ..Plan::default()
        };
        self.served.install(Snapshot::build(plan, None, &names));
    }

    /// Serves the same plan, made when it was known that no SDK of its services polls.
    fn nobody_polls(&self) {
        let mut plan = self.served.load().plan().clone();
        for service in &mut plan.services {
            service.polls.windows = 2;
        }
        let names = self.dictionary.names();
        self.served.install(Snapshot::build(plan, None, &names));
    }

    async fn export(&self, points: &[Point<'_>]) -> Result<Exported, IngestError> {
        self.ingest.export(vec![source(1, points.to_vec())]).await
    }

    /// Offered and sampled requests by service and operation.
    async fn counted(&self) -> BTreeMap<(String, String), (u64, u64)> {
        self.dictionary.refresh().await.unwrap();
        let names = self.dictionary.names();
        let mut counted = BTreeMap::new();
        for entry in self
            .deltas()
            .await
            .iter()
            .flat_map(|delta| &delta.operations)
        {
            let named = names.name(entry.operation).unwrap();
            let key = (named.service.to_string(), named.operation.to_string());
            let sums: &mut (u64, u64) = counted.entry(key).or_default();
            sums.0 += entry.offered;
            sums.1 += entry.sampled;
        }
        counted
    }

    async fn deltas(&self) -> Vec<BucketCounts> {
        self.store.read_deltas(EVERYTHING).await.unwrap()
    }
}

fn source(number: u128, points: Vec<Point<'_>>) -> SourceExport<'_> {
    SourceExport {
        key: Uuid::from_u128(number),
        agent: format!("shop/{number}").into(),
        service: "shop".into(),
        points,
    }
}

fn now_ns() -> u64 {
    SystemClock.timestamp().0.unsigned_abs() * 1_000_000
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

/// One collection of a process that began a minute ago: requests of two names, and roots.
fn collection(number: u64, began_ns: u64) -> Vec<Point<'static>> {
    let time_ns = began_ns + (number + 1) * SECOND;
    let values = [
        (requests("GET"), 30 * number),
        (requests("POST"), 10 * number),
        (roots(true), 8 * number),
        (roots(false), 32 * number),
    ];
    let streams = values.into_iter().zip(1..);
    streams
        .map(|((counted, value), series)| point(series, counted, began_ns, time_ns, value))
        .collect()
}

/// Collections reach two replicas in any order and several times, many at once; half-way one replica is
/// gone, and what it was about to answer is sent to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_replicas_count_is_what_the_process_counted() {
    const COLLECTIONS: u64 = 24;
    let database = TestDatabase::create().await;
    let replicas = [
        Replica::start(&database).await,
        Replica::start(&database).await,
    ];
    let began_ns = now_ns() - 60 * SECOND;
    let mut sending = Vec::new();
    for number in 1..=COLLECTIONS {
        for (at, replica) in replicas.iter().enumerate() {
            if (number + at as u64).is_multiple_of(3) {
                continue;
            }
            let (ingest, points) = (replica.ingest.clone(), collection(number, began_ns));
            sending.push(tokio::spawn(async move {
                ingest.export(vec![source(1, points)]).await
            }));
        }
        if number == COLLECTIONS / 2 {
            // Nobody hears the answers of the first replica any more.
            sending.iter().for_each(tokio::task::JoinHandle::abort);
        } else if number % 5 == 0 {
            for sent in sending.drain(..) {
                if let Ok(answer) = sent.await {
                    answer.unwrap();
                }
            }
        }
    }
    for sent in sending {
        if let Ok(answer) = sent.await {
            answer.unwrap();
        }
    }
    let last = collection(COLLECTIONS, began_ns);
    for replica in &replicas {
        let exported = replica.export(&last).await.unwrap();
        assert_eq!(exported, Exported::default());
    }
    let counted = replicas[0].counted().await;
    let sums = counted
        .values()
        .fold((0, 0), |all, of| (all.0 + of.0, all.1 + of.1));
    assert_eq!(sums, (40 * COLLECTIONS, 8 * COLLECTIONS), "{counted:?}");
    let of = |name: &str| counted[&("shop".to_owned(), name.to_owned())].0;
    // Each collection is split by its own requests.
    assert!(
        of("GET").abs_diff(30 * COLLECTIONS) <= COLLECTIONS,
        "{counted:?}"
    );
    assert_eq!(of("GET") + of("POST"), 40 * COLLECTIONS);
    // Reports follow each other without a gap, so the plan knows that nothing is missing.
    let deltas = replicas[0].deltas().await;
    let reports = deltas.iter().flat_map(|delta| &delta.reports);
    let mut sequences: Vec<u64> = reports.map(|report| report.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, expected);
}

/// The first value of a process is counted over the time since its start, a pause over the pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_spread_over_the_time_in_which_they_were_counted() {
    let database = TestDatabase::create().await;
    let replica = Replica::start(&database).await;
    let now = now_ns();
    let began_ns = now - 1800 * SECOND;
    let export = |ago: u64, value: u64| {
        vec![point(
            1,
            requests("GET"),
            began_ns,
            now - ago * SECOND,
            value,
        )]
    };
    for (ago, value) in [(1200, 6000), (0, 6120)] {
        let exported = replica.export(&export(ago, value)).await.unwrap();
        assert_eq!(exported, Exported::default());
    }
    let deltas = replica.deltas().await;
    // Ten a second for ten minutes, then 0.1 a second for twenty.
    let half = Timestamp((now / 1_000_000).cast_signed() - 1_200_000);
    let edge = 10_000;
    for delta in &deltas {
        let offered: u64 = delta.operations.iter().map(|entry| entry.offered).sum();
        let bucket = delta.bucket;
        if bucket.start.0 > (began_ns / 1_000_000).cast_signed() && bucket.end <= half {
            assert!((99..=101).contains(&offered), "{bucket:?}: {offered}");
        } else if bucket.start > half && bucket.end.0 < (now / 1_000_000).cast_signed() - edge {
            assert!(offered <= 2, "{bucket:?}: {offered}");
        }
    }
    assert!(deltas.len() >= 180, "{}", deltas.len());
    let all: u64 = replica.counted().await.values().map(|of| of.0).sum();
    assert_eq!(all, 6120);
}

/// A body may have many sources; nothing is said of it before all are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_many_sources_is_counted_whole_or_sent_again() {
    const SOURCES: u64 = 300;
    let database = TestDatabase::create().await;
    let replica = Replica::start(&database).await;
    let now = now_ns();
    let body = || {
        let of = |number: u64| {
            let points = vec![point(1, roots(false), now - SECOND, now, number)];
            source(u128::from(number), points)
        };
        (1..=SOURCES).map(of).collect::<Vec<_>>()
    };
    let (one, other) = tokio::join!(replica.ingest.export(body()), replica.ingest.export(body()));
    assert_eq!(
        [one.unwrap(), other.unwrap()],
        [Exported::default(), Exported::default()]
    );
    let other_name = ("shop".to_owned(), OVERFLOW_NAME.to_owned());
    let all = SOURCES * (SOURCES + 1) / 2;
    assert_eq!(
        replica.counted().await,
        BTreeMap::from([(other_name, (all, 0))])
    );
    replica.store.close().await;
    let refused = replica.ingest.export(body()).await;
    assert_eq!(
        refused.unwrap(),
        Exported::default(),
        "nothing in it is new"
    );
    let next = vec![source(
        1,
        vec![point(1, roots(false), now - SECOND, now + 1, 9)],
    )];
    let refused = replica.ingest.export(next).await;
    assert!(matches!(refused, Err(IngestError::Store(_))), "{refused:?}");
}

/// Requests that something better counts are left out for good, and their source is still followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_sources_the_best_is_counted() {
    let database = TestDatabase::create().await;
    let replica = Replica::start(&database).await;
    let began_ns = now_ns() - 60 * SECOND;
    let export = async |number: u64, counted: Counted<'static>, at: u64, value: u64| {
        let stream = point(1, counted, began_ns, began_ns + at * SECOND, value);
        let exports = vec![source(number.into(), vec![stream])];
        replica.ingest.export(exports).await.unwrap();
        let counted = replica.counted().await;
        counted.values().map(|of| of.0).sum::<u64>()
    };
    let calls = || Counted::Calls {
        at_end: "GET /cart".into(),
    };
    assert_eq!(
        export(1, roots(true), 10, 100).await,
        100,
        "nobody counted it before"
    );
    replica.serve(Some(Basis::Reports)).await;
    assert_eq!(export(2, requests("GET"), 10, 70).await, 100);
    assert_eq!(export(3, calls(), 10, 9).await, 100);
    assert_eq!(export(1, roots(true), 20, 110).await, 100);
    replica.serve(Some(Basis::Roots)).await;
    assert_eq!(
        export(1, roots(true), 30, 120).await,
        110,
        "only what is new"
    );
    assert_eq!(export(3, calls(), 15, 10).await, 110);
    let left_out = |basis| replica.metrics.source_requests_left_out.of(basis).get();
    let found = [CountBasis::Requests, CountBasis::Calls, CountBasis::Roots].map(left_out);
    assert_eq!(found, [70, 9 + 1, 10]);
    // They are heard all the same.
    let deltas = replica.deltas().await;
    let silent = deltas.iter().flat_map(|delta| &delta.agents);
    assert_eq!(silent.filter(|count| count.offered == 0).count(), 4);
    // Nothing better has been heard for long.
    replica.serve(None).await;
    assert_eq!(export(2, requests("GET"), 20, 75).await, 115);
    // Of a service that is counted by spans alone, each stands for those that were not sampled.
    assert_eq!(export(3, calls(), 20, 12).await, 115 + 2 * 4);
    // Once it is known that no SDK asks, nobody applies what is served.
    replica.nobody_polls();
    assert_eq!(export(3, calls(), 25, 15).await, 123 + 3);
}
