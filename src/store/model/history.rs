//! History as it is stored: a row for each window.

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

/// History that becomes final, and under which conditions.
#[derive(Debug, Clone, Copy)]
pub struct Settling<'a> {
    /// Windows whose history is another one than what is stored.
    pub rows: &'a [HistoryRow],
    /// The state of the dictionary that the rows' numbers come from.
    pub names: Incarnation,
    /// Up to where history must be settled now.
    pub after: Option<Timestamp>,
    /// The history of all windows that start before this is settled then.
    pub until: Timestamp,
}

/// The answer to settling history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is settled.
    Settled,
    /// History is settled up to somewhere else: another replica was faster, or the database has
    /// gone back in time. Nothing was written.
    Moved,
    /// The rows' numbers may stand for other names now: the database has gone back in time.
    /// Nothing was written.
    OtherNames,
}
