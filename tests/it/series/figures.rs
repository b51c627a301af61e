//! What the history of months costs, and how fast it is read: the figures of docs/history.md.

use std::path::Path;
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use weir::clock::FleetClock;
use weir::health::DatabaseState;
use weir::jobs::{Downsample, Job, JobContext, Leadership, LeaseKeeper, Patience};
use weir::names::{AgentNames, Dictionary};
use weir::snapshot::Served;
use weir::store::postgres::PostgresStore;
use weir::store::{SeriesAsked, SeriesOf, SeriesStep};

use super::*;
use crate::support::postgres::TestDatabase;

const MINUTE: i64 = 60_000;

/// A fleet that is measured.
#[derive(Clone, Copy)]
struct Fleet {
    services: usize,
    /// Operations of each.
    each: usize,
    /// A day is whole with the first hour of the next.
    hours: i64,
    /// Whether edges decide about it: three classes of each operation.
    classed: bool,
}

const FLEETS: [Fleet; 3] = [
    Fleet::of(10_000, 1, 25),
    Fleet::of(1_000, 10, 25),
    Fleet::of(10_000, 10, 2),
];

const CLASSED: Fleet = Fleet {
    classed: true,
    ..Fleet::of(50, 10, 25)
};

/// The part of the requests that have a class.
const CLASSES: [(Class, f64); 3] = [
    (Class::Error, 0.002),
    (Class::Slow, 0.01),
    (Class::Rest, 0.988),
];

impl Fleet {
    const fn of(services: usize, each: usize, hours: i64) -> Self {
        Self {
            services,
            each,
            hours,
            classed: false,
        }
    }

    /// The names of an operation's entries.
    fn entries(&self, operation: usize) -> Vec<String> {
        let name = format!("GET /v1/{operation}");
        match self.classed {
            true => CLASSES.map(|(class, _)| class.entry(&name)).into(),
            false => vec![name],
        }
    }
}

/// The part of an operation's requests that an entry of this name has.
fn part(entry: &str) -> f64 {
    let class = Class::of(entry).1;
    let mut known = CLASSES.iter();
    class.map_or(1.0, |class| known.find(|(of, _)| *of == class).unwrap().1)
}

/// A replica with the lease, without listeners.
async fn replica(store: Arc<dyn Store>, operations: u32) -> (JobContext, CancellationToken) {
    let clock = Arc::new(FleetClock::new(Arc::new(SystemClock)));
    let limits = DictionaryLimits {
        services: 20_000,
        operations_per_service: 100,
        operations,
    };
    let interval = Duration::from_secs(60);
    let shared = JobContext {
        agents: Arc::new(AgentNames::new(Arc::clone(&store))),
        dictionary: Arc::new(Dictionary::new(Arc::clone(&store), limits, Arc::default())),
        clock: Arc::clone(&clock),
        served: Arc::new(Served::new(weir::allocation::Plan::default())),
        leadership: Leadership::new(clock),
        publishing: Arc::default(),
        readability: Default::default(),
        observed: Arc::default(),
        costs: Arc::default(),
        matches: Arc::default(),
        interval,
        metrics: Arc::default(),
        store,
    };
    let keeper = Arc::new(LeaseKeeper {
        store: Arc::clone(&shared.store),
        clock: Arc::clone(&shared.clock),
        leadership: shared.leadership.clone(),
        database: DatabaseState::default(),
        holder: Uuid::new_v4(),
        time_to_live: LeaseKeeper::time_to_live(interval),
        patience: Patience::of(interval),
        metrics: Arc::clone(&shared.metrics),
    });
    let stop = CancellationToken::new();
    tokio::spawn(keeper.run(stop.clone()));
    eventually(DEADLINE, "the lease", async || shared.leadership.term()).await;
    (shared, stop)
}

