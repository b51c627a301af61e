//! History as it is stored: a row for each window.

use std::collections::BTreeMap;

use crate::allocation::Window;

/// One window's history, or a correction of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The window.
    pub window: Window,
    /// Encoded by [`history_codec`](crate::store::history_codec).
    pub payload: Vec<u8>,
}

/// The last row given for each window start, by rising start: a statement may not write a row
/// twice.
pub(in crate::store) fn last_of_each_window(rows: &[HistoryRow]) -> Vec<&HistoryRow> {
    let by_start: BTreeMap<_, _> = rows.iter().map(|row| (row.window.start, row)).collect();
    by_start.into_values().collect()
}
