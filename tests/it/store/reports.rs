mod replicas;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;
use weir::allocation::{
    AgentCount, AgentId, AgentName, AgentReport, Basis, OperationId, ServiceCount, ServiceId,
    Timestamp, Window,
};
use weir::store::Admission::{Counted, Duplicate, TooFarBehind};
use weir::store::{
    Admission, BucketCounts, BucketOperation, Incarnation, ResolvedReport, Store, StoreError,
    UNKNOWN_SEQUENCE, WriteFormat,
};

use super::{Fixture, NINE, corrupt_cell, window};
use crate::support::stored::ReadWhole;

pub use replicas::*;

const EVERYTHING: std::ops::Range<Timestamp> = Timestamp(i64::MIN)..Timestamp(i64::MAX);

pub fn operation(id: u32, offered: u64, sampled: u64) -> BucketOperation {
    BucketOperation {
        operation: OperationId(id),
        offered,
        sampled,
    }
}

/// The service whose instances every agent reports, and how many each agent reports.
const SERVICE: ServiceId = ServiceId(9);
const INSTANCES: u64 = 3;

/// One agent's counts in one bucket.
pub fn bucket(window: Window, agent: u64, operations: &[BucketOperation]) -> BucketCounts {
    BucketCounts {
        bucket: window,
        operations: operations.to_vec(),
        services: vec![ServiceCount {
            service: SERVICE,
            instance_milliseconds: INSTANCES * window.milliseconds() as u64,
        }],
        reports: vec![AgentReport {
            agent: AgentId(agent),
            epoch: 1,
            sequence: 0,
            span: window,
            last: false,
            basis: Basis::Reports,
        }],
        agents: vec![AgentCount {
            agent: AgentId(agent),
            service: Some(SERVICE),
            offered: operations.iter().map(|entry| entry.offered).sum(),
            sampled: operations.iter().map(|entry| entry.sampled).sum(),
        }],
        late: vec![],
    }
}

/// A report of an agent's first start.
pub fn report(agent: &str, sequence: u64, buckets: Vec<BucketCounts>) -> ResolvedReport {
    ResolvedReport {
        agent: AgentName::parse(agent).unwrap(),
        epoch: Uuid::from_u128(1),
        sequence,
        names: Incarnation::EMPTY,
        buckets,
        state: None,
    }
}

pub fn small(agent: &str, sequence: u64) -> ResolvedReport {
    report(
        agent,
        sequence,
        vec![bucket(window(0), 1, &[operation(1, 1, 0)])],
    )
}

pub type Totals = BTreeMap<(Window, OperationId), (u64, u64)>;

pub fn totals<'a>(parts: impl IntoIterator<Item = &'a BucketCounts>) -> Totals {
    let mut totals = Totals::new();
    for part in parts {
        for entry in &part.operations {
            let total = totals.entry((part.bucket, entry.operation)).or_default();
            total.0 += entry.offered;
            total.1 += entry.sampled;
        }
    }
    totals
}

/// Offered and sampled requests of each agent, and the milliseconds that its reports cover.
fn agent_totals<'a>(
    parts: impl IntoIterator<Item = &'a BucketCounts>,
) -> BTreeMap<(Window, AgentId), (u64, u64, i64)> {
    let mut totals: BTreeMap<_, (u64, u64, i64)> = BTreeMap::new();
    for part in parts {
        for entry in &part.agents {
            assert_eq!(entry.service, Some(SERVICE));
            let total = totals.entry((part.bucket, entry.agent)).or_default();
            total.0 += entry.offered;
            total.1 += entry.sampled;
        }
        for report in &part.reports {
            let total = totals.entry((part.bucket, report.agent)).or_default();
            total.2 += part.bucket.overlap_milliseconds(report.span);
        }
    }
    totals
}

/// The instance-milliseconds of [`SERVICE`] in a bucket, divided by the bucket's length.
fn instances(deltas: &[BucketCounts], bucket: Window) -> u64 {
    let of_bucket = deltas.iter().filter(|delta| delta.bucket == bucket);
    let seen = of_bucket.flat_map(|delta| &delta.services);
    let seen = seen.filter(|seen| seen.service == SERVICE);
    let sum: u64 = seen.map(|seen| seen.instance_milliseconds).sum();
    sum / bucket.milliseconds() as u64
}

