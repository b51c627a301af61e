use std::sync::Arc;

use uuid::Uuid;
use weir::allocation::Timestamp;
use weir::store::{
    Observation, Poller, RefusedReports, ReplicaObservations, Retention, ServiceSpans, SpanSums,
    Store, StoredObservations,
};

use super::maintenance::before;
use super::{Fixture, corrupt_cell, window};

fn poller(service: &str, polls: u64) -> Poller {
    Poller {
        service: service.into(),
        client: "go".into(),
        protocol: "http".into(),
        polls,
    }
}

fn spans(service: &str, spans: u64) -> ServiceSpans {
    ServiceSpans {
        service: service.into(),
        counted: SpanSums {
            spans,
            roots: 1,
            ..SpanSums::default()
        },
        exported: SpanSums::default(),
    }
}

/// What a replica saw in a window.
fn seen(replica: u128, number: i64, pollers: &[Poller]) -> ReplicaObservations {
    ReplicaObservations {
        window: window(number),
        replica: Uuid::from_u128(replica),
        pollers: pollers.to_vec(),
        refused: Vec::new(),
        spans: Vec::new(),
    }
}

async fn rows<T: Observation>(store: &Arc<dyn Store>, until: i64) -> Vec<StoredObservations> {
    let starts = window(0).start..window(until).start;
    store.read_observations(T::KIND, starts).await.unwrap()
}

fn told<T: Observation>(rows: &[StoredObservations]) -> Vec<T> {
    rows.iter().flat_map(|row| row.read().unwrap()).collect()
}

pub async fn each_kind_comes_back_by_window_and_replica(fixture: &Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let both = ReplicaObservations {
        spans: vec![spans("shop", 9)],
        refused: vec![RefusedReports {
            agent: String::new(),
            reports: u64::MAX,
            reason: "the request is malformed".into(),
            at_ms: -1,
        }],
        ..seen(2, 0, &[poller("\u{1f6d2}", 7)])
    };
    one.commit_observations(&seen(1, 1, &[poller("shop", 3)]))
        .await
        .unwrap();
    other.commit_observations(&both).await.unwrap();
    one.commit_observations(&seen(1, 2, &[poller("shop", 4)]))
        .await
        .unwrap();
    one.commit_observations(&seen(3, 0, &[])).await.unwrap();
    let found = rows::<Poller>(&one, 2).await;
    assert_eq!(
        told::<Poller>(&found),
        [poller("\u{1f6d2}", 7), poller("shop", 3)],
        "oldest first, and window 2 was not asked for"
    );
    assert_eq!(
        (found[0].window, found[0].replica),
        (window(0), Uuid::from_u128(2))
    );
    assert_eq!(
        told::<ServiceSpans>(&rows::<ServiceSpans>(&one, 9).await),
        both.spans
    );
    assert_eq!(
        told::<RefusedReports>(&rows::<RefusedReports>(&one, 9).await),
        both.refused
    );
}

pub async fn a_window_written_again_is_replaced(fixture: &Fixture) {
    let store = fixture.open().await;
    for polls in [3, 4] {
        let seen = seen(1, 0, &[poller("shop", polls)]);
        store.commit_observations(&seen).await.unwrap();
    }
    assert_eq!(
        told::<Poller>(&rows::<Poller>(&store, 1).await),
        [poller("shop", 4)]
    );
}

pub async fn a_corrupt_row_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    for replica in [1, 2] {
        let seen = seen(replica, 0, &[poller("shop", 3)]);
        store.commit_observations(&seen).await.unwrap();
    }
    let damage = match fixture {
        Fixture::Postgres(_) => {
            "update observation set payload = '\\x01ff' where replica::text like '%1'"
        }
        Fixture::Sqlite(_) => "update observation set payload = x'01ff' where replica like '%1'",
    };
    fixture.tamper(damage).await;
    let found = rows::<Poller>(&store, 1).await;
    let (damaged, sound): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|row| row.read::<Poller>().is_err());
    let start = window(0).start.0;
    let cell = format!("observation.payload of a row of bucket_start_ms {start}");
    assert_eq!(corrupt_cell(damaged[0].read::<Poller>()), cell);
    assert_eq!(told::<Poller>(&sound), [poller("shop", 3)]);
}

pub async fn old_ones_go(fixture: &Fixture) {
    let store = fixture.open().await;
    for number in 0..3 {
        let seen = seen(1, number, &[poller("shop", number.unsigned_abs() + 1)]);
        store.commit_observations(&seen).await.unwrap();
    }
    let retention = Retention {
        observations_before: window(2).start,
        ..before(Timestamp(0))
    };
    store.maintain(window(9).end, retention).await.unwrap();
    assert_eq!(
        told::<Poller>(&rows::<Poller>(&store, 9).await),
        [poller("shop", 3)]
    );
}
