//! The operators' configuration: one versioned document, parsed into the allocation's policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::allocation::Policy;
use crate::store::ConfigurationRevision;

/// The document as it is stored. Every field has a default, so older documents stay readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// What the fleet may keep.
    pub budget: Budget,
    /// The probability served while no plan has been computed.
    ///
    /// # Source
    /// 0.001 is what Jaeger's adaptive sampling starts from.
    pub initial_probability: f64,
    /// The most of the budget that may be set aside for operations not seen yet, in [0, 1].
    pub unseen_reserve_max: f64,
    /// The exponent of `offered` in an operation's weight, in [0, 1].
    pub weight_exponent: f64,
}

/// The wanted sampled rate of the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// In traces per second.
    pub traces_per_second: f64,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ConfigurationError {
    /// The field, as a path in the document.
    pub field: &'static str,
    /// What is wrong, in words that follow the field's name.
    pub problem: String,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            budget: Budget {
                traces_per_second: Self::INITIAL_BUDGET,
            },
            initial_probability: 0.001,
            unseen_reserve_max: 0.05,
            weight_exponent: 0.0,
        }
    }
}

impl Configuration {
    /// The budget of a Weir that nobody has given one, in traces per second: enough to see
    /// something of every service of a middling fleet, little enough to cost nobody anything.
    pub const INITIAL_BUDGET: f64 = 10.0;

    /// The largest budget that is not taken for a slip, in traces per second.
    pub const BUDGET_MAX: f64 = 1e9;

    /// Reads a stored revision.
    ///
    /// # Errors
    /// Says what does not fit; a document that was checked when written fails only when a newer
    /// Weir wrote it.
    pub fn read(revision: &ConfigurationRevision) -> Result<Self, String> {
        let read: Self =
            serde_json::from_str(&revision.document).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    /// The document to store.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string(self).expect("plain numbers serialise")
    }

    /// Checks every figure's range.
    ///
    /// # Errors
    /// Names the first field out of its range.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        within(
            "traces_per_second",
            self.budget.traces_per_second,
            Self::BUDGET_MAX,
        )?;
        within("initial_probability", self.initial_probability, 1.0)?;
        within("unseen_reserve_max", self.unseen_reserve_max, 1.0)?;
        within("weight_exponent", self.weight_exponent, 1.0)
    }

    /// The allocation's view of it.
    #[must_use]
    pub fn policy(&self, revision: u64) -> Policy {
        Policy {
            revision,
            budget: self.budget.traces_per_second,
            weight_exponent: self.weight_exponent,
            initial_probability: self.initial_probability,
            unseen_reserve_max: self.unseen_reserve_max,
            services: BTreeMap::new(),
            operations: BTreeMap::new(),
        }
    }
}

fn within(field: &'static str, value: f64, most: f64) -> Result<(), ConfigurationError> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigurationError {
        field,
        problem: format!("must be between 0 and {most}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(document: &str) -> ConfigurationRevision {
        ConfigurationRevision {
            revision: 1,
            document: document.into(),
            written_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut written = Configuration::default();
        written.budget.traces_per_second = 12.5;
        assert_eq!(
            Configuration::read(&revision(&written.document())),
            Ok(written)
        );
    }

    #[test]
    fn an_older_document_takes_the_defaults() {
        let read = Configuration::read(&revision(r#"{"budget":{"traces_per_second":3}}"#));
        assert_eq!(read.unwrap().initial_probability, 0.001);
    }

    #[test]
    fn a_figure_out_of_range_is_named() {
        let read = Configuration::read(&revision(r#"{"budget":{"traces_per_second":-3}}"#));
        assert_eq!(
            read,
            Err("traces_per_second must be between 0 and 1000000000".into())
        );
    }
}