pub async fn stored(store: &Arc<dyn Store>) -> Vec<BucketCounts> {
    store.read_deltas(EVERYTHING).await.unwrap()
}

pub async fn a_report_counts_once(fixture: &Fixture) {
    let store = fixture.open().await;
    let buckets = vec![
        bucket(
            window(0),
            7,
            &[
                operation(3, 100, 10),
                operation(1, 5, 5),
                operation(3, 1, 0),
            ],
        ),
        bucket(window(1), 7, &[operation(3, 40, 4)]),
    ];
    let report = report("node-17", 42, buckets.clone());
    for expected in [Counted, Duplicate, Duplicate] {
        let answer = store
            .commit_reports(std::slice::from_ref(&report))
            .await
            .unwrap();
        assert_eq!(answer, [expected]);
    }
    let deltas = stored(&store).await;
    assert_eq!(totals(&deltas), totals(&buckets));
    assert_eq!(agent_totals(&deltas), agent_totals(&buckets));
    for of in [window(0), window(1)] {
        assert_eq!(
            instances(&deltas, of),
            INSTANCES,
            "however often it is sent"
        );
    }
    let second = fixture.open().await;
    assert_eq!(second.commit_reports(&[report]).await.unwrap(), [Duplicate]);
}

pub async fn answers_stand_in_the_batchs_order(fixture: &Fixture) {
    let store = fixture.open().await;
    let first: Vec<_> = ["c", "a", "e"]
        .iter()
        .map(|agent| small(agent, 100))
        .collect();
    assert_eq!(store.commit_reports(&first).await.unwrap(), [Counted; 3]);
    let batch = [
        small("e", 100),
        small("d", 1),
        small("c", 101),
        small("b", 9),
        small("a", 3),
    ];
    let answers = store.commit_reports(&batch).await.unwrap();
    assert_eq!(
        answers,
        [Duplicate, Counted, Counted, Counted, TooFarBehind]
    );
    assert_eq!(
        totals(&stored(&store).await)[&(window(0), OperationId(1))],
        (6, 0)
    );
}

pub async fn late_sequences_count_once_and_far_ones_never(fixture: &Fixture) {
    let store = fixture.open().await;
    let sequences = [100, 164, 101, 101, 100, 163, 165, 101, 102];
    let mut answers = Vec::new();
    for sequence in sequences {
        answers.extend(store.commit_reports(&[small("a", sequence)]).await.unwrap());
    }
    assert_eq!(
        answers,
        [
            Counted,
            Counted,
            Counted,
            Duplicate,
            TooFarBehind,
            Counted,
            Counted,
            TooFarBehind,
            Counted
        ]
    );
    assert_eq!(
        totals(&stored(&store).await)[&(window(0), OperationId(1))],
        (6, 0)
    );
}

pub async fn epochs_and_agents_are_told_apart(fixture: &Fixture) {
    let store = fixture.open().await;
    let one = small("it's \"one\"", 5);
    let restarted = ResolvedReport {
        epoch: Uuid::from_u128(2),
        ..one.clone()
    };
    let others = [
        one,
        restarted,
        small("1", 5),
        small(" 1", 5),
        small("\\u0031", 5),
        small("Ünï", 5),
        small("ünï", 5),
    ];
    assert_eq!(store.commit_reports(&others).await.unwrap(), [Counted; 7]);
    assert_eq!(store.commit_reports(&others).await.unwrap(), [Duplicate; 7]);
}

pub async fn the_largest_sequences_are_remembered(fixture: &Fixture) {
    let store = fixture.open().await;
    let largest = i64::MAX.unsigned_abs();
    // The second fills the mark's last bit, which is the sign of its number in the database.
    for expected in [Counted, Duplicate] {
        for sequence in [largest - 63, largest] {
            let answer = store.commit_reports(&[small("a", sequence)]).await;
            assert_eq!(answer.unwrap(), [expected]);
        }
    }
    let late = store.commit_reports(&[small("a", largest - 64)]).await;
    assert_eq!(late.unwrap(), [TooFarBehind]);
}

