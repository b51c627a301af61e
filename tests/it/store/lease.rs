use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;
use weir::store::Store;

use super::Fixture;

const LONG: Duration = Duration::from_secs(600);
const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

async fn take(store: &Arc<dyn Store>, holder: Uuid, time_to_live: Duration) -> Option<u64> {
    store
        .acquire_lease("leader", holder, time_to_live)
        .await
        .unwrap()
        .term
}

pub async fn the_first_holds_it_and_renews_it(fixture: &Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    let first = one.acquire_lease("leader", A, LONG).await.unwrap();
    assert_eq!(first.term, Some(1));
    let second = two.acquire_lease("leader", B, LONG).await.unwrap();
    assert_eq!(second.term, None);
    assert!(second.database_time >= first.database_time);
    assert_eq!(take(&one, A, LONG).await, Some(1));
}

pub async fn another_waits_until_it_expires(fixture: &Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    let short = Duration::from_millis(50);
    let begun = Instant::now();
    let first = one.acquire_lease("leader", A, short).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let taken = loop {
        let answer = two.acquire_lease("leader", B, LONG).await.unwrap();
        if answer.term.is_some() {
            break answer;
        }
        assert!(Instant::now() < deadline, "the lease never expires");
    };
    assert_eq!((first.term, taken.term), (Some(1), Some(2)));
    // Not before it expires, to the precision of the database's clock. The times in the answers are of other
    // instants than those that the lease is counted from.
    let held = begun.elapsed();
    assert!(held >= Duration::from_millis(49), "{held:?}");
    assert_eq!(take(&one, A, LONG).await, None);
}

pub async fn a_lease_given_back_is_free_at_once(fixture: &Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    assert_eq!(take(&one, A, LONG).await, Some(1));
    one.release_lease("leader", A).await.unwrap();
    assert_eq!(take(&two, B, LONG).await, Some(2));
    two.release_lease("leader", B).await.unwrap();
    // A holder that takes the lease again is fenced too: what it began under the old term is
    // refused.
    assert_eq!(take(&two, B, LONG).await, Some(3));
}

pub async fn only_the_holder_gives_it_back(fixture: &Fixture) {
    let store = fixture.open().await;
    store.release_lease("leader", A).await.unwrap();
    assert_eq!(take(&store, A, LONG).await, Some(1));
    store.release_lease("leader", B).await.unwrap();
    assert_eq!(take(&store, B, LONG).await, None);
    assert_eq!(take(&store, A, LONG).await, Some(1));
}

pub async fn one_of_many_gets_it(fixture: &Fixture) {
    let stores = [fixture.open().await, fixture.open().await];
    let tries: Vec<_> = (1..=10_u128)
        .map(|holder| {
            let store = Arc::clone(&stores[(holder % 2) as usize]);
            tokio::spawn(async move { take(&store, Uuid::from_u128(holder), LONG).await })
        })
        .collect();
    let mut terms = Vec::new();
    for attempt in tries {
        terms.extend(attempt.await.unwrap());
    }
    assert_eq!(terms, [1]);
}

pub async fn leases_of_other_names_are_apart(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(take(&store, A, LONG).await, Some(1));
    let other = store.acquire_lease("pruner", B, LONG).await.unwrap();
    assert_eq!(other.term, Some(1));
}
