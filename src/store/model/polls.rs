//! How often SDKs asked each replica for their strategies.

use uuid::Uuid;

use super::Incarnation;
use crate::allocation::{PollCount, Timestamp, Window};
use crate::store::{StoreError, polls_codec};

/// The polls that one replica answered in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaPolls {
    /// The window.
    pub window: Window,
    /// The replica. It has another identity after each start.
    pub replica: Uuid,
    /// The part of the window in which it counted: all of it, unless it began or stopped in the window.
    pub counted: Window,
    /// The incarnation of the dictionary in which its numbers were found.
    pub names: Incarnation,
    /// The polls of each service that was polled, each service once.
    pub services: Vec<PollCount>,
}

/// The polls of one replica in a window, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolls {
    /// The window.
    pub window: Window,
    /// The replica.
    pub replica: Uuid,
    /// The part of the window in which it counted.
    pub counted: Window,
    pub(in crate::store) payload: Option<Vec<u8>>,
}

impl StoredPolls {
    /// What the cells of a row hold.
    #[must_use]
    pub fn new(window: Window, replica: Uuid, counted: Window, payload: Option<Vec<u8>>) -> Self {
        Self {
            window,
            replica,
            counted,
            payload,
        }
    }

    /// What is read of a row after it was written.
    #[cfg(test)]
    pub(crate) fn of(polls: &ReplicaPolls) -> Self {
        Self {
            window: polls.window,
            replica: polls.replica,
            counted: polls.counted,
            payload: Some(polls_codec::encode(&polls.services)),
        }
    }

    /// The polls by service, sorted; none if only who counted was read.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] or [`StoreError::Corrupt`]. Other rows can still be read.
    pub fn services(&self) -> Result<Option<Vec<PollCount>>, StoreError> {
        let Some(payload) = &self.payload else {
            return Ok(None);
        };
        let decoded = polls_codec::decode(payload).map_err(|damage| {
            let start = self.window.start.0;
            damage.of(format!("polls.payload of a row of bucket_start_ms {start}"))
        });
        decoded.map(Some)
    }
}

/// Which polls to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollsAsked {
    /// Of windows that start from here on, who counted.
    pub counted_from: Timestamp,
    /// Of those that start from here on, the polls too.
    pub polls_from: Timestamp,
    /// Nothing of windows that start here or later.
    pub until: Timestamp,
}
