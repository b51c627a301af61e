use std::sync::Arc;

use weir::store::{HistoryRow, Store};

use super::{Fixture, window};

fn row(number: i64, payload: &str) -> HistoryRow {
    HistoryRow {
        window: window(number),
        payload: payload.as_bytes().to_vec(),
    }
}

async fn read(store: &Arc<dyn Store>, from: i64, to: i64) -> Vec<HistoryRow> {
    store
        .read_history(window(from).start..window(to).start)
        .await
        .unwrap()
}

pub async fn rows_come_back_oldest_first(fixture: &Fixture) {
    let store = fixture.open().await;
    store.write_history(&[]).await.unwrap();
    // Over several days, so over several partitions.
    store
        .write_history(&[row(20_000, "c"), row(1, "b")])
        .await
        .unwrap();
    store.write_history(&[row(0, "a")]).await.unwrap();
    assert_eq!(
        read(&store, 0, 30_000).await,
        [row(0, "a"), row(1, "b"), row(20_000, "c")]
    );
    assert_eq!(read(&store, 1, 20_000).await, [row(1, "b")]);
    assert_eq!(read(&store, 2, 20_000).await, []);
}

pub async fn a_correction_replaces_its_window(fixture: &Fixture) {
    let store = fixture.open().await;
    store
        .write_history(&[row(0, "a"), row(1, "b")])
        .await
        .unwrap();
    let mut longer = row(0, "corrected");
    longer.window.end = window(3).end;
    store
        .write_history(std::slice::from_ref(&longer))
        .await
        .unwrap();
    assert_eq!(read(&store, 0, 9).await, [longer, row(1, "b")]);
}

pub async fn a_window_given_twice_is_written_once(fixture: &Fixture) {
    let store = fixture.open().await;
    store
        .write_history(&[row(0, "a"), row(1, "b"), row(0, "later")])
        .await
        .unwrap();
    assert_eq!(read(&store, 0, 9).await, [row(0, "later"), row(1, "b")]);
}
