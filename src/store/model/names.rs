//! What the dictionary of names is asked for, and what it answers.
//!
//! A number means a name only in the database that gave it out. After a failover to a lagging
//! standby, or a restore, the database has forgotten its last names and gives their numbers to
//! others. So every state of the dictionary has an [`Incarnation`], and whoever holds numbers says
//! under which one it looked them up.

use uuid::Uuid;

use crate::allocation::{OperationId, OperationName, ServiceId, ServiceName};

/// A state of the dictionary: random, and another one after every addition and removal.
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
    /// The operation's number; numbers become visible in rising order.
    pub operation: OperationId,
    /// The service's name.
    pub service_name: ServiceName,
    /// The operation's name; `__other__` for the service's overflow entry, made with the service.
    pub operation_name: OperationName,
}

/// Where a reader of the dictionary stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryCursor {
    /// The state it has read.
    pub incarnation: Incarnation,
    /// Rises whenever entries are removed.
    pub generation: u64,
    /// The entries of that state below this number have been read: all of them where this is the
    /// number of the next new operation.
    pub next: OperationId,
}

/// How the dictionary's state follows from the one that a reader has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Only entries were added: those of the page.
    Forward,
    /// Entries were removed, or the reader has read nothing yet or stands too far back: the
    /// page's entries replace everything.
    Anew,
    /// The reader's state is not in the database's past: it has gone back in time, or is another
    /// database. The page's entries replace everything.
    Back,
}

impl Step {
    /// Two steps as one: what replaces everything does so whatever was before or comes after.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Back, _) | (_, Self::Back) => Self::Back,
            (Self::Anew, _) | (_, Self::Anew) => Self::Anew,
            (Self::Forward, Self::Forward) => Self::Forward,
        }
    }
}

/// What a reader of the dictionary is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryPage {
    /// Whether the entries add to what was read before or replace it.
    pub step: Step,
    /// Where the reader stands now.
    pub cursor: DictionaryCursor,
    /// Whether the state asked about is this one or in its past; true where none was.
    pub includes: bool,
    /// By rising operation number.
    pub entries: Vec<DictionaryEntry>,
    /// Whether there are more entries: then the reader goes on from the cursor.
    pub more: bool,
}

/// How many names may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryLimits {
    /// Services, the overflow service not counted.
    pub services: u32,
    /// Operations of one service, its overflow entry not counted.
    pub operations_per_service: u32,
    /// Operations of the fleet, overflow entries not counted.
    pub operations: u32,
}

/// What became of a name that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It has a number, new or old.
    Placed,
    /// Its service has no room for another operation.
    ServiceFull,
    /// The fleet has no room for another service or operation.
    FleetFull,
}
