use std::sync::Arc;

use weir::allocation::Timestamp;
use weir::store::{
    ConfigurationRevision, ConfigurationWrite, Retention, Revisions, Store, StoreError,
};

use super::{Fixture, instant};

fn revision(revision: u64, document: &str, milliseconds: i64) -> ConfigurationRevision {
    ConfigurationRevision {
        revision,
        document: document.to_owned(),
        written_at: instant(milliseconds),
        // The start writes the first.
        written_by: (revision > 1).then(|| "a test".to_owned()),
    }
}

pub async fn reading_writes_nothing(fixture: &Fixture) {
    let store = fixture.open().await;
    let none = store.configuration().await;
    assert!(matches!(none, Err(StoreError::Unsound { .. })), "{none:?}");
    let listed = store.configuration_revisions(None, 10).await.unwrap();
    assert_eq!(listed, vec![]);
}

pub async fn the_first_is_written_on_demand(fixture: &Fixture) {
    let store = fixture.open().await;
    let first = revision(1, "{\"budget\":1}", 5);
    assert_eq!(
        store
            .create_configuration("{\"budget\":1}", instant(5))
            .await
            .unwrap(),
        first
    );
    let replica = fixture.open().await;
    assert_eq!(
        replica
            .create_configuration("{}", instant(9))
            .await
            .unwrap(),
        first
    );
}

pub async fn a_write_names_the_revision_it_comes_from(fixture: &Fixture) {
    let store = fixture.open().await;
    store.create_configuration("one", instant(0)).await.unwrap();
    let written = store
        .write_configuration(1, "two", "a test", instant(1), None, None)
        .await
        .unwrap();
    let second = revision(2, "two", 1);
    assert_eq!(written, ConfigurationWrite::Written(second.clone()));
    for from in [0, 1, 3, u64::MAX] {
        let refused = store
            .write_configuration(from, "three", "a test", instant(2), None, None)
            .await
            .unwrap();
        assert_eq!(
            refused,
            ConfigurationWrite::Conflict(second.clone()),
            "from {from}"
        );
    }
    assert_eq!(store.configuration().await.unwrap(), second);
    let written = store
        .write_configuration(2, "three", "a test", instant(4), None, None)
        .await
        .unwrap();
    assert_eq!(
        written,
        ConfigurationWrite::Written(revision(3, "three", 4))
    );
}

pub async fn of_many_writers_one_succeeds(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    stores[0]
        .create_configuration("one", instant(0))
        .await
        .unwrap();
    let tries: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&stores[writer % 2]);
            let document = format!("written by {writer}");
            tokio::spawn(async move {
                store
                    .write_configuration(1, &document, "a test", instant(1), None, None)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut written = Vec::new();
    let mut conflicts = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            ConfigurationWrite::Written(revision) => written.push(revision),
            ConfigurationWrite::Conflict(revision) => conflicts.push(revision),
        }
    }
    assert_eq!((written.len(), written[0].revision), (1, 2));
    assert_eq!(conflicts, vec![written[0].clone(); 7]);
}

