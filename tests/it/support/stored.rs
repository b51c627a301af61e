//! The contents of a store, read directly and not through the server.

use std::collections::HashMap;

use std::ops::Range;

use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::mpsc;
use weir::allocation::Timestamp;
use weir::store::{
    BucketCounts, HistoryRow, SeriesAsked, SeriesRow, Settlement, Settling, Store, StoreError,
};

use super::agents::Totals;
use super::client::now;

/// Reads at once what the program reads row by row.
#[async_trait]
pub trait ReadWhole {
    /// Every delta of the buckets that start in the range.
    async fn read_deltas(&self, starts: Range<Timestamp>) -> Result<Vec<BucketCounts>, StoreError>;

    /// The history of all windows that start in the range.
    async fn read_history(&self, starts: Range<Timestamp>) -> Result<Vec<HistoryRow>, StoreError>;

    /// The rows of series that are asked for.
    async fn read_series(&self, asked: SeriesAsked) -> Result<Vec<SeriesRow>, StoreError>;

    /// Writes history from the currently settled instant on, with the current names.
    async fn settle(&self, rows: &[HistoryRow], until: Timestamp) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: Store + ?Sized> ReadWhole for S {
    async fn read_deltas(&self, starts: Range<Timestamp>) -> Result<Vec<BucketCounts>, StoreError> {
        let (rows, read) = mpsc::channel(1);
        let (read, deltas) = tokio::join!(self.stream_deltas(starts, rows), all(read));
        read?;
        deltas.iter().map(|delta| delta.counts()).collect()
    }

    async fn read_history(&self, starts: Range<Timestamp>) -> Result<Vec<HistoryRow>, StoreError> {
        let (rows, read) = mpsc::channel(1);
        let reading = self.stream_history(starts, u32::MAX, None, rows);
        let (read, history) = tokio::join!(reading, all(read));
        read?;
        Ok(history)
    }

    async fn read_series(&self, asked: SeriesAsked) -> Result<Vec<SeriesRow>, StoreError> {
        let (rows, read) = mpsc::channel(1);
        let (read, series) = tokio::join!(self.stream_series(asked, rows), all(read));
        read?;
        Ok(series)
    }

    async fn settle(&self, rows: &[HistoryRow], until: Timestamp) -> Result<(), StoreError> {
        let settling = Settling {
            rows,
            names: self.read_dictionary(None, None).await?.cursor.incarnation,
            after: self.settled_until().await?,
            until,
        };
        let settlement = self.settle_history(settling).await?;
        assert_eq!(settlement, Settlement::Settled);
        Ok(())
    }
}

async fn all<T>(mut rows: mpsc::Receiver<T>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(row) = rows.recv().await {
        all.push(row);
    }
    all
}

/// The sums of all deltas of the last day, by names.
pub async fn stored_totals(store: &dyn Store) -> Totals {
    let mut page = store.read_dictionary(None, None).await.unwrap();
    let mut entries = std::mem::take(&mut page.entries);
    while page.more {
        let at = Some(page.cursor);
        page = store.read_dictionary(at, None).await.unwrap();
        entries.append(&mut page.entries);
    }
    let names: HashMap<_, _> = entries
        .into_iter()
        .map(|entry| {
            let names = (
                entry.service_name.to_string(),
                entry.operation_name.to_string(),
            );
            (entry.operation, names)
        })
        .collect();
    let day = TimeDelta::days(1);
    let starts = [now() - day, now() + day].map(|at| Timestamp(at.timestamp_millis()));
    let mut totals = Totals::new();
    for bucket in store.read_deltas(starts[0]..starts[1]).await.unwrap() {
        for count in bucket.operations {
            let total = totals.entry(names[&count.operation].clone()).or_default();
            total.0 += count.offered;
            total.1 += count.sampled;
        }
    }
    store.close().await;
    totals
}
