//! Jobs that clean up: history is settled from its deltas, and silent names are removed.

mod downsample;
mod room;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use weir::allocation::{
    AgentName, Belief, Binding, OperationId, OperationPlan, Plan, Reason, ServiceId, Timestamp,
    Window,
};
use weir::clock::{Clock, FleetClock, SystemClock};
use weir::health::DatabaseState;
use weir::jobs::{
    Job, JobContext, Leadership, LeaseKeeper, Maintain, Patience, RetentionPace, Settle,
};
use weir::names::{AgentNames, Dictionary};
use weir::snapshot::{Served, Snapshot};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::sqlite::SqliteStore;
use weir::store::{
    BucketCounts, BucketOperation, DictionaryLimits, HistoryRow, ResolvedReport, Store, WriteFormat,
};

use crate::support::process::eventually;
use crate::support::stored::ReadWhole;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const LIMITS: DictionaryLimits = DictionaryLimits {
    services: 10,
    operations_per_service: 10,
    operations: 10,
};

/// A replica with the lease, without listeners.
struct Replica {
    shared: JobContext,
    holder: Uuid,
    stop: CancellationToken,
}

impl Replica {
    async fn start(directory: &Path) -> Self {
        let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Arc::new(FleetClock::new(Arc::new(SystemClock)));
        let shared = JobContext {
            agents: Arc::new(AgentNames::new(Arc::clone(&store))),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            dictionary: Arc::new(Dictionary::new(Arc::clone(&store), LIMITS, Arc::default())),
            served: Arc::new(Served::new(Plan::default())),
            leadership: Leadership::new(clock),
            publishing: Arc::default(),
            readability: Default::default(),
            interval: MINUTE,
            metrics: Arc::default(),
            observed: Arc::default(),
            costs: Arc::default(),
            matches: Arc::default(),
        };
        let holder = Uuid::new_v4();
        let keeper = Arc::new(LeaseKeeper {
            store,
            clock: Arc::clone(&shared.clock),
            leadership: shared.leadership.clone(),
            database: DatabaseState::default(),
            holder,
            time_to_live: LeaseKeeper::time_to_live(MINUTE),
            patience: Patience::of(MINUTE),
            metrics: Arc::clone(&shared.metrics),
        });
        let stop = CancellationToken::new();
        tokio::spawn(keeper.run(stop.clone()));
        eventually(MINUTE, "the lease", async || shared.leadership.term()).await;
        Self {
            shared,
            holder,
            stop,
        }
    }

    /// Stores one report of these counts in a bucket.
    async fn count(&self, sequence: u64, bucket: Window, operations: &[(OperationId, u64, u64)]) {
        let operations = operations
            .iter()
            .map(|(operation, offered, sampled)| BucketOperation {
                operation: *operation,
                offered: *offered,
                sampled: *sampled,
            });
        let report = ResolvedReport {
            agent: AgentName::parse("a").unwrap(),
            epoch: Uuid::nil(),
            sequence,
            names: self.shared.dictionary.names().incarnation(),
            buckets: vec![BucketCounts {
                bucket,
                operations: operations.collect(),
                ..BucketCounts::default()
            }],
            state: None,
        };
        self.shared.store.commit_reports(&[report]).await.unwrap();
    }

    async fn names(&self) -> [OperationId; 2] {
        let wanted = [("shop", "GET /"), ("shop", "POST /buy")];
        let resolving = self.shared.dictionary.resolve(wanted.into_iter());
        let rows = resolving.await.unwrap().rows;
        [rows[0].operation, rows[1].operation]
    }

    async fn history(&self, window: Window) -> Option<Vec<HistoryOperation>> {
        let rows = self
            .shared
            .store
            .read_history(window.start..window.end)
            .await
            .unwrap();
        rows.first()
            .map(|row| history_codec::decode(&row.payload).unwrap())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn minutes_ago(replica: &Replica, minutes: i64) -> Window {
    let now = replica.shared.clock.timestamp();
    Window::aligned(Timestamp(now.0 - minutes * 60_000), 60_000)
}

#[tokio::test]
async fn history_is_settled_from_what_was_counted_late_or_without_a_plan() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let [get, buy] = replica.names().await;
    let (planned, unplanned) = (minutes_ago(&replica, 5), minutes_ago(&replica, 6));
    let open = minutes_ago(&replica, 1);
    replica.count(1, planned, &[(get, 100, 1)]).await;
    let row = HistoryOperation {
        operation: get,
        offered: 100,
        sampled: Some(1),
        probability: Some(0.25),
    };
    let written = HistoryRow {
        window: planned,
        payload: history_codec::encode(&[row], WriteFormat::Newest),
    };
    replica
        .shared
        .store
        .settle(&[written], Timestamp(0))
        .await
        .unwrap();
    replica
        .count(2, planned, &[(get, 11, 2), (buy, 3, 0)])
        .await;
    replica.count(3, unplanned, &[(buy, 7, 7)]).await;
    replica.count(4, open, &[(buy, 9, 9)]).await;

    Settle::new(replica.shared.clone(), MINUTE)
        .run()
        .await
        .unwrap();

    let counted = |operation, offered, sampled, probability| HistoryOperation {
        operation,
        offered,
        sampled: Some(sampled),
        probability,
    };
    let settled = vec![counted(get, 111, 3, Some(0.25)), counted(buy, 3, 0, None)];
    assert_eq!(replica.history(planned).await, Some(settled));
    assert_eq!(
        replica.history(unplanned).await,
        Some(vec![counted(buy, 7, 7, None)])
    );
    assert_eq!(
        replica.history(open).await,
        None,
        "reports of it may still come"
    );
}

/// However long there was no leader, the next one settles all counts of that time, from where the
/// previous one stopped.
#[tokio::test]
async fn a_new_leader_settles_from_where_the_last_one_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let first = Replica::start(directory.path()).await;
    let [get, _] = first.names().await;
    let (old, older, oldest) = (
        minutes_ago(&first, 30),
        minutes_ago(&first, 45),
        minutes_ago(&first, 61),
    );
    first.count(1, oldest, &[(get, 1, 1)]).await;
    Settle::new(first.shared.clone(), HOUR).run().await.unwrap();
    // Only the oldest is final: no report can reach it any more.
    first.count(2, older, &[(get, 2, 2)]).await;
    first.count(3, old, &[(get, 3, 3)]).await;
    first.stop.cancel();
    let store = Arc::clone(&first.shared.store);
    store.release_lease("plan", first.holder).await.unwrap();