/// A minute of a fleet whose traffic follows Zipf's law, with the noise of counting and a daily curve. Every
/// operation keeps the same number of traces, or all if it has fewer.
fn minute(number: i64, start: i64, operations: &[(OperationId, f64)]) -> HistoryRow {
    let curve = 1.0 + 0.5 * (number as f64 / 1440.0 * std::f64::consts::TAU).sin();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number.unsigned_abs() + 1);
    let mut noise = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Nearly normal: the sum of four uniform ones.
        let parts = (0..4).map(|part| (random >> (16 * part) & 0xffff) as f64 / 65_536.0);
        (parts.sum::<f64>() - 2.0) * 3_f64.sqrt()
    };
    let all: Vec<_> = operations
        .iter()
        .enumerate()
        .map(|(rank, (operation, part))| {
            let mean = part * 3e7 * curve / ((rank + 1) as f64 * (operations.len() as f64).ln());
            let offered = (mean + mean.sqrt() * noise()).max(0.0).round();
            let probability = (60.0 / mean.max(1.0)).min(1.0) * (1.0 + 0.01 * noise());
            let probability = probability.clamp(0.0, 1.0);
            let due = offered * probability;
            let chance = (due * (1.0 - probability)).max(0.0).sqrt();
            let sampled = (due + chance * noise()).round().clamp(0.0, offered);
            HistoryOperation {
                operation: *operation,
                offered: offered as u64,
                sampled: Some(sampled as u64),
                probability: Some(probability as f32),
            }
        })
        .filter(|of| of.offered > 0)
        .collect();
    HistoryRow {
        window: Window {
            start: Timestamp(start + number * MINUTE),
            end: Timestamp(start + (number + 1) * MINUTE),
        },
        payload: history_codec::encode(&all, WriteFormat::Newest),
    }
}

/// Names like those of real fleets, in an order that is not theirs.
async fn named(store: &dyn Store, fleet: Fleet) -> Vec<(OperationId, f64)> {
    const TEAMS: [&str; 8] = [
        "payments", "search", "catalog", "identity", "shipping", "pricing", "media", "ads",
    ];
    const PARTS: [&str; 10] = [
        "api", "worker", "gateway", "ingest", "batch", "cache", "sync", "events", "admin", "edge",
    ];
    let limits = DictionaryLimits {
        services: 20_000,
        operations_per_service: 100,
        operations: 300_000,
    };
    let mut names = Vec::new();
    let services = fleet.services;
    for service in 0..services {
        let (team, part) = (TEAMS[service * 7 % 8], PARTS[service * 3 % 10]);
        let name = format!("{team}-{part}-{}", service * 7919 % services);
        for operation in (0..fleet.each).flat_map(|operation| fleet.entries(operation)) {
            let operation = OperationName::parse(&operation).unwrap();
            names.push((ServiceName::parse(&name).unwrap(), operation));
        }
    }
    for part in names.chunks(20_000) {
        store.add_names(part, limits).await.unwrap();
    }
    let (mut found, mut at) = (Vec::new(), None);
    loop {
        let page = store.read_dictionary(at, None).await.unwrap();
        let entries = page.entries.iter();
        let known = entries.filter(|entry| entry.operation_name.as_str() != "__other__");
        found.extend(known.map(|of| (of.operation, part(of.operation_name.as_str()))));
        at = Some(page.cursor);
        if !page.more {
            break;
        }
    }
    found.sort_unstable_by_key(|(operation, _)| *operation);
    found
}

/// The bytes of payloads of a length of steps.
async fn bytes(store: &dyn Store, step: SeriesStep) -> (usize, usize) {
    let asked = SeriesAsked {
        step,
        from: Timestamp(0),
        until: Timestamp(i64::MAX),
        of: SeriesOf::All,
        class: None,
    };
    let rows = store.read_series(asked).await.unwrap();
    (rows.len(), rows.iter().map(|row| row.payload.len()).sum())
}

