//! Final names: those that spans have at their end, under the names that samplers were asked with.

use uuid::Uuid;

use crate::allocation::Window;
use crate::store::{StoreError, final_names_codec};

/// The requests under one final name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FinalName {
    /// The span's name when the sampler was asked.
    pub at_start: String,
    /// The span's name at its end; the name at start if nothing gave it another one.
    pub at_end: String,
    /// Requests, whether they are roots or not.
    pub requests: u64,
}

/// The final names of one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceFinalNames {
    /// The service's name: it has no number that the database might lose.
    pub service: String,
    /// Its final names.
    pub names: Vec<FinalName>,
}

/// The final names that one replica heard in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFinalNames {
    /// The window in which the exports arrived.
    pub window: Window,
    /// The replica. It has another identity after each start.
    pub replica: Uuid,
    /// The services of which it heard some, each once.
    pub services: Vec<ServiceFinalNames>,
}

/// Final names as they are stored: those of a part of the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFinalNames {
    /// The window.
    pub window: Window,
    pub(in crate::store) payload: Vec<u8>,
}

impl StoredFinalNames {
    /// The final names by service.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] or [`StoreError::Corrupt`]. Other rows can still be read.
    pub fn services(&self) -> Result<Vec<ServiceFinalNames>, StoreError> {
        final_names_codec::decode(&self.payload).map_err(|damage| {
            let start = self.window.start.0;
            damage.of(format!(
                "final_names.payload of a row of bucket_start_ms {start}"
            ))
        })
    }
}
