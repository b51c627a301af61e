//! Failures inside a backend, and how they are classified.

mod cause;
mod unreachable;

use std::fmt::Display;

use chrono::{DateTime, Utc};
use sqlx::migrate::MigrateError;

pub use cause::{Cause, Passing};
pub(super) use unreachable::Unreachable;

use super::StoreError;

/// A failure that does not know yet which call it belongs to.
#[derive(Debug)]
pub enum Fault {
    /// The driver's.
    Driver(sqlx::Error),
    /// A cell contains an impossible value.
    Corrupt { what: String, why: String },
    /// The tables are not as Weir needs them.
    Unsound(String),
    /// A decoder could not read a cell.
    Unreadable(StoreError),
    /// The partition for a row does not exist. It was removed from the list of known ones, so the
    /// next attempt creates it.
    PartitionMissing(sqlx::Error),
    /// There is no connection.
    Unreachable(Unreachable),
    /// Something is configured in a way that Weir cannot work with.
    Unsuitable(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Unreachable> for Fault {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

impl Fault {
    /// Names a corrupt cell.
    pub fn corrupt(what: impl Into<String>, why: impl Display) -> Self {
        Self::Corrupt {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// A row is missing that always exists.
    pub fn no_row() -> Self {
        Self::Driver(sqlx::Error::RowNotFound)
    }

    /// Adds the call that failed, and what the caller can do.
    pub fn during(self, during: &'static str) -> StoreError {
        match self {
            Self::Corrupt { what, why } => StoreError::Corrupt { what, why },
            Self::Unsound(why) => StoreError::Unsound { why },
            Self::Unreadable(error) => error,
            Self::Unreachable(why) => StoreError::Unavailable {
                during,
                source: why.into(),
            },
            Self::Unsuitable(said) => StoreError::Failed {
                during,
                source: Cause::of(said),
            },
            Self::Driver(error) | Self::PartitionMissing(error) => {
                let source = Cause::from(&error);
                match passes(&error) {
                    true => StoreError::Unavailable { during, source },
                    false => StoreError::Failed { during, source },
                }
            }
        }
    }

    /// Whether the server does not accept writes any more.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Driver(error) => code(error).as_deref() == Some("25006"),
            _ => false,
        }
    }

    /// Whether another attempt is likely to succeed at once.
    pub fn is_worth_another_attempt(&self) -> bool {
        match self {
            // It conflicted with another transaction; or the server dropped a prepared statement,
            // or a change of the schema outdated it.
            Self::Driver(error) => matches!(
                code(error).as_deref(),
                Some("40001" | "40P01" | "26000" | "0A000")
            ),
            Self::PartitionMissing(_) => true,
            Self::Corrupt { .. }
            | Self::Unsound(_)
            | Self::Unreadable(_)
            | Self::Unreachable(_)
            | Self::Unsuitable(_) => false,
        }
    }
}

/// The number in a cell; it must fit its type.
pub(super) fn number<T: TryFrom<i64>>(
    value: i64,
    what: impl FnOnce() -> String,
) -> Result<T, Fault> {
    T::try_from(value).map_err(|_| Fault::corrupt(what(), format_args!("{value} is out of range")))
}

/// One of our numbers as a signed 64-bit integer, which databases store.
pub(super) fn signed(value: u64, what: &'static str) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| {
        let why = format!("{what} {value} does not fit 63 bits");
        Fault::Driver(sqlx::Error::Encode(why.into()))
    })
}

/// The instant in a cell, in milliseconds since the Unix epoch.
pub(super) fn instant(
    milliseconds: i64,
    what: impl FnOnce() -> String,
) -> Result<DateTime<Utc>, Fault> {
    let instant = DateTime::from_timestamp_millis(milliseconds);
    instant.ok_or_else(|| Fault::corrupt(what(), "it is out of range"))
}

/// The SQLSTATE, or SQLite's extended result code.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Whether an error says that the role lacks a right: 42501, «insufficient privilege».
pub(super) fn is_denied(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                is_denied(error)
            }
            _ => false,
        },
        _ => code(error).as_deref() == Some("42501"),
    }
}

/// Whether an error may be caused by the tables instead of the call: class 42, «syntax error or
/// access rule violation», for a missing table, key, function or right; 3F000, «invalid schema
/// name»; in SQLite the generic code 1.
pub(super) fn blames_schema(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| {
        (code.len() == 5 && code.starts_with("42")) || code == "3F000" || code == "1"
    })
}

/// Whether an error says that there is no room for data: 53100, «disk full», or SQLite's primary
/// code 13.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else {
        return false;
    };
    let primary = || code.parse::<u32>().map(|code| code & 0xff);
    code == "53100" || (code.len() < 5 && primary() == Ok(13))
}

/// Whether an error is temporary, so that a later retry makes sense.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        // An answer out of order comes from a proxy that mixed up or lost its server.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                passes(error)
            }
            _ => false,
        },
        _ => code(error).is_some_and(|code| code_passes(&code)),
    }
}

/// # Source
/// PostgreSQL documentation, appendix A «Error codes» (five characters); SQLite documentation,
/// «Result and error codes» (a decimal number whose low eight bits are the primary code).
fn code_passes(code: &str) -> bool {
    if code.len() == 5 {
        let class = &code[..2];
        // Connection exception, transaction rollback, insufficient resources.
        return matches!(class, "08" | "40" | "53")
            || matches!(
                code,
                // Read-only: a standby that is about to be promoted. Idle in a transaction for too
                // long. Lock not available. Cancelled by a time limit. Shutting down, crashed,
                // starting, dropped, idle for too long. Credentials are being rotated, or a
                // database is being created again.
                "25006"
                    | "25P03"
                    | "55P03"
                    | "57014"
                    | "57P01"
                    | "57P02"
                    | "57P03"
                    | "57P04"
                    | "57P05"
                    | "28000"
                    | "28P01"
                    | "3D000"
            );
    }
    let Ok(code) = code.parse::<u32>() else {
        return false;
    };
    // Busy, locked, out of memory, input or output error, full.
    matches!(code & 0xff, 5 | 6 | 7 | 10 | 13)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_codes_are_told_from_faults() {
        let passing = [
            "08006", "40P01", "40001", "53300", "53100", "57P01", "57P02", "57P03", "57014",
            "25006", "28P01", "28000", "3D000", "57P04", "5", "6", "261", "517", "13", "778",
        ];
        for code in passing {
            assert!(code_passes(code), "{code}");
        }
        for code in ["23505", "42P01", "42501", "XX000", "1", "11", "14", "19"] {
            assert!(!code_passes(code), "{code}");
        }
    }

    #[test]
    fn an_error_says_what_failed_and_leaves_the_rest_to_its_source() {
        let error = Fault::from(sqlx::Error::PoolTimedOut).during("reading the lease");
        assert_eq!(
            error.to_string(),
            "the database is unavailable while reading the lease"
        );
        assert!(std::error::Error::source(&error).is_some());
        let error = Fault::from(sqlx::Error::RowNotFound).during("reading the lease");
        assert_eq!(error.to_string(), "the database refused reading the lease");
        let error = Fault::corrupt("plan.epoch of plan 3", "-1 is out of range").during("x");
        let text = "plan.epoch of plan 3 is corrupt in the database: -1 is out of range";
        assert_eq!(error.to_string(), text);
    }
}
