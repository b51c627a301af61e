//! Which schemas and formats this program knows.
//!
//! The rule: a release works with the schema and reads the formats of the release before and of
//! its own. It writes the formats of the release before until an operator says otherwise.

use super::fault::Fault;
use super::{StoreError, WriteFormat};

/// The level of the schema that the migrations of this program lead to. It rises by one with each
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

/// What that number says. A newer program's formats are written by newer programs only: this one
/// goes on with its newest.
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
