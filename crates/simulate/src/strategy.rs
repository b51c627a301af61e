//! Reads a sampling strategy like the strictest real client.
//!
//! OpenTelemetry's Go sampler refuses a body with an unknown field, and the Rust one a body without
//! one of the fields. What this reader accepts, all of them accept.

use std::collections::HashMap;

use serde::Deserialize;

/// The strategy as an SDK applies it to root requests of its service.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientStrategy {
    /// The probability for operations that are not listed, in [0, 1].
    pub default_probability: f64,
    /// The probabilities of the listed operations, in [0, 1].
    pub operations: HashMap<String, f64>,
}

/// Why a real client would have refused a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The shape differs from the one that every client reads.
    #[error("the strategy does not have the shape that every client reads: {0}")]
    Shape(String),
    /// A probability outside [0, 1].
    #[error("the probability of {0} is outside [0, 1]")]
    Probability(String),
    /// A bound that is negative or not a number.
    #[error("a bound is negative or not finite")]
    Bound,
    /// An entry without a name.
    #[error("an operation has an empty name")]
    EmptyName,
    /// Two entries with the same name.
    #[error("the operation {0:?} is listed twice")]
    Repeated(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    #[serde(rename = "strategyType")]
    _strategy_type: StrategyType,
    probabilistic_sampling: Probabilistic,
    operation_sampling: PerOperation,
}

/// Rate limiting is not among them: several clients cannot read it.
#[derive(Deserialize)]
enum StrategyType {
    #[serde(rename = "PROBABILISTIC")]
    Probabilistic,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Probabilistic {
    sampling_rate: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PerOperation {
    default_sampling_probability: f64,
    default_lower_bound_traces_per_second: f64,
    per_operation_strategies: Vec<Entry>,
    default_upper_bound_traces_per_second: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    operation: String,
    probabilistic_sampling: Probabilistic,
}

impl ClientStrategy {
    /// Reads a body.
    ///
    /// # Errors
    /// Says why a client would have refused it.
    ///
    /// # Source
    /// Jaeger's `api_v2/sampling.proto` as OpenTelemetry's Go, Java, JavaScript and Rust samplers
    /// read its JSON.
    pub fn parse(body: &[u8]) -> Result<Self, Violation> {
        let body: Body =
            serde_json::from_slice(body).map_err(|error| Violation::Shape(error.to_string()))?;
        let per_operation = body.operation_sampling;
        for bound in [
            per_operation.default_lower_bound_traces_per_second,
            per_operation.default_upper_bound_traces_per_second,
        ] {
            if !(bound.is_finite() && bound >= 0.0) {
                return Err(Violation::Bound);
            }
        }
        probability(body.probabilistic_sampling.sampling_rate, "the service")?;
        let mut operations = HashMap::with_capacity(per_operation.per_operation_strategies.len());
        for entry in per_operation.per_operation_strategies {
            if entry.operation.is_empty() {
                return Err(Violation::EmptyName);
            }
            let rate = probability(entry.probabilistic_sampling.sampling_rate, &entry.operation)?;
            if operations.insert(entry.operation.clone(), rate).is_some() {
                return Err(Violation::Repeated(entry.operation));
            }
        }
        Ok(Self {
            default_probability: probability(
                per_operation.default_sampling_probability,
                "operations not listed",
            )?,
            operations,
        })
    }

    /// The probability for one operation: its own, else the default.
    #[must_use]
    pub fn probability(&self, operation: &str) -> f64 {
        self.operations
            .get(operation)
            .copied()
            .unwrap_or(self.default_probability)
    }
}

fn probability(rate: f64, of: &str) -> Result<f64, Violation> {
    if (0.0..=1.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(Violation::Probability(of.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.25},"operationSampling":{"defaultSamplingProbability":0.125,"defaultLowerBoundTracesPerSecond":0.0,"perOperationStrategies":[{"operation":"GET /hot","probabilisticSampling":{"samplingRate":0.00001}}],"defaultUpperBoundTracesPerSecond":0}}"#;

    #[test]
    fn the_common_body_is_read() {
        let strategy = ClientStrategy::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(strategy.probability("GET /hot"), 0.00001);
        assert_eq!(strategy.probability("GET /new"), 0.125);
    }

    #[test]
    fn whatever_breaks_some_client_is_a_violation() {
        for (from, to) in [
            ("\"PROBABILISTIC\"", "0"),
            ("\"PROBABILISTIC\"", "\"RATE_LIMITING\""),
            ("\"strategyType\":\"PROBABILISTIC\",", ""),
            ("{\"strategyType\"", "{\"plan\":7,\"strategyType\""),
            ("\"probabilisticSampling\":{\"samplingRate\":0.25},", ""),
            ("\"defaultLowerBoundTracesPerSecond\":0.0,", ""),
            (",\"defaultUpperBoundTracesPerSecond\":0", ""),
            (",\"probabilisticSampling\":{\"samplingRate\":0.00001}", ""),
            ("\"GET /hot\"", "\"\""),
            ("0.00001", "1.5"),
            ("0.25", "-0.25"),
            ("0.125", "null"),
            ("Second\":0.0", "Second\":-1.0"),
        ] {
            let body = GOOD.replacen(from, to, 1);
            assert_ne!(body, GOOD, "{from} is in the body");
            assert!(ClientStrategy::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_null_or_repeated_list_is_a_violation() {
        let start = GOOD.find('[').unwrap();
        let end = GOOD.find(']').unwrap();
        let entry = &GOOD[start + 1..end];
        for list in ["null".to_owned(), format!("[{entry},{entry}]")] {
            let body = format!("{}{list}{}", &GOOD[..start], &GOOD[end + 1..]);
            assert!(ClientStrategy::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
