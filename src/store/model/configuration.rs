//! The operators' configuration as it is stored.

use chrono::{DateTime, Utc};

/// One revision of the operators' configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationRevision {
    /// Increases by one with each write; the first is 1.
    pub revision: u64,
    /// The JSON document.
    pub document: String,
    /// When it was written, to the millisecond.
    pub written_at: DateTime<Utc>,
    /// Who wrote it: the name of a token, or `local`; none if the first start or the release before
    /// did.
    pub written_by: Option<String>,
}

/// Who last wrote each object of a revision of the configuration, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredOrigins {
    /// The JSON document; none if there never was one.
    pub document: Option<String>,
    /// Whether it is of this revision, not of one before.
    pub is_own: bool,
}

/// A revision of the configuration, without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionMark {
    /// Its number.
    pub revision: u64,
    /// When it was written, to the millisecond.
    pub written_at: DateTime<Utc>,
    /// Who wrote it, as in [`ConfigurationRevision::written_by`].
    pub written_by: Option<String>,
}

/// The answer to a conditional write of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationWrite {
    /// It is the newest revision now.
    Written(ConfigurationRevision),
    /// Somebody else wrote first; this is the newest revision.
    Conflict(ConfigurationRevision),
}
