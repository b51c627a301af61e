mod replicas;

use std::sync::Arc;

use weir::allocation::{
    OVERFLOW_NAME, OVERFLOW_OPERATION, OVERFLOW_SERVICE, OperationId, OperationName, ServiceName,
};
use weir::store::{DictionaryEntry, DictionaryLimits, Step, Store};

use super::{Fixture, corrupt_cell};

pub use replicas::*;

pub const WIDE: DictionaryLimits = DictionaryLimits {
    services: 1000,
    operations_per_service: 1000,
    operations: 1000,
};

pub fn names(pairs: &[(&str, &str)]) -> Vec<(ServiceName, OperationName)> {
    let name = |(service, operation): &(&str, &str)| {
        (
            ServiceName::parse(service).unwrap(),
            OperationName::parse(operation).unwrap(),
        )
    };
    pairs.iter().map(name).collect()
}

pub async fn add(store: &Arc<dyn Store>, limits: DictionaryLimits, pairs: &[(&str, &str)]) {
    store.add_names(&names(pairs), limits).await.unwrap();
}

/// Removes every name that the dictionary has now.
pub async fn remove(store: &Arc<dyn Store>, operations: &[OperationId]) -> u64 {
    let page = store.read_dictionary(None, None).await.unwrap();
    let under = page.cursor.incarnation;
    store.remove_names(under, operations, None).await.unwrap()
}

async fn entries(store: &Arc<dyn Store>) -> Vec<DictionaryEntry> {
    store.read_dictionary(None, None).await.unwrap().entries
}

/// The pairs in the dictionary, without the overflow service.
async fn pairs(store: &Arc<dyn Store>) -> Vec<(String, String)> {
    let pair = |entry: &DictionaryEntry| {
        (
            entry.service_name.to_string(),
            entry.operation_name.to_string(),
        )
    };
    entries(store).await.iter().skip(1).map(pair).collect()
}

fn text(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(service, operation)| (service.to_string(), operation.to_string()))
        .collect()
}

pub async fn number(store: &Arc<dyn Store>, service: &str, operation: &str) -> OperationId {
    let entries = entries(store).await;
    let found = entries.iter().find(|entry| {
        entry.service_name.as_str() == service && entry.operation_name.as_str() == operation
    });
    found.unwrap().operation
}

pub async fn it_starts_with_the_overflow_entry(fixture: &Fixture) {
    let store = fixture.open().await;
    let page = store.read_dictionary(None, None).await.unwrap();
    assert_eq!(page.step, Step::Anew);
    let [entry] = page.entries.as_slice() else {
        panic!("{:?}", page.entries);
    };
    assert_eq!(
        (entry.service, entry.operation),
        (OVERFLOW_SERVICE, OVERFLOW_OPERATION)
    );
    assert_eq!(entry.service_name.as_str(), OVERFLOW_NAME);
    assert_eq!(entry.operation_name.as_str(), OVERFLOW_NAME);
    let again = store
        .read_dictionary(Some(page.cursor), None)
        .await
        .unwrap();
    assert_eq!(
        (again.step, again.cursor, again.entries),
        (Step::Forward, page.cursor, vec![])
    );
}

pub async fn numbers_rise_and_a_cursor_follows(fixture: &Fixture) {
    let store = fixture.open().await;
    let start = store.read_dictionary(None, None).await.unwrap().cursor;
    add(&store, WIDE, &[("a", "1"), ("a", "2")]).await;
    let first = store.read_dictionary(Some(start), None).await.unwrap();
    assert_eq!(first.step, Step::Forward);
    assert_eq!(first.entries.len(), 3);
    add(&store, WIDE, &[("a", "3"), ("b", "1")]).await;
    let second = store
        .read_dictionary(Some(first.cursor), None)
        .await
        .unwrap();
    assert_eq!(second.entries.len(), 3);
    let all = entries(&store).await;
    assert_eq!(all[1..], [first.entries, second.entries].concat());
    assert!(all.is_sorted_by(|a, b| a.operation < b.operation));
    let nothing = store
        .read_dictionary(Some(second.cursor), None)
        .await
        .unwrap();
    assert_eq!((nothing.cursor, nothing.entries), (second.cursor, vec![]));
}

pub async fn a_service_brings_its_overflow_entry(fixture: &Fixture) {
    let store = fixture.open().await;
    add(
        &store,
        WIDE,
        &[("a", "1"), ("b", OVERFLOW_NAME), (OVERFLOW_NAME, "x")],
    )
    .await;
    let expected = text(&[("a", OVERFLOW_NAME), ("b", OVERFLOW_NAME), ("a", "1")]);
    assert_eq!(pairs(&store).await, expected);
    let entries = entries(&store).await;
    assert_eq!(entries[1].service, entries[3].service);
    assert_ne!(entries[1].service, entries[2].service);
}

