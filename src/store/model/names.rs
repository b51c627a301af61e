//! The requests to the dictionary of names, and its answers.
//!
//! A number means a name only in the database that assigned it. After a failover to a lagging
//! standby, or a restore, the database has forgotten its last names and assigns their numbers to
//! others. So every state of the dictionary has an [`Incarnation`], and every user of numbers says
//! under which one it found them.

use uuid::Uuid;

use crate::allocation::{OperationId, OperationName, ServiceId, ServiceName};

/// A state of the dictionary: random, and a new one after every addition and removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub Uuid);

impl Incarnation {
    /// A dictionary that has never had a name.
    pub const EMPTY: Self = Self(Uuid::nil());
}

/// One (service, operation) pair with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryEntry {
    /// The service's number.
    pub service: ServiceId,
    /// The operation's number. Numbers become visible in ascending order.
    pub operation: OperationId,
    /// The service's name.
    pub service_name: ServiceName,
    /// The operation's name; `__other__` for the overflow entry of the service, which is created
    /// with the service.
    pub operation_name: OperationName,
}

/// The position of a reader of the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryCursor {
    /// The incarnation that it has read.
    pub incarnation: Incarnation,
    /// Increases whenever entries are removed.
    pub generation: u64,
    /// The entries of that state below this number were read. All were read if this is the number
    /// of the next new operation.
    pub next: OperationId,
}

/// The relation of the dictionary's state to the one that a reader has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Only entries were added: those of the page.
    Forward,
    /// Entries were removed, or the reader has read nothing yet or a state that is too old. The
    /// entries of the page replace everything.
    Anew,
    /// The reader's state is not in the database's past: the database went back in time, or is
    /// another one. The entries of the page replace everything.
    Back,
}

impl Step {
    /// Combines two steps. If one of them replaces everything, so does the result.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Back, _) | (_, Self::Back) => Self::Back,
            (Self::Anew, _) | (_, Self::Anew) => Self::Anew,
            (Self::Forward, Self::Forward) => Self::Forward,
        }
    }
}

/// A page for a reader of the dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryPage {
    /// Whether the entries are added to those read before, or replace them.
    pub step: Step,
    /// The new position of the reader.
    pub cursor: DictionaryCursor,
    /// Whether the state in question is this one or in its past; true if there was no question.
    pub includes: bool,
    /// In ascending order of operation numbers.
    pub entries: Vec<DictionaryEntry>,
    /// Whether there are more entries. If so, the reader continues from the cursor.
    pub more: bool,
}

/// How many names may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryLimits {
    /// Services, not counting the overflow service.
    pub services: u32,
    /// Operations of one service, not counting its overflow entry.
    pub operations_per_service: u32,
    /// Operations of the fleet, not counting overflow entries.
    pub operations: u32,
}

/// The result for a name that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It has a number, new or old.
    Placed,
    /// Its service has no room for another operation.
    ServiceFull,
    /// The fleet has no room for another service or operation.
    FleetFull,
}
