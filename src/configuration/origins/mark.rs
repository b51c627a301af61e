//! Who last wrote one object.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Writer;
use crate::store::Origin;

/// Who last wrote an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What sent it.
    #[serde(serialize_with = "name", deserialize_with = "named")]
    pub origin: Origin,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The revision that this became.
    pub revision: u64,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The part that the file owns; none if it is the whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Whether that was to delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// What a file had written here before somebody else did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrote: Option<Overwrote>,
}

/// What a file had written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overwrote {
    /// Who applied the file.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The part that the file owns; none if it is the whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

fn name<S: Serializer>(origin: &Origin, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(origin.name())
}

fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Origin, D::Error> {
    let name = String::deserialize(from)?;
    let origin = Origin::named(&name);
    origin.ok_or_else(|| serde::de::Error::custom("must be api, cli, file or ui"))
}

impl Mark {
    /// What a file wrote here, last or before somebody else did.
    #[must_use]
    pub fn of_file(&self) -> Option<Overwrote> {
        match self.origin {
            Origin::File => Some(Overwrote {
                by: self.by.clone(),
                at: self.at,
                part: self.part.clone(),
            }),
            _ => self.overwrote.clone(),
        }
    }

    /// Whether a file wrote it that owns the same.
    pub(super) fn is_of(&self, writer: &Writer<'_>) -> bool {
        let own = writer.owns.map(|owns| &owns.name);
        self.origin == Origin::File && (self.part.as_ref() == own || self.part.is_some())
    }
}
