//! What holds for the whole fleet for a time: the mode, a freeze, and an emergency that cuts everything.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::overrides::given;
use super::rules::{Expiry, check_words};
use super::{Configuration, ConfigurationError, within};
use crate::allocation::{Serving, Timestamp};

/// How long a freeze lasts if it does not say it: nobody is left with yesterday's probabilities.
pub const FREEZE_LASTS: TimeDelta = TimeDelta::hours(24);

/// How long an emergency lasts if it does not say it.
pub const EMERGENCY_LASTS: TimeDelta = TimeDelta::hours(1);

/// What is done with plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are served.
    #[default]
    Enforce,
    /// They are computed and shown; SDKs are served the initial probability.
    Observe,
}

impl Mode {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is served stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Who answers questions about it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Until when. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<Expiry>,
    /// When it was asked for. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub written_at: Option<DateTime<Utc>>,
}

/// Everything that is served is multiplied by a factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// The factor, in [0, 1].
    pub factor: f64,
    /// Who answers questions about it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Until when. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<DateTime<Utc>>,
    /// Since when. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub written_at: Option<DateTime<Utc>>,
}

impl Freeze {
    /// Whether it applies at a time.
    #[must_use]
    pub fn is_active(&self, at: Timestamp) -> bool {
        match self.expires {
            Some(Expiry::At(end)) => end.timestamp_millis() > at.0,
            Some(Expiry::Never) | None => true,
        }
    }

    fn complete(&mut self, held: Option<&Self>, now: DateTime<Utc>) {
        let same = held.filter(|held| held.owner == self.owner && held.reason == self.reason);
        let held_expires = same.and_then(|held| held.expires);
        self.expires = self
            .expires
            .or(held_expires)
            .or_else(|| now.checked_add_signed(FREEZE_LASTS).map(Expiry::At));
        self.written_at = same.and_then(|held| held.written_at).or(Some(now));
    }
}

impl Emergency {
    /// Whether it applies at a time.
    #[must_use]
    pub fn is_active(&self, at: Timestamp) -> bool {
        self.expires
            .is_some_and(|end| end.timestamp_millis() > at.0)
    }

    /// Since when it applies.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        Timestamp(self.written_at.map_or(0, |at| at.timestamp_millis()))
    }

    fn complete(&mut self, held: Option<&Self>, now: DateTime<Utc>) {
        let same = held.filter(|held| {
            let like = (held.factor, &held.owner, &held.reason);
            like == (self.factor, &self.owner, &self.reason)
        });
        let held_expires = same.and_then(|held| held.expires);
        let lasts = || now.checked_add_signed(EMERGENCY_LASTS);
        self.expires = self.expires.or(held_expires).or_else(lasts);
        self.written_at = same.and_then(|held| held.written_at).or(Some(now));
    }
}

/// An emergency, read from a document of which nothing else may be known.
#[derive(Deserialize)]
struct Cuts {
    #[serde(default)]
    emergency: Option<Emergency>,
}

/// The emergency of a stored document. Everything else in it may be of a newer release.
///
/// # Errors
/// The emergency itself cannot be read.
pub fn emergency_of(document: &str) -> Result<Option<Emergency>, String> {
    let Cuts { emergency } = serde_json::from_str(document).map_err(|error| error.to_string())?;
    if let Some(emergency) = &emergency {
        check_emergency(emergency).map_err(|error| error.to_string())?;
    }
    Ok(emergency)
}

impl Configuration {
    /// What is served of a plan whose window ends at a time.
    #[must_use]
    pub fn serving(&self, at: Timestamp) -> Serving {
        match (self.mode, &self.freeze) {
            (Mode::Observe, _) => Serving::Observe,
            (Mode::Enforce, Some(freeze)) if freeze.is_active(at) => Serving::Freeze,
            (Mode::Enforce, _) => Serving::Plan,
        }
    }

    /// Fills in when a freeze and an emergency were asked for, and when they run out.
    pub(super) fn complete_controls(&mut self, held: &Self, now: DateTime<Utc>) {
        if let Some(freeze) = &mut self.freeze {
            freeze.complete(held.freeze.as_ref(), now);
        }
        if let Some(emergency) = &mut self.emergency {
            emergency.complete(held.emergency.as_ref(), now);
        }
    }

    pub(super) fn check_controls(&self) -> Result<(), ConfigurationError> {
        if let Some(freeze) = &self.freeze {
            check_words("freeze", &freeze.owner, &freeze.reason)?;
        }
        self.emergency.as_ref().map_or(Ok(()), check_emergency)
    }
}

fn check_emergency(emergency: &Emergency) -> Result<(), ConfigurationError> {
    within("emergency.factor", emergency.factor, 1.0)?;
    check_words("emergency", &emergency.owner, &emergency.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn a_freeze_runs_out_after_a_day_unless_it_says_never() {
        let freeze = |expires: Option<Expiry>| Freeze {
            owner: "ann".into(),
            reason: "a release".into(),
            expires,
            written_at: None,
        };
        let mut written = freeze(None);
        written.complete(None, at(0));
        assert_eq!(written.expires, Some(Expiry::At(at(24 * 3600))));
        assert!(written.is_active(Timestamp(24 * 3_600_000 - 1)));
        assert!(!written.is_active(Timestamp(24 * 3_600_000)));
        let mut again = freeze(None);
        again.complete(Some(&written), at(60));
        assert_eq!(again, written, "written again it is the same");
        let mut never = freeze(Some(Expiry::Never));
        never.complete(None, at(0));
        assert!(never.is_active(Timestamp(i64::MAX)));
    }

    #[test]
    fn an_emergency_is_read_from_a_document_of_a_newer_release() {
        let document = r#"{"something": {"new": [1]}, "emergency": {"factor": 0.1, "owner": "ann",
            "reason": "the backend is full", "expires": "1970-01-01T01:00:00Z",
            "written_at": "1970-01-01T00:30:00Z"}}"#;
        let emergency = emergency_of(document).unwrap().expect("there is one");
        assert_eq!(emergency.factor, 0.1);
        assert_eq!(emergency.since(), Timestamp(1_800_000));
        assert!(emergency.is_active(Timestamp(3_599_999)));
        assert!(!emergency.is_active(Timestamp(3_600_000)));
        assert_eq!(emergency_of("{}"), Ok(None));
        assert!(emergency_of(&document.replace("0.1", "1.1")).is_err());
    }
}
