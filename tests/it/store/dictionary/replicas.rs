//! Names that several replicas add at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir::allocation::OVERFLOW_NAME;
use weir::store::{DictionaryLimits, Step};

use super::super::Fixture;
use super::{WIDE, add, entries, pairs};

pub async fn two_replicas_add_and_a_reader_misses_nothing(fixture: &Fixture) {
    const ROUNDS: usize = 25;
    let running = Arc::new(AtomicUsize::new(3));
    for replica in 0..3 {
        let (store, running) = (fixture.open().await, Arc::clone(&running));
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let own = format!("{replica} in {round}");
                let shared = format!("shared in {round}");
                let service = format!("service {}", round % 4);
                add(&store, WIDE, &[(&service, &own), (&service, &shared)]).await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let reader = fixture.open().await;
    let mut followed = Vec::new();
    let mut cursor = None;
    loop {
        let finished = running.load(Ordering::SeqCst) == 0;
        let page = reader.read_dictionary(cursor, None).await.unwrap();
        let step = if followed.is_empty() {
            Step::Anew
        } else {
            Step::Forward
        };
        assert_eq!(page.step, step);
        followed.extend(page.entries);
        cursor = Some(page.cursor);
        if finished {
            break;
        }
    }
    assert!(followed.is_sorted_by(|a, b| a.operation < b.operation));
    assert_eq!(followed, entries(&reader).await);
    // The overflow service's entry, four services' overflow entries, 3 + 1 names a round.
    assert_eq!(followed.len(), 1 + 4 + ROUNDS * 4);
    let unique: BTreeSet<_> = followed
        .iter()
        .map(|entry| (&entry.service_name, &entry.operation_name))
        .collect();
    assert_eq!(unique.len(), followed.len());
}

pub async fn limits_hold_between_replicas(fixture: &Fixture) {
    let limits = DictionaryLimits {
        services: 3,
        operations_per_service: 4,
        operations: 10,
    };
    let mut running = Vec::new();
    for replica in 0..3 {
        let store = fixture.open().await;
        running.push(tokio::spawn(async move {
            for round in 0..12 {
                let service = format!("service {}", (round + replica) % 5);
                let operation = format!("{replica} in {round}");
                add(&store, limits, &[(&service, &operation)]).await;
            }
        }));
    }
    for replica in running {
        replica.await.unwrap();
    }
    let mut by_service: BTreeMap<_, usize> = BTreeMap::new();
    for (service, operation) in pairs(&fixture.open().await).await {
        *by_service.entry(service).or_default() += usize::from(operation != OVERFLOW_NAME);
    }
    assert_eq!(by_service.len(), 3);
    assert!(
        by_service.values().all(|operations| *operations <= 4),
        "{by_service:?}"
    );
    assert_eq!(by_service.values().sum::<usize>(), 10);
}
