//! Failures of a store, by what the caller can do.

use super::fault::{Cause, Passing};

/// A failure in the store, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or broke off. Nothing is known to have happened; try again.
    #[error("the database is unavailable while {during}")]
    Unavailable {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the network on the way to it, said.
        source: Cause,
    },
    /// A stored value is impossible.
    #[error("{what} is corrupt in the database: {why}")]
    Corrupt {
        /// The table, the row and the column.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The tables are not as Weir needs them: a restore is in progress or was interrupted, or a
    /// right is missing. Nothing was written. It works again after an operator has repaired it.
    #[error("the database is not as Weir needs it: {why}")]
    Unsound {
        /// What is missing, and how to repair it.
        why: String,
    },
    /// A newer Weir wrote a stored value. Run that version, or a newer one.
    #[error("{what} has format {found}, and this Weir reads up to format {known}")]
    NewerFormat {
        /// The table, the row and the column.
        what: String,
        /// The value's format.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
    /// Anything else: a bug in the program or a wrong schema. Raise an alarm.
    #[error("the database refused {during}")]
    Failed {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the network on the way to it, said.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the tables may not be as Weir needs them; [`Store::inspect`] finds out.
    #[must_use]
    pub fn blames_schema(&self) -> bool {
        match self {
            Self::Failed { source, .. } => source.blames_schema(),
            Self::Unsound { .. } => true,
            Self::Unavailable { .. } | Self::Corrupt { .. } | Self::NewerFormat { .. } => false,
        }
    }

    /// What a client reads while nothing is written because the tables are not as Weir needs them.
    /// `/readyz` and the log name what is missing.
    pub const UNSOUND: &'static str =
        "the database is being restored, or lacks something that Weir needs";

    /// Whether the database has no room for writes. Reads still work.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.passing() == Some(Passing::Full)
    }

    /// Whether the database cannot be reached or does not answer.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let passing = self.passing();
        passing.is_some_and(|it| matches!(it, Passing::Away | Passing::NoConnection))
    }

    /// The kind of failure, if it is temporary, so that a later retry makes sense.
    #[must_use]
    pub fn passing(&self) -> Option<Passing> {
        match self {
            Self::Unavailable { source, .. } => Some(source.passing()),
            Self::Corrupt { .. }
            | Self::Unsound { .. }
            | Self::NewerFormat { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// Adds the host, unless it is known already.
    pub(super) fn at(self, host: Option<&str>) -> Self {
        match self {
            Self::Unavailable { during, source } => Self::Unavailable {
                during,
                source: source.at(host),
            },
            Self::Failed { during, source } => Self::Failed {
                during,
                source: source.at(host),
            },
            other @ (Self::Corrupt { .. } | Self::Unsound { .. } | Self::NewerFormat { .. }) => {
                other
            }
        }
    }

    /// Whether the database answered with a value that this program cannot read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::NewerFormat { .. })
    }
}
