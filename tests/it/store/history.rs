use std::sync::Arc;

use tokio::sync::mpsc;
use weir::allocation::{OperationId, Timestamp};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::{HistoryRow, Incarnation, Settlement, Settling, Store, WriteFormat};

use super::{Fixture, window};
use crate::support::stored::ReadWhole;

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
    store.settle(&[], Timestamp(0)).await.unwrap();
    // Over several days, so over several partitions.
    store
        .settle(&[row(20_000, "c"), row(1, "b")], Timestamp(0))
        .await
        .unwrap();
    store.settle(&[row(0, "a")], Timestamp(0)).await.unwrap();
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
        .settle(&[row(0, "a"), row(1, "b")], Timestamp(0))
        .await
        .unwrap();
    let mut longer = row(0, "corrected");
    longer.window.end = window(3).end;
    store
        .settle(std::slice::from_ref(&longer), Timestamp(0))
        .await
        .unwrap();
    assert_eq!(read(&store, 0, 9).await, [longer, row(1, "b")]);
}

pub async fn a_window_given_twice_is_written_once(fixture: &Fixture) {
    let store = fixture.open().await;
    store
        .settle(&[row(0, "a"), row(1, "b"), row(0, "later")], Timestamp(0))
        .await
        .unwrap();
    assert_eq!(read(&store, 0, 9).await, [row(0, "later"), row(1, "b")]);
}

/// A window of many operations, each with different counts.
fn large(number: i64, format: WriteFormat) -> HistoryRow {
    let operation = |id: u32| HistoryOperation {
        operation: OperationId(id),
        offered: u64::from(id) * 1000 + number.unsigned_abs(),
        sampled: Some(u64::from(id)),
        probability: Some(0.5),
    };
    let operations: Vec<_> = (1..=20_000).map(operation).collect();
    HistoryRow {
        window: window(number),
        payload: history_codec::encode(&operations, format),
    }
}

/// One operation is read without the others, both in the newest format and in the previous one.
pub async fn one_operation_is_read_alone(fixture: &Fixture) {
    let store = fixture.open().await;
    let rows = [
        large(0, WriteFormat::Newest),
        large(1, WriteFormat::Previous),
        row(2, "\u{9}newer"),
        large(3, WriteFormat::Newest),
    ];
    store.settle(&rows, Timestamp(0)).await.unwrap();
    for wanted in [1, 4_096, 4_097, 20_000, 30_000] {
        let (sent, mut read) = mpsc::channel(10);
        let starts = window(0).start..window(9).start;
        let operation = OperationId(wanted);
        let streamed = store.stream_history(starts, 10, Some(operation), sent);
        streamed.await.unwrap();
        let mut offered = Vec::new();
        while let Some(part) = read.recv().await {
            let number = (part.window.start.0 - window(0).start.0) / 10_000;
            if number != 1 {
                assert!(part.payload.len() < rows[0].payload.len() / 3);
            }
            let found = history_codec::find(&part.payload, operation);
            offered.push(found.map(|found| found.map(|found| found.offered)).ok());
        }
        let counted = |number: u64| (wanted <= 20_000).then_some(u64::from(wanted) * 1000 + number);
        let expected = [Some(counted(0)), Some(counted(1)), None, Some(counted(3))];
        assert_eq!(offered, expected, "operation {wanted}");
    }
}

/// Rows are read one at a time: if the reader stops taking them, no more are read.
pub async fn rows_wait_for_their_reader(fixture: &Fixture) {
    let store = fixture.open().await;
    let rows: Vec<_> = (0..100).map(|number| row(number, "a")).collect();
    store.settle(&rows, Timestamp(0)).await.unwrap();
    let (sent, mut read) = mpsc::channel(1);
    let reader = Arc::clone(&store);
    let starts = window(0).start..window(100).start;
    let streaming =
        tokio::spawn(async move { reader.stream_history(starts, 50, None, sent).await });
    for number in 0..10 {
        assert_eq!(read.recv().await.unwrap().window, window(number));
    }
    assert!(!streaming.is_finished(), "40 rows wait");
    drop(read);
    streaming.await.unwrap().unwrap();
}

pub async fn where_settling_stopped_is_remembered_with_what_was_settled(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.settled_until().await.unwrap(), None);
    let until = window(1).start;
    store.settle(&[row(0, "a")], until).await.unwrap();
    let another = fixture.open().await;
    assert_eq!(another.settled_until().await.unwrap(), Some(until));
    another.settle(&[], window(7).start).await.unwrap();
    let settled = store.settled_until().await.unwrap();
    assert_eq!(settled, Some(window(7).start));
    assert_eq!(read(&store, 0, 9).await, [row(0, "a")]);
}

/// A new database has never been used by a replica of the previous release; an older database may
/// have been.
pub async fn formats_are_written_as_the_operator_says(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.write_format().await.unwrap(), WriteFormat::Newest);
    for format in [WriteFormat::Previous, WriteFormat::Newest] {
        store.set_write_format(format).await.unwrap();
        let another = fixture.open().await;
        assert_eq!(another.write_format().await.unwrap(), format);
    }
}

pub async fn a_schema_for_newer_programs_is_refused(fixture: &Fixture) {
    fixture.open().await.close().await;
    fixture
        .tamper("update compatibility set readable_from = 99")
        .await;
    let refused = fixture.try_open().await.err().expect("it is refused");
    let said = "the database's schema has format 99, and this Weir reads up to format 2";
    assert_eq!(refused.to_string(), said);
}

/// What a job remembers of the database must not be used after the database has gone back to an
/// earlier state.
pub async fn history_is_settled_only_from_where_it_stands(fixture: &Fixture) {
    let store = fixture.open().await;
    let until = |number| window(number).start;
    store.settle(&[row(0, "a")], until(1)).await.unwrap();
    fixture.remember().await;
    store.settle(&[row(1, "b")], until(2)).await.unwrap();
    fixture.go_back().await;
    let next = |after| Settling {
        rows: &[],
        names: Incarnation::EMPTY,
        after,
        until: until(3),
    };
    for elsewhere in [None, Some(until(2)), Some(until(3))] {
        let settlement = store.settle_history(next(elsewhere)).await.unwrap();
        assert_eq!(settlement, Settlement::Moved, "{elsewhere:?}");
    }
    assert_eq!(store.settled_until().await.unwrap(), Some(until(1)));
    let settlement = store.settle_history(next(Some(until(1)))).await.unwrap();
    assert_eq!(settlement, Settlement::Settled);
    assert_eq!(store.settled_until().await.unwrap(), Some(until(3)));
}