pub async fn deltas_are_read_by_their_buckets_start(fixture: &Fixture) {
    let store = fixture.open().await;
    // Over several hours, so over several partitions.
    let numbers = [0, 1, 2, 360, 361, 720];
    let counts = [operation(1, 1, 1)];
    let buckets = numbers
        .map(|number| bucket(window(number), 1, &counts))
        .to_vec();
    store
        .commit_reports(&[report("a", 1, buckets)])
        .await
        .unwrap();
    let read = async |from: i64, to: i64| {
        let deltas = store
            .read_deltas(window(from).start..window(to).start)
            .await
            .unwrap();
        let mut starts: Vec<_> = deltas
            .iter()
            .map(|delta| (delta.bucket.start.0 - NINE) / 10_000)
            .collect();
        starts.sort_unstable();
        starts
    };
    assert_eq!(read(1, 361).await, [1, 2, 360]);
    assert_eq!(read(0, 1000).await, numbers);
    assert_eq!(read(3, 360).await, Vec::<i64>::new());
    assert_eq!(read(2, 1).await, Vec::<i64>::new());
}

pub async fn extremes_come_back(fixture: &Fixture) {
    let store = fixture.open().await;
    let longest = "ü".repeat(AgentName::LONGEST / 2);
    let huge = BucketCounts {
        bucket: Window {
            start: Timestamp(-5),
            end: Timestamp(i64::MAX),
        },
        operations: vec![
            operation(0, u64::MAX, 0),
            operation(u32::MAX, u64::MAX, u64::MAX),
        ],
        services: vec![ServiceCount {
            service: ServiceId(u32::MAX),
            instance_milliseconds: u64::MAX,
        }],
        reports: vec![AgentReport {
            agent: AgentId(u64::MAX),
            epoch: u32::MAX,
            sequence: u64::MAX,
            span: Window {
                start: Timestamp(0),
                end: Timestamp(i64::MAX),
            },
            last: true,
            basis: Basis::Calls,
        }],
        agents: vec![AgentCount {
            agent: AgentId(u64::MAX),
            service: Some(ServiceId(u32::MAX)),
            offered: u64::MAX,
            sampled: u64::MAX,
        }],
        late: vec![AgentReport {
            agent: AgentId(u64::MAX),
            epoch: u32::MAX,
            sequence: u64::MAX,
            span: Window {
                start: Timestamp(i64::MIN),
                end: Timestamp(-5),
            },
            last: true,
            basis: Basis::Roots,
        }],
    };
    let batch = [report(&longest, u64::MAX, vec![huge.clone()])];
    assert_eq!(store.commit_reports(&batch).await.unwrap(), [Counted]);
    assert_eq!(store.commit_reports(&batch).await.unwrap(), [Duplicate]);
    assert_eq!(stored(&store).await, [huge]);
    let before = [report(&longest, u64::MAX - 63, vec![])];
    assert_eq!(store.commit_reports(&before).await.unwrap(), [Counted]);
    assert_eq!(store.commit_reports(&before).await.unwrap(), [Duplicate]);
}

/// While the previous release may come back, a commit writes what that release can read. The choice of
/// another replica is followed at once.
pub async fn counts_are_written_in_the_chosen_format(fixture: &Fixture) {
    let store = fixture.open().await;
    let other = fixture.open().await;
    let mut sequence = 0;
    for format in [
        WriteFormat::Previous,
        WriteFormat::Newest,
        WriteFormat::Previous,
    ] {
        other.set_write_format(format).await.unwrap();
        sequence += 1;
        let own = window(sequence as i64);
        let counts = bucket(own, 7, &[operation(1, 10, 2)]);
        let batch = [report("a", sequence, vec![counts.clone()])];
        assert_eq!(store.commit_reports(&batch).await.unwrap(), [Counted]);
        let read = store.read_deltas(own.start..own.end).await.unwrap();
        assert_eq!(totals(&read), totals([&counts]));
        let agent = &read[0].agents[0];
        let covered = own.overlap_milliseconds(read[0].reports[0].span);
        assert_eq!((agent.offered, covered), (10, own.milliseconds()));
        let known = match format {
            WriteFormat::Previous => (None, 0, UNKNOWN_SEQUENCE),
            WriteFormat::Newest => (Some(SERVICE), 2, 0),
        };
        let told = (agent.service, agent.sampled, read[0].reports[0].sequence);
        assert_eq!(told, known);
    }
}

