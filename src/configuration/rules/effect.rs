//! What a rule sets.

use serde::{Deserialize, Serialize};

use crate::configuration::overrides::given;
use crate::configuration::{BoundsSettings, ConfigurationError, Coverage};

/// What a rule sets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Effect {
    /// As [`BoundsSettings::weight`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// As [`BoundsSettings::floor_traces_per_second`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub floor_traces_per_second: Option<f64>,
    /// As [`BoundsSettings::cap_traces_per_second`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cap_traces_per_second: Option<f64>,
    /// As [`BoundsSettings::probability_min`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability_min: Option<f64>,
    /// As [`BoundsSettings::probability_max`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability_max: Option<f64>,
    /// As [`BoundsSettings::probability`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// As [`BoundsSettings::priority`].
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// A floor, given by its purpose.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Whether nothing is sampled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclude: bool,
}

impl Effect {
    /// The same as settings of an operation.
    #[must_use]
    pub fn settings(&self) -> BoundsSettings {
        let covered = self.coverage.as_ref().map(Coverage::floor);
        let floor = self.floor_traces_per_second.into_iter().chain(covered);
        BoundsSettings {
            weight: self.weight,
            floor_traces_per_second: floor.reduce(f64::max),
            cap_traces_per_second: self.cap_traces_per_second,
            probability_min: self.probability_min,
            probability_max: self.probability_max,
            probability: if self.exclude {
                Some(0.0)
            } else {
                self.probability
            },
            priority: self.priority,
        }
    }

    pub(super) fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        if *self == Self::default() {
            let problem = "must set something, like weight or probability";
            return Err(ConfigurationError::new(at.into(), problem.into()));
        }
        if self.exclude && self.probability.is_some() {
            let problem = "must not be set beside exclude";
            return Err(ConfigurationError::new(
                format!("{at}.probability"),
                problem.into(),
            ));
        }
        let stated = BoundsSettings {
            floor_traces_per_second: self.floor_traces_per_second,
            ..self.settings()
        };
        stated.check(at)?;
        let Some(coverage) = &self.coverage else {
            return Ok(());
        };
        coverage.check().map_err(|error| {
            ConfigurationError::new(format!("{at}.{}", error.field), error.problem)
        })
    }
}