pub async fn of_many_that_create_the_first_all_see_one(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let tries: Vec<_> = (0..8)
        .map(|reader| {
            let store = Arc::clone(&stores[reader % 2]);
            let initial = format!("from {reader}");
            tokio::spawn(async move {
                store
                    .create_configuration(&initial, instant(0))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut seen = Vec::new();
    for attempt in tries {
        seen.push(attempt.await.unwrap());
    }
    assert_eq!(seen, vec![seen[0].clone(); 8]);
    assert_eq!(seen[0].revision, 1);
}

pub async fn every_revision_can_be_read_again(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(
        store.configuration_revisions(None, 10).await.unwrap(),
        vec![]
    );
    store.create_configuration("1", instant(1)).await.unwrap();
    for from in 1..5 {
        let (document, now) = ((from + 1).to_string(), instant(from as i64 + 1));
        let written = store.write_configuration(from, &document, "a test", now, None, None);
        written.await.unwrap();
    }
    for number in 1..=5_u64 {
        let expected = revision(number, &number.to_string(), number as i64);
        let found = store.configuration_revision(number).await.unwrap();
        assert_eq!(found, Some(expected));
    }
    for number in [0, 6, u64::MAX] {
        let found = store.configuration_revision(number).await.unwrap();
        assert_eq!(found, None, "{number}");
    }
    let listed = async |before, limit| {
        let marks = store.configuration_revisions(before, limit).await.unwrap();
        for mark in &marks {
            assert_eq!(mark.written_at, instant(mark.revision as i64));
        }
        let numbers = marks.iter().map(|mark| mark.revision);
        numbers.collect::<Vec<u64>>()
    };
    assert_eq!(listed(None, 10).await, [5, 4, 3, 2, 1]);
    assert_eq!(listed(None, 2).await, [5, 4]);
    assert_eq!(listed(Some(4), 2).await, [3, 2]);
    assert_eq!(listed(Some(2), 2).await, [1]);
    assert!(listed(Some(1), 2).await.is_empty());
    assert_eq!(listed(Some(u64::MAX), 1).await, [5]);
}

/// Writes revisions up to the sixth, of ten bytes each, and lets maintenance delete the oldest.
async fn kept(fixture: &Fixture, revisions: Revisions) -> (Arc<dyn Store>, Vec<u64>) {
    let store = fixture.open().await;
    let document = "0123456789";
    store
        .create_configuration(document, instant(0))
        .await
        .unwrap();
    for from in 1..6 {
        store
            .write_configuration(from, document, "a test", instant(0), None, None)
            .await
            .unwrap();
    }
    let ever = Timestamp(0);
    let retention = Retention {
        deltas_before: ever,
        polls_before: ever,
        final_names_before: ever,
        observations_before: ever,
        history_before: ever,
        series_before: weir::store::SeriesBefore::all(ever),
        plan_bodies_before: ever,
        agents_before: ever,
        audit_before: ever,
        dictionary_states: 10,
        revisions,
    };
    let now = Timestamp(instant(0).timestamp_millis());
    let maintained = store.maintain(now, retention).await.unwrap();
    let marks = store.configuration_revisions(None, 100).await.unwrap();
    assert_eq!(maintained.configuration_revisions, marks.len() as u64);
    (store, marks.iter().map(|mark| mark.revision).collect())
}

pub async fn only_the_newest_revisions_stay(fixture: &Fixture) {
    let revisions = Revisions {
        most: 3,
        bytes: 1000,
    };
    let (store, left) = kept(fixture, revisions).await;
    assert_eq!(left, [6, 5, 4]);
    assert_eq!(store.configuration_revision(3).await.unwrap(), None);
    // Writes still build on the newest revision, and a revision that has been deleted is reported
    // as stale.
    let stale = store
        .write_configuration(2, "new", "a test", instant(1), None, None)
        .await;
    assert!(matches!(stale.unwrap(), ConfigurationWrite::Conflict(of) if of.revision == 6));
    let next = store
        .write_configuration(6, "new", "a test", instant(1), None, None)
        .await;
    assert!(matches!(next.unwrap(), ConfigurationWrite::Written(of) if of.revision == 7));
}

pub async fn revisions_stay_as_far_as_their_documents_fit(fixture: &Fixture) {
    let bytes = |bytes| Revisions { most: 100, bytes };
    let (store, left) = kept(fixture, bytes(25)).await;
    assert_eq!(left, [6, 5]);
    let retention = Retention {
        deltas_before: Timestamp(0),
        polls_before: Timestamp(0),
        final_names_before: Timestamp(0),
        observations_before: Timestamp(0),
        history_before: Timestamp(0),
        series_before: weir::store::SeriesBefore::all(Timestamp(0)),
        plan_bodies_before: Timestamp(0),
        agents_before: Timestamp(0),
        audit_before: Timestamp(0),
        dictionary_states: 10,
        revisions: bytes(1),
    };
    let now = Timestamp(instant(0).timestamp_millis());
    store.maintain(now, retention).await.unwrap();
    let newest = store.configuration().await.unwrap();
    assert_eq!(newest.revision, 6, "what is in force stays");
}
