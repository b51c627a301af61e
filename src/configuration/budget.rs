//! The budget, in traces or in what they cost.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::overrides::given;
use super::{Configuration, ConfigurationError, within};

/// The mean length of a month, in seconds.
pub const MONTH_SECONDS: f64 = 365.25 / 12.0 * 86_400.0;

/// The bytes of a gigabyte.
pub(super) const GIGABYTE: f64 = 1e9;

/// The most spans of a trace, and the most bytes of a span, that can be configured. More is a mistake.
const SPANS_MAX: f64 = 1e6;
const BYTES_MAX: f64 = 1e6;

/// The target for the sampled rate of the whole fleet, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// In traces per second.
    TracesPerSecond(f64),
    /// In spans per second.
    SpansPerSecond(f64),
    /// In gigabytes a month.
    GigabytesPerMonth(f64),
}

/// The budget as it is written: exactly one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, deserialize_with = "given")]
    traces_per_second: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    spans_per_second: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    gigabytes_per_month: Option<f64>,
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written {
            traces_per_second,
            spans_per_second,
            gigabytes_per_month,
        } = Written::deserialize(from)?;
        match (traces_per_second, spans_per_second, gigabytes_per_month) {
            (Some(traces), None, None) => Ok(Self::TracesPerSecond(traces)),
            (None, Some(spans), None) => Ok(Self::SpansPerSecond(spans)),
            (None, None, Some(gigabytes)) => Ok(Self::GigabytesPerMonth(gigabytes)),
            _ => Err(D::Error::custom(
                "must have exactly one of traces_per_second, spans_per_second and gigabytes_per_month",
            )),
        }
    }
}

/// What a trace costs. Operators know it from their backend, and sources may tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// The spans of a trace, in the mean.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub spans_per_trace: Option<f64>,
    /// The bytes of a span, in the mean.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub bytes_per_span: Option<f64>,
    /// Whether what sources tell is used, once it can be trusted. What is stated is used until then. Only the fleet's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub measured: bool,
}

impl Cost {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Some cost, where the real one is not known: with it, a budget may be in any unit.
    pub(super) fn of_anything() -> Self {
        Self {
            spans_per_trace: Some(1.0),
            bytes_per_span: Some(1.0),
            measured: false,
        }
    }

    /// What a service's traces cost: its own, else the fleet's.
    pub(super) fn or(&self, fleet: &Self) -> Self {
        Self {
            spans_per_trace: self.spans_per_trace.or(fleet.spans_per_trace),
            bytes_per_span: self.bytes_per_span.or(fleet.bytes_per_span),
            measured: false,
        }
    }

    pub(super) fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        for (field, value, least, most) in [
            ("spans_per_trace", self.spans_per_trace, 1.0, SPANS_MAX),
            ("bytes_per_span", self.bytes_per_span, 1.0, BYTES_MAX),
        ] {
            if value.is_some_and(|value| !(least..=most).contains(&value)) {
                return Err(ConfigurationError::new(
                    format!("{at}.{field}"),
                    format!("must be between {least} and {most}"),
                ));
            }
        }
        Ok(())
    }
}

impl Budget {
    /// The field of the document.
    fn field(&self) -> &'static str {
        match self {
            Self::TracesPerSecond(_) => "budget.traces_per_second",
            Self::SpansPerSecond(_) => "budget.spans_per_second",
            Self::GigabytesPerMonth(_) => "budget.gigabytes_per_month",
        }
    }

    /// The unit, as the field of the document.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        self.field().trim_start_matches("budget.")
    }

    /// The number, in its unit.
    #[must_use]
    pub fn amount(&self) -> f64 {
        match *self {
            Self::TracesPerSecond(amount)
            | Self::SpansPerSecond(amount)
            | Self::GigabytesPerMonth(amount) => amount,
        }
    }

    /// What a trace costs in the unit of the budget, per second; none if that is not known.
    pub(super) fn of_trace(&self, cost: &Cost) -> Option<f64> {
        match self {
            Self::TracesPerSecond(_) => Some(1.0),
            Self::SpansPerSecond(_) => cost.spans_per_trace,
            Self::GigabytesPerMonth(_) => {
                let bytes = cost.spans_per_trace? * cost.bytes_per_span?;
                Some(bytes * MONTH_SECONDS / GIGABYTE)
            }
        }
    }

    /// Checks the number, and that the cost of a trace is known.
    pub(super) fn check(&self, cost: &Cost) -> Result<(), ConfigurationError> {
        within(self.field(), self.amount(), Configuration::BUDGET_MAX)?;
        if self.of_trace(cost).is_some() {
            return Ok(());
        }
        let missing = match cost.spans_per_trace {
            None => "spans_per_trace",
            Some(_) => "bytes_per_span",
        };
        Err(ConfigurationError::new(
            format!("cost.{missing}"),
            format!(
                "is not known, and {} needs it: set it to the mean of the fleet, which the backend of the traces \
                 shows, or use traces_per_second",
                self.field()
            ),
        ))
    }
}

impl Configuration {
    /// The budget in traces per second, if a trace costs this much.
    #[must_use]
    pub fn budget_in_traces(&self, cost_per_trace: f64) -> f64 {
        (self.budget.amount() / cost_per_trace).min(Self::BUDGET_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Known;
    use super::*;
    use crate::names::Names;

    fn read(document: &str) -> Result<Configuration, String> {
        let read: Configuration =
            serde_json::from_str(document).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    #[test]
    fn a_budget_has_one_unit_and_a_known_cost() {
        let refused = |document: &str| read(document).unwrap_err();
        let two = r#"{"budget": {"traces_per_second": 1, "spans_per_second": 2}}"#;
        assert!(refused(two).contains("exactly one of"));
        assert!(refused(r#"{"budget": {}}"#).contains("exactly one of"));
        let unknown = refused(r#"{"budget": {"spans_per_second": 2}}"#);
        assert!(
            unknown.starts_with("cost.spans_per_trace is not known"),
            "{unknown}"
        );
        let bytes = r#"{"budget": {"gigabytes_per_month": 2}, "cost": {"spans_per_trace": 10}}"#;
        assert!(refused(bytes).starts_with("cost.bytes_per_span is not known"));
        let none = r#"{"budget": {"traces_per_second": 2}, "cost": {"spans_per_trace": 0}}"#;
        assert!(refused(none).starts_with("cost.spans_per_trace must be between 1 and"));
    }

    #[test]
    fn a_budget_is_converted_at_what_traces_cost() {
        let spans = r#"{"budget": {"spans_per_second": 500}, "cost": {"spans_per_trace": 10}}"#;
        let traces = |document: &str| {
            let read = read(document).unwrap();
            let costing = read.costing(1, &Names::default(), Known::default());
            read.budget_in_traces(costing.per_trace)
        };
        assert_eq!(traces(spans), 50.0);
        let bytes = r#"{"budget": {"gigabytes_per_month": 2629.8},
            "cost": {"spans_per_trace": 10, "bytes_per_span": 500}}"#;
        assert!((traces(bytes) - 200.0).abs() < 1e-9);
        assert_eq!(traces(r#"{"budget": {"traces_per_second": 7}}"#), 7.0);
    }
}
