//! The JSON body that all clients of Jaeger remote sampling read in the same way.
//!
//! # Source
//! Jaeger's `sampling.proto`, as its clients parse it. The Go client refuses unknown fields, the
//! Java client drops everything after an entry without a probability, the Rust client requires
//! every field, and the JavaScript client only knows `PROBABILISTIC`. So the body always has this
//! shape.

use serde::Serialize;

use crate::protocols::encoded::StrategyFormat;
use crate::snapshot::ServedStrategy;

/// Jaeger's JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    strategy_type: &'static str,
    probabilistic_sampling: Probabilistic,
    operation_sampling: Operations<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probabilistic {
    sampling_rate: f32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operations<'a> {
    default_sampling_probability: f32,
    /// Some clients apply it in every SDK instance and for each operation, whatever the
    /// probabilities. It is the bound that the plan has counted: 0 unless an operator reserved a
    /// part of the budget.
    default_lower_bound_traces_per_second: f64,
    per_operation_strategies: Vec<Operation<'a>>,
    default_upper_bound_traces_per_second: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a> {
    operation: &'a str,
    probabilistic_sampling: Probabilistic,
}

impl StrategyFormat for Json {
    fn encode(&self, strategy: &ServedStrategy<'_>) -> Vec<u8> {
        encode(
            strategy.default_probability,
            strategy.lower_bound,
            strategy.operations(),
        )
    }
}

/// Encodes a service's strategy.
///
/// Probabilities are sent in single precision. No estimate is exact to seven digits, and further
/// digits would cost space: in a body with a hundred operations they are 8 % of the bytes, and 31 %
/// after gzip.
fn encode<'a>(
    default_probability: f64,
    lower_bound: f64,
    operations: impl Iterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let default_probability = default_probability as f32;
    let body = Body {
        strategy_type: "PROBABILISTIC",
        probabilistic_sampling: Probabilistic {
            sampling_rate: default_probability,
        },
        operation_sampling: Operations {
            default_sampling_probability: default_probability,
            default_lower_bound_traces_per_second: lower_bound,
            per_operation_strategies: operations
                .map(|(operation, probability)| Operation {
                    operation,
                    probabilistic_sampling: Probabilistic {
                        sampling_rate: probability as f32,
                    },
                })
                .collect(),
            default_upper_bound_traces_per_second: 0,
        },
    };
    serde_json::to_vec(&body).expect("names and finite numbers serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_one_every_client_reads() {
        let body = encode(0.25, 0.0, [("GET /hot", 0.00001)].into_iter());
        insta::assert_snapshot!(String::from_utf8(body).unwrap(), @r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.25},"operationSampling":{"defaultSamplingProbability":0.25,"defaultLowerBoundTracesPerSecond":0.0,"perOperationStrategies":[{"operation":"GET /hot","probabilisticSampling":{"samplingRate":0.00001}}],"defaultUpperBoundTracesPerSecond":0}}"#);
    }

    #[test]
    fn a_lower_bound_is_a_number_as_every_client_reads_them() {
        for (bound, expected) in [
            (0.0, "0.0"),
            (0.000_012, "0.000012"),
            (0.09, "0.09"),
            (12.0, "12.0"),
            (120_000_000.0, "120000000.0"),
        ] {
            let body = String::from_utf8(encode(0.25, bound, std::iter::empty())).unwrap();
            let told = format!("\"defaultLowerBoundTracesPerSecond\":{expected},");
            assert!(body.contains(&told), "{body}");
        }
    }
}
