//! History as it is stored: one row per window.

use super::Incarnation;
use crate::allocation::{Timestamp, Window};

/// One window's history, or a correction of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The window.
    pub window: Window,
    /// Encoded by [`history_codec`](crate::store::history_codec).
    pub payload: Vec<u8>,
}

/// History to settle, and the conditions.
#[derive(Debug, Clone, Copy)]
pub struct Settling<'a> {
    /// Windows whose history differs from what is stored.
    pub rows: &'a [HistoryRow],
    /// The incarnation in which the rows' numbers were found.
    pub names: Incarnation,
    /// History must be settled up to here at present.
    pub after: Option<Timestamp>,
    /// Afterwards, the history of all windows that start before this is settled.
    pub until: Timestamp,
}

/// The answer to settling history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is settled.
    Settled,
    /// History is settled up to another point: another replica was faster, or the database went
    /// back in time. Nothing was written.
    Moved,
    /// The rows' numbers may belong to other names now: the database went back in time. Nothing was
    /// written.
    OtherNames,
}
