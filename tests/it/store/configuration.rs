use std::sync::Arc;

use weir::store::{ConfigurationRevision, ConfigurationWrite};

use super::{Fixture, instant};

fn revision(revision: u64, document: &str, milliseconds: i64) -> ConfigurationRevision {
    ConfigurationRevision {
        revision,
        document: document.to_owned(),
        written_at: instant(milliseconds),
    }
}

pub async fn the_first_is_written_on_demand(fixture: &Fixture) {
    let store = fixture.open().await;
    let first = revision(1, "{\"budget\":1}", 5);
    assert_eq!(
        store
            .configuration("{\"budget\":1}", instant(5))
            .await
            .unwrap(),
        first
    );
    let replica = fixture.open().await;
    assert_eq!(
        replica.configuration("{}", instant(9)).await.unwrap(),
        first
    );
}

pub async fn a_write_names_the_revision_it_comes_from(fixture: &Fixture) {
    let store = fixture.open().await;
    store.configuration("one", instant(0)).await.unwrap();
    let written = store
        .write_configuration(1, "two", instant(1))
        .await
        .unwrap();
    let second = revision(2, "two", 1);
    assert_eq!(written, ConfigurationWrite::Written(second.clone()));
    for from in [0, 1, 3, u64::MAX] {
        let refused = store
            .write_configuration(from, "three", instant(2))
            .await
            .unwrap();
        assert_eq!(
            refused,
            ConfigurationWrite::Conflict(second.clone()),
            "from {from}"
        );
    }
    assert_eq!(
        store.configuration("one", instant(3)).await.unwrap(),
        second
    );
    let written = store
        .write_configuration(2, "three", instant(4))
        .await
        .unwrap();
    assert_eq!(
        written,
        ConfigurationWrite::Written(revision(3, "three", 4))
    );
}

pub async fn of_many_writers_one_succeeds(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    stores[0].configuration("one", instant(0)).await.unwrap();
    let tries: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&stores[writer % 2]);
            let document = format!("written by {writer}");
            tokio::spawn(async move {
                store
                    .write_configuration(1, &document, instant(1))
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

pub async fn of_many_first_readers_all_see_one(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let tries: Vec<_> = (0..8)
        .map(|reader| {
            let store = Arc::clone(&stores[reader % 2]);
            let initial = format!("from {reader}");
            tokio::spawn(async move { store.configuration(&initial, instant(0)).await.unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for attempt in tries {
        seen.push(attempt.await.unwrap());
    }
    assert_eq!(seen, vec![seen[0].clone(); 8]);
    assert_eq!(seen[0].revision, 1);
}
