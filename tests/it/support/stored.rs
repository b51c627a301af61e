//! What a store holds, read past the server.

use std::collections::HashMap;

use chrono::TimeDelta;
use weir::allocation::Timestamp;
use weir::store::Store;

use super::agents::Totals;
use super::client::now;

/// The sums of all deltas of the last day, by names.
pub async fn stored_totals(store: &dyn Store) -> Totals {
    let page = store.read_dictionary(None, None).await.unwrap();
    let names: HashMap<_, _> = page
        .entries
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
