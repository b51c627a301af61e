//! What can be wrong with a traffic file, in words for the user.

use super::{LARGEST_COUNT, LARGEST_FILE};
use crate::allocation::NameError;

/// Why a traffic file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file could not be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than [`LARGEST_FILE`].
    #[error("{0} is larger than {most} MiB", most = LARGEST_FILE >> 20)]
    TooLarge(String),
    /// Something in the file is wrong.
    #[error("{file}:{line}:{column}: {fault}")]
    Faulty {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The column, counted in cells from 1.
        column: usize,
        /// What is wrong there.
        fault: Fault,
    },
}

/// What is wrong with one place of a traffic file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither of the headers.
    #[error(
        "not a known header: expected service,operation,<time>,… or HashOwner,HashApp,HashFunction,Trigger,<minute>,…"
    )]
    UnknownHeader,
    /// The header names no row of time.
    #[error("the header has no column of counts")]
    NoRows,
    /// The header names a row of time twice.
    #[error("the header has a column {0:?} already")]
    RepeatedLabel(String),
    /// There is no operation.
    #[error("the file has no operations")]
    NoOperations,
    /// More than is accepted.
    #[error("more than {most} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much would have been accepted.
        most: usize,
    },
    /// A line has more or fewer cells than the header.
    #[error("the line has {found} cells, the header has {expected}")]
    Cells {
        /// How many the line has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A cell is not UTF-8.
    #[error("the cell is not UTF-8 text")]
    NotText,
    /// A name is none.
    #[error("the {what} name {why}")]
    Name {
        /// Of what.
        what: &'static str,
        /// What is wrong with it.
        why: NameError,
    },
    /// A cell is not a count.
    #[error("{found:?} is not a count (a whole number from 0 to {LARGEST_COUNT})")]
    Count {
        /// What is there instead, cut short.
        found: String,
    },
    /// The operation is on an earlier line too.
    #[error("the same operation is on line {0} already")]
    Repeated(u64),
    /// The file breaks off, or its quotes do.
    #[error("not readable as CSV: {0}")]
    Csv(String),
}