pub async fn agents_are_named_in_pages(fixture: &Fixture) {
    let store = fixture.open().await;
    let names = async |after: Option<&str>, limit: u32| {
        let after = after.map(|after| AgentName::parse(after).unwrap());
        let names = store.agent_names(after.as_ref(), limit).await.unwrap();
        names.iter().map(AgentName::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 10).await, Vec::<String>::new());
    let batch = ["b", "ä", "B", "c", "b c"].map(|agent| small(agent, 1));
    store.commit_reports(&batch).await.unwrap();
    let restarted = ResolvedReport {
        epoch: Uuid::from_u128(2),
        ..small("b", 1)
    };
    store.commit_reports(&[restarted]).await.unwrap();
    // By their bytes, in every database.
    assert_eq!(names(None, 10).await, ["B", "b", "b c", "c", "ä"]);
    assert_eq!(names(None, 2).await, ["B", "b"]);
    assert_eq!(names(Some("b"), 2).await, ["b c", "c"]);
    assert_eq!(names(Some("ä"), 2).await, Vec::<String>::new());
}

pub async fn an_empty_report_counts_and_adds_nothing(fixture: &Fixture) {
    let store = fixture.open().await;
    let empty = [report("a", 1, vec![])];
    assert_eq!(store.commit_reports(&empty).await.unwrap(), [Counted]);
    assert_eq!(store.commit_reports(&empty).await.unwrap(), [Duplicate]);
    assert_eq!(
        store.commit_reports(&[]).await.unwrap(),
        Vec::<Admission>::new()
    );
    assert_eq!(stored(&store).await, []);
}

pub async fn a_corrupt_delta_is_named(fixture: &Fixture) {
    for cell in ["payload", "reports"] {
        let store = fixture.open().await;
        store.set_write_format(WriteFormat::Newest).await.unwrap();
        store.commit_reports(&[small("a", 1)]).await.unwrap();
        let damage = format!("update delta set {cell} = substr({cell}, 1, 2)");
        fixture.tamper(&damage).await;
        let what = corrupt_cell(store.read_deltas(EVERYTHING).await);
        assert_eq!(
            what,
            format!("delta.{cell} of a row of bucket_start_ms {NINE}")
        );
        fixture.tamper("delete from delta").await;
        fixture.tamper("delete from mark").await;
    }
}

pub async fn a_closed_store_is_unavailable(fixture: &Fixture) {
    let store = fixture.open().await;
    store.close().await;
    let outcome = store.commit_reports(&[small("a", 1)]).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
}

/// A caller that is cancelled leaves its report written whole or not at all, and later callers are
/// unaffected.
pub async fn a_caller_who_leaves_halfway_harms_nothing(fixture: &Fixture) {
    const REPORTS: u64 = 40;
    let store = fixture.open().await;
    for number in 0..REPORTS {
        let first = [small(&format!("agent {number}"), 1)];
        assert_eq!(store.commit_reports(&first).await.unwrap(), [Counted]);
        let leaving = Arc::clone(&store);
        let report = small(&format!("agent {number}"), 2);
        let task = tokio::spawn(async move { leaving.commit_reports(&[report]).await });
        // A little later each time.
        for _ in 0..number * 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
    }
    let again: Vec<_> = (0..REPORTS)
        .map(|number| small(&format!("agent {number}"), 2))
        .collect();
    store.commit_reports(&again).await.unwrap();
    let total = totals(&stored(&store).await)[&(window(0), OperationId(1))];
    assert_eq!(total, (2 * REPORTS, 0));
}
