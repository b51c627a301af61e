//! What goes wrong in a store, by what the caller can do.

use super::fault::{Cause, Passing};

/// What went wrong in the store, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or broke off: nothing is known to have happened; try again.
    #[error("the database is unavailable while {during}")]
    Unavailable {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the way to it, said.
        source: Cause,
    },
    /// A stored value cannot be what it should be.
    #[error("{what} is corrupt in the database: {why}")]
    Corrupt {
        /// The table, the row and the column.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The tables are not what Weir relies on: a restore is under way or was cut short, a right is
    /// missing. Nothing was written; works again once an operator has mended it.
    #[error("the database is not as Weir needs it: {why}")]
    Unsound {
        /// What is missing, and the way out.
        why: String,
    },
    /// A newer Weir wrote a stored value; run that one, or a newer one.
    #[error("{what} has format {found}, and this Weir reads up to format {known}")]
    NewerFormat {
        /// The table, the row and the column.
        what: String,
        /// The value's format.
        found: u32,
        /// The newest format that is read.
        known: u32,
    },
    /// Everything else: a fault of the program or of the schema; raise an alarm.
    #[error("the database refused {during}")]
    Failed {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the way to it, said.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the tables may not be as Weir needs them; [`Store::inspect`] tells.
    #[must_use]
    pub fn blames_schema(&self) -> bool {
        match self {
            Self::Failed { source, .. } => source.blames_schema(),
            Self::Unsound { .. } => true,
            Self::Unavailable { .. } | Self::Corrupt { .. } | Self::NewerFormat { .. } => false,
        }
    }

    /// Whether the database has no room to write; reading goes on.
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

    /// What passes by itself, so that trying again later makes sense.
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

    /// Says at which host, where that is not said yet.
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

    /// Whether the database answered, with a value that this program cannot read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::NewerFormat { .. })
    }
}
