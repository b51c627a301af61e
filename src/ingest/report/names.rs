//! The names of a report: as a protocol read them, and whether they are valid.

use std::borrow::Cow;

use crate::allocation::{Class, NameError, OperationName};
use crate::telemetry::metrics::FoldReason;

/// A name as a protocol read it.
#[derive(Debug, Clone)]
pub enum ReportedName<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes that need not be UTF-8.
    Bytes(Cow<'a, [u8]>),
}

impl ReportedName<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> From<Cow<'a, str>> for ReportedName<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Cow<'a, [u8]>> for ReportedName<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Self::Bytes(bytes)
    }
}

/// Checks an operation's name, which must not look like an entry of a class.
pub(super) fn check_operation(text: &str) -> Result<(), NameError> {
    OperationName::check(text)?;
    match Class::is_reserved(text) {
        true => Err(NameError::ControlCharacter),
        false => Ok(()),
    }
}

/// The same for one that gets a class.
pub(super) fn check_classed(text: &str) -> Result<(), NameError> {
    let longest = OperationName::LONGEST - Class::BYTES;
    if text.len() > longest {
        return Err(NameError::TooLong(longest));
    }
    check_operation(text)
}

/// A valid name, or why it is not valid.
pub(super) fn text(
    name: ReportedName<'_>,
    check: fn(&str) -> Result<(), NameError>,
) -> Result<Cow<'_, str>, (FoldReason, ReportedName<'_>)> {
    let text = match name {
        ReportedName::Text(text) => text,
        ReportedName::Bytes(Cow::Borrowed(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => return Err((FoldReason::NotUnicode, name)),
        },
        ReportedName::Bytes(Cow::Owned(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => {
                let bytes = Cow::Owned(error.into_bytes());
                return Err((FoldReason::NotUnicode, ReportedName::Bytes(bytes)));
            }
        },
    };
    let reason = match check(&text) {
        Ok(()) => return Ok(text),
        Err(NameError::Empty) => FoldReason::Empty,
        Err(NameError::TooLong(_)) => FoldReason::TooLong,
        Err(NameError::ControlCharacter) => FoldReason::ControlCharacter,
    };
    Err((reason, ReportedName::Text(text)))
}