pub async fn limits_hold(fixture: &Fixture) {
    let store = fixture.open().await;
    let limits = DictionaryLimits {
        services: 2,
        operations_per_service: 2,
        operations: 3,
    };
    let wanted = [
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("b", "1"),
        ("b", "2"),
        ("c", "1"),
    ];
    let other = OVERFLOW_NAME;
    let expected = text(&[
        ("a", other),
        ("b", other),
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
    ]);
    for _ in 0..2 {
        add(&store, limits, &wanted).await;
        assert_eq!(pairs(&store).await, expected);
    }
    for late in wanted {
        add(&store, limits, &[late]).await;
    }
    assert_eq!(pairs(&store).await, expected);
    add(&store, WIDE, &wanted).await;
    assert_eq!(pairs(&store).await.len(), 9);
}

pub async fn services_come_before_operations(fixture: &Fixture) {
    let store = fixture.open().await;
    let limits = DictionaryLimits {
        operations: 1,
        ..WIDE
    };
    add(&store, limits, &[("a", "1"), ("a", "2"), ("b", "1")]).await;
    let other = OVERFLOW_NAME;
    assert_eq!(
        pairs(&store).await,
        text(&[("a", other), ("b", other), ("a", "1")])
    );
}

pub async fn known_names_are_passed_over(fixture: &Fixture) {
    let store = fixture.open().await;
    add(
        &store,
        WIDE,
        &[("a", "1"), ("a", "1"), ("it's", "\"q\" \\")],
    )
    .await;
    let before = entries(&store).await;
    assert_eq!(before.len(), 5);
    add(
        &store,
        WIDE,
        &[("it's", "\"q\" \\"), ("a", "1"), ("A", "1")],
    )
    .await;
    let after = entries(&store).await;
    assert_eq!(after[..5], before);
    // No number is spent on names that were known.
    let numbers: Vec<u32> = after.iter().map(|entry| entry.operation.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
}

pub async fn removing_starts_a_new_generation(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "1"), ("a", "2"), ("b", "1")]).await;
    let before = store.read_dictionary(None, None).await.unwrap();
    let gone = [
        number(&store, "a", "2").await,
        number(&store, "b", "1").await,
    ];
    assert_eq!(remove(&store, &gone).await, 2);
    let after = store
        .read_dictionary(Some(before.cursor), None)
        .await
        .unwrap();
    assert_eq!(after.step, Step::Anew);
    assert!(after.cursor.generation > before.cursor.generation);
    let kept: Vec<_> = before
        .entries
        .into_iter()
        .filter(|entry| !gone.contains(&entry.operation) && entry.service_name.as_str() != "b")
        .collect();
    assert_eq!(after.entries, kept);
    // A name that comes back gets a new number.
    add(&store, WIDE, &[("b", "1")]).await;
    let page = store
        .read_dictionary(Some(after.cursor), None)
        .await
        .unwrap();
    assert_eq!(page.step, Step::Forward);
    assert_eq!(page.entries.len(), 2);
    assert!(page.entries.iter().all(|entry| entry.operation > gone[1]));
}

pub async fn removing_nothing_changes_nothing(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "1")]).await;
    let before = store.read_dictionary(None, None).await.unwrap();
    for ids in [vec![], vec![OperationId(77)], vec![OVERFLOW_OPERATION]] {
        assert_eq!(remove(&store, &ids).await, 0);
    }
    let after = store
        .read_dictionary(Some(before.cursor), None)
        .await
        .unwrap();
    assert_eq!((after.step, after.entries), (Step::Forward, vec![]));
    assert_eq!(after.cursor, before.cursor);
}

pub async fn room_is_given_back(fixture: &Fixture) {
    let store = fixture.open().await;
    let limits = DictionaryLimits {
        services: 1,
        operations_per_service: 1,
        operations: 1,
    };
    add(&store, limits, &[("a", "1")]).await;
    add(&store, limits, &[("b", "2")]).await;
    assert_eq!(
        pairs(&store).await,
        text(&[("a", OVERFLOW_NAME), ("a", "1")])
    );
    let gone = number(&store, "a", "1").await;
    assert_eq!(remove(&store, &[gone, gone]).await, 1);
    add(&store, limits, &[("b", "2")]).await;
    assert_eq!(
        pairs(&store).await,
        text(&[("b", OVERFLOW_NAME), ("b", "2")])
    );
}

pub async fn overflow_entries_go_only_with_their_service(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "1"), ("b", OVERFLOW_NAME)]).await;
    let overflow = [
        OVERFLOW_OPERATION,
        number(&store, "a", OVERFLOW_NAME).await,
        number(&store, "b", OVERFLOW_NAME).await,
    ];
    // Service b has no operation, so it is removed; a has one, so its overflow entry stays.
    assert_eq!(remove(&store, &overflow).await, 0);
    assert_eq!(
        pairs(&store).await,
        text(&[("a", OVERFLOW_NAME), ("a", "1")])
    );
    assert_eq!(entries(&store).await[0].operation, OVERFLOW_OPERATION);
}

pub async fn a_corrupt_name_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "1")]).await;
    fixture
        .tamper("update operation set name = '' where operation_id = 2")
        .await;
    let what = corrupt_cell(store.read_dictionary(None, None).await);
    assert_eq!(what, "operation.name of operation_id 2");
    fixture.tamper("update dictionary set services = -1").await;
    let what = corrupt_cell(store.add_names(&names(&[("b", "1")]), WIDE).await);
    assert_eq!(what, "dictionary.services");
}
