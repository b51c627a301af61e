//! Which schemas and formats this program can work with.
//!
//! The rule: a release works with the schema of the previous release and its own, and reads both
//! releases' formats. It writes the formats of the previous release until an operator says
//! otherwise.

use super::fault::Fault;
use super::{StoreError, WriteFormat};

/// The level of the schema after the migrations of this program. It increases by one with each
/// release that changes the schema.
const SCHEMA_LEVEL: i64 = 2;

/// Refuses a database that only newer programs can work with.
pub(super) fn check(readable_from: i64) -> Result<(), Fault> {
    if readable_from <= SCHEMA_LEVEL {
        return Ok(());
    }
    Err(Fault::Unreadable(StoreError::NewerFormat {
        what: "the database's schema".into(),
        found: u32::try_from(readable_from).unwrap_or(u32::MAX),
        known: SCHEMA_LEVEL as u32,
    }))
}

/// The number in the column `compatibility.write_format`.
pub(super) fn number(format: WriteFormat) -> i64 {
    match format {
        WriteFormat::Previous => 1,
        WriteFormat::Newest => 2,
    }
}

/// The format for a number. The formats of a newer program are only written by newer programs; this
/// one continues with its newest.
pub(super) fn format(number: i64) -> WriteFormat {
    if number >= 2 {
        WriteFormat::Newest
    } else {
        WriteFormat::Previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_for_newer_programs_is_refused_in_a_sentence() {
        assert!(check(1).is_ok() && check(SCHEMA_LEVEL).is_ok());
        let refused = check(SCHEMA_LEVEL + 1).unwrap_err().during("starting");
        let said = "the database's schema has format 3, and this Weir reads up to format 2";
        assert_eq!(refused.to_string(), said);
    }

    #[test]
    fn formats_keep_their_numbers() {
        for known in [WriteFormat::Previous, WriteFormat::Newest] {
            assert_eq!(format(number(known)), known);
        }
        assert_eq!(format(3), WriteFormat::Newest);
    }
}