    let second = Replica::start(directory.path()).await;
    second.shared.dictionary.refresh().await.unwrap();
    let settle = Settle::new(second.shared.clone(), MINUTE);
    settle.run().await.unwrap();
    for (window, counted) in [(older, 2), (old, 3)] {
        let row = HistoryOperation {
            operation: get,
            offered: counted,
            sampled: Some(counted),
            probability: None,
        };
        assert_eq!(second.history(window).await, Some(vec![row]));
    }
    let until = second.shared.store.settled_until().await.unwrap();
    assert!(until > Some(old.end), "{until:?}");
}

#[tokio::test]
async fn history_is_settled_in_the_buckets_that_were_counted_whatever_the_interval_is_now() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let [get, _] = replica.names().await;
    let minute = minutes_ago(&replica, 5);
    let half = Timestamp(minute.start.0 + 30_000);
    let halves = [
        Window {
            end: half,
            ..minute
        },
        Window {
            start: half,
            ..minute
        },
    ];
    replica.count(1, halves[0], &[(get, 10, 1)]).await;
    replica.count(2, halves[1], &[(get, 20, 2)]).await;

    Settle::new(replica.shared.clone(), MINUTE)
        .run()
        .await
        .unwrap();

    let rows = replica.shared.store.read_history(minute.start..minute.end);
    let rows = rows.await.unwrap();
    let windows: Vec<Window> = rows.iter().map(|row| row.window).collect();
    assert_eq!(
        windows, halves,
        "not a minute with both, and half of it again"
    );
    for (half, offered) in halves.into_iter().zip([10, 20]) {
        let counted = replica.history(half).await.unwrap();
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].offered, offered);
    }
}

#[tokio::test]
async fn deltas_stay_until_the_last_window_that_needs_them_has_its_plan() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let mut shared = replica.shared.clone();
    shared.interval = HOUR;
    let maintain = Maintain {
        pace: RetentionPace::from(&*shared.clock, &Plan::default()),
        shared,
        report_age_max: HOUR,
        grace: 10 * HOUR,
        history: HOUR,
        steps: weir::settings::TimingSettings::STEPS,
        retire_after: HOUR,
        names: LIMITS,
    };
    let now = replica.shared.clock.timestamp();
    let kept = now.0 - maintain.retention(now, None, None).deltas_before.0;
    // The window that closes now began eleven hours ago, the one before it twelve.
    assert!(kept >= 12 * HOUR.as_millis() as i64, "{kept} ms");
}

#[tokio::test]
async fn an_operation_that_nobody_reports_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::start(directory.path()).await;
    let [get, buy] = replica.names().await;
    let operation = |operation, silent_windows| OperationPlan {
        operation,
        service: ServiceId(1),
        overflow: false,
        silent_windows,
        binding: Binding::Level,
        reason: Reason::UNKNOWN,
        ..OPERATION
    };
    let plan = Plan {
        number: 1,
        window: minutes_ago(&replica, 1),
        operations: vec![operation(get, 59), operation(buy, 60)],
        ..Plan::default()
    };
    let snapshot = Snapshot::build(plan, None, &replica.shared.dictionary.names());
    replica.shared.served.install(snapshot);
    let maintain = Maintain {
        pace: RetentionPace::from(&*replica.shared.clock, &Plan::default()),
        shared: replica.shared.clone(),
        report_age_max: HOUR,
        grace: Duration::ZERO,
        history: HOUR,
        steps: weir::settings::TimingSettings::STEPS,
        retire_after: HOUR,
        names: LIMITS,
    };
    maintain.run().await.unwrap();
    replica.shared.dictionary.refresh().await.unwrap();
    let names = replica.shared.dictionary.names();
    assert_eq!(
        names.find("shop", "GET /"),
        Some(get),
        "silent for 59 minutes"
    );
    assert_eq!(names.find("shop", "POST /buy"), None, "silent for an hour");
}

/// An operation of a plan.
pub const OPERATION: OperationPlan = OperationPlan {
    operation: OperationId(0),
    service: ServiceId(0),
    overflow: false,
    offered: 1.0,
    belief: Belief {
        rate: 1.0,
        variance: 0.0,
        presence: 1.0,
        stay: 1.0,
        wake: 1.0,
        gap: 0,
        since: 0,
        regular: 0.0,
        peak: 0.0,
        once: false,
        fell: false,
    },
    belief_before: None,
    share: 1.0,
    probability: 1.0,
    turned: 0,
    binding: Binding::Level,
    reason: Reason::UNKNOWN,
    silent_windows: 0,
    silent_before: 0,
    window_offered: 0,
    window_sampled: 0,
};