async fn measure(store: Arc<dyn Store>, fleet: Fleet) {
    let Fleet {
        services, hours, ..
    } = fleet;
    let operations = named(&*store, fleet).await;
    let (shared, stop) = replica(Arc::clone(&store), 300_000).await;
    let now = shared.clock.timestamp().0;
    let start = now.div_euclid(DAY) * DAY - DAY;
    let (mut history, began) = (0, Instant::now());
    for hour in 0..hours {
        let minutes = hour * 60..(hour + 1) * 60;
        let rows: Vec<_> = minutes.map(|of| minute(of, start, &operations)).collect();
        history += rows.iter().map(|row| row.payload.len()).sum::<usize>();
        let until = Timestamp(start + (hour + 1) * HOUR);
        store.settle(&rows, until).await.unwrap();
    }
    eprintln!(
        "{services} services, {} entries: history {:.1} MB a day; {hours} hours made and stored in {:.1?}",
        operations.len(),
        history as f64 * 24.0 / hours as f64 / 1e6,
        began.elapsed(),
    );
    let job = Downsample::new(shared.clone(), Duration::from_secs(90 * 86_400));
    let began = Instant::now();
    let end = Timestamp(start + hours * HOUR);
    while store.series_mark().await.unwrap().until < Some(end) {
        job.run().await.unwrap();
    }
    eprintln!("    summed in {:.1?}", began.elapsed());
    for step in [
        SeriesStep::Window,
        SeriesStep::TenMinutes,
        SeriesStep::Hour,
        SeriesStep::Day,
    ] {
        let (rows, bytes) = bytes(&*store, step).await;
        let hours = match step {
            SeriesStep::Window | SeriesStep::TenMinutes => hours as f64,
            _ => 24.0,
        };
        eprintln!(
            "    {step:?}: {} rows, {:.0} bytes per service and day",
            rows,
            bytes as f64 / services as f64 / hours * 24.0,
        );
    }
    stop.cancel();
    store.close().await;
}

async fn number(url: &str, statement: String) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let asked = sqlx::query_scalar(AssertSqlSafe(statement));
    asked.fetch_one(&mut connection).await.unwrap()
}

async fn answers(directory: &Path, services: usize) {
    let folder = directory.to_str().unwrap();
    let flags = [
        "--data-dir",
        folder,
        "--history",
        "90d",
        "--max-services",
        "20000",
        "--max-operations",
        "300000",
    ];
    let app = TestApp::start_with(config(&flags)).await;
    let now = SystemClock.timestamp().0;
    for (what, path) in [
        ("an hour", format!("/v1/history?start={}", ago(now, HOUR))),
        ("a week", format!("/v1/history?start={}", ago(now, 7 * DAY))),
        (
            "a year",
            format!("/v1/history?start={}", ago(now, 365 * DAY)),
        ),
        (
            "a week of a service",
            format!(
                "/v1/services/payments-api-0/history?start={}",
                ago(now, 7 * DAY)
            ),
        ),
        (
            "a week of a service by class",
            format!(
                "/v1/services/payments-api-0/history?start={}&by=class",
                ago(now, 7 * DAY)
            ),
        ),
    ] {
        let began = Instant::now();
        let answer = app.client.get(format!("{}{path}", app.admin)).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200, "{what}");
        let bytes = answer.bytes().await.unwrap().len();
        eprintln!(
            "    {services} services, {what}: {bytes} bytes in {:.1?}",
            began.elapsed()
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures for docs/history.md"]
async fn figures_of_a_large_fleet() {
    for fleet in FLEETS {
        let services = fleet.services;
        let directory = tempfile::tempdir().unwrap();
        measure(beside(directory.path()).await, fleet).await;
        let file = std::fs::metadata(directory.path().join("weir.db")).unwrap();
        eprintln!("    SQLite: {:.1} MB", file.len() as f64 / 1e6);
        answers(directory.path(), services).await;
        if fleet.hours < 24 {
            continue;
        }
        let database = TestDatabase::create().await;
        let store = PostgresStore::connect(database.url(), 4).await.unwrap();
        measure(Arc::new(store), fleet).await;
        let tables = "select sum(pg_total_relation_size(c.oid))::bigint from pg_class as c
            join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = current_schema() and c.relkind = 'r' and c.relname like ";
        for like in ["'history%'", "'series_window%'", "'series'"] {
            let size = number(database.url(), format!("{tables}{like}")).await;
            eprintln!("    PostgreSQL: {like} {:.1} MB", size as f64 / 1e6);
        }
    }
}

/// What classes add: the same requests with and without.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures for docs/history.md"]
async fn figures_of_a_fleet_with_classes() {
    for classed in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let fleet = Fleet { classed, ..CLASSED };
        measure(beside(directory.path()).await, fleet).await;
        answers(directory.path(), fleet.services).await;
    }
}
