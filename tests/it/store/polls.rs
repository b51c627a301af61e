use std::sync::Arc;

use uuid::Uuid;
use weir::allocation::{PollCount, ServiceId, Timestamp, Window};
use weir::store::{Incarnation, PollsAsked, ReplicaPolls, Store, StoredPolls};

use super::dictionary::{WIDE, add};
use super::maintenance::before;
use super::{Fixture, corrupt_cell, window};

/// The polls of a replica in a window that it counted from beginning to end.
fn polls(replica: u128, number: i64, counts: &[(u32, u32)]) -> ReplicaPolls {
    let count = |(service, polls): &(u32, u32)| PollCount {
        service: ServiceId(*service),
        polls: *polls,
    };
    ReplicaPolls {
        window: window(number),
        replica: Uuid::from_u128(replica),
        counted: window(number),
        names: Incarnation::EMPTY,
        services: counts.iter().map(count).collect(),
    }
}

async fn write(store: &Arc<dyn Store>, polls: &ReplicaPolls) {
    store.commit_polls(polls).await.unwrap();
}

/// The state of the dictionary.
async fn names(store: &Arc<dyn Store>) -> Incarnation {
    let page = store.read_dictionary(None, None).await.unwrap();
    page.cursor.incarnation
}

/// All rows of the windows from one on, sorted.
async fn stored(store: &Arc<dyn Store>, from: i64) -> Vec<StoredPolls> {
    let asked = PollsAsked {
        counted_from: window(0).start,
        polls_from: window(from).start,
        until: window(9).start,
    };
    let (_, mut rows) = store.read_polls(asked).await.unwrap();
    rows.sort_by_key(|row| (row.window, row.replica));
    rows
}

/// A row: its window, its replica, and the polls of each service.
type Told = (i64, u128, Option<Vec<(u32, u32)>>);

/// What each row says; no counts where only who counted was read.
fn told(rows: &[StoredPolls]) -> Vec<Told> {
    let of = |row: &StoredPolls| {
        let services = row.services().unwrap();
        let counts = services.map(|all| all.iter().map(|of| (of.service.0, of.polls)).collect());
        let number = (row.window.start.0 - super::NINE) / 10_000;
        (number, row.replica.as_u128(), counts)
    };
    rows.iter().map(of).collect()
}

pub async fn they_come_back_by_window_and_replica(fixture: &Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    write(&one, &polls(1, 0, &[(7, 3), (2, u32::MAX)])).await;
    write(&other, &polls(2, 0, &[])).await;
    write(&one, &polls(1, 1, &[(7, 4)])).await;
    write(&one, &polls(1, 9, &[(7, 5)])).await;
    let rows = stored(&other, 0).await;
    let expected = [
        (0, 1, Some(vec![(2, u32::MAX), (7, 3)])),
        (0, 2, Some(vec![])),
        (1, 1, Some(vec![(7, 4)])),
    ];
    assert_eq!(told(&rows), expected, "window 9 was not asked for");
    assert_eq!((rows[0].window, rows[0].counted), (window(0), window(0)));
}

pub async fn a_row_written_again_is_replaced(fixture: &Fixture) {
    let store = fixture.open().await;
    write(&store, &polls(1, 0, &[(7, 3)])).await;
    let end = Timestamp(window(0).end.0 - 1);
    let again = ReplicaPolls {
        counted: Window { end, ..window(0) },
        ..polls(1, 0, &[(8, 1)])
    };
    write(&store, &again).await;
    let rows = stored(&store, 0).await;
    assert_eq!(told(&rows), [(0, 1, Some(vec![(8, 1)]))]);
    assert_eq!(rows[0].counted, again.counted);
}

pub async fn of_earlier_windows_only_who_counted_is_read(fixture: &Fixture) {
    let store = fixture.open().await;
    for number in 0..3 {
        write(&store, &polls(1, number, &[(7, 3)])).await;
    }
    let rows = stored(&store, 2).await;
    let expected = [(0, 1, None), (1, 1, None), (2, 1, Some(vec![(7, 3)]))];
    assert_eq!(told(&rows), expected);
}

/// A replica that has not noticed yet that the database lost its newest names.
pub async fn numbers_of_another_past_are_left_out(fixture: &Fixture) {
    let store = fixture.open().await;
    add(&store, WIDE, &[("a", "kept")]).await;
    let kept = names(&store).await;
    fixture.remember().await;
    add(&store, WIDE, &[("b", "lost")]).await;
    let lost = names(&store).await;
    fixture.go_back().await;
    add(&store, WIDE, &[("c", "new")]).await;
    for (replica, names) in [(1, lost), (2, kept)] {
        let polls = ReplicaPolls {
            names,
            ..polls(replica, 0, &[(1, 5)])
        };
        write(&store, &polls).await;
    }
    assert_eq!(told(&stored(&store, 0).await), [(0, 2, Some(vec![(1, 5)]))]);
}

pub async fn they_come_with_the_state_of_their_names(fixture: &Fixture) {
    let store = fixture.open().await;
    let asked = PollsAsked {
        counted_from: window(0).start,
        polls_from: window(0).start,
        until: window(1).start,
    };
    let (state, rows) = store.read_polls(asked).await.unwrap();
    assert_eq!((state, rows), (Incarnation::EMPTY, vec![]));
    add(&store, WIDE, &[("a", "new")]).await;
    let now = names(&store).await;
    assert_eq!(store.read_polls(asked).await.unwrap().0, now);
}

pub async fn a_corrupt_row_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    for replica in [1, 2] {
        write(&store, &polls(replica, 0, &[(7, 3)])).await;
    }
    let damage = match fixture {
        Fixture::Postgres(_) => {
            "update polls set payload = '\\x01ff' where replica::text like '%1'"
        }
        Fixture::Sqlite(_) => "update polls set payload = x'01ff' where replica like '%1'",
    };
    fixture.tamper(damage).await;
    let rows = stored(&store, 0).await;
    let cell = corrupt_cell(rows[0].services());
    let start = window(0).start.0;
    assert_eq!(
        cell,
        format!("polls.payload of a row of bucket_start_ms {start}")
    );
    assert_eq!(told(&rows[1..]), [(0, 2, Some(vec![(7, 3)]))]);
}

pub async fn old_ones_go(fixture: &Fixture) {
    let store = fixture.open().await;
    for number in 0..3 {
        write(&store, &polls(1, number, &[])).await;
    }
    let end = window(9).end;
    store.maintain(end, before(window(2).start)).await.unwrap();
    assert_eq!(told(&stored(&store, 0).await), [(2, 1, Some(vec![]))]);
}
