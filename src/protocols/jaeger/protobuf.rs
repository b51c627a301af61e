//! The messages of `proto/jaeger/api_v2/sampling.proto`, and how a strategy is encoded in them.
//!
//! They are written by hand: a build needs no compiler of protobuf, and a reader sees all there is
//! in a page. A test compares them with the descriptor of the `.proto` file.
//!
//! # Source
//! The shape is that of the JSON (`json.rs`), for the same reasons. Java's reader drops what comes
//! after an operation without a name or a probability, so both are always there.

use actix_web::web::Bytes;
use prost::Message;

use crate::grpc::message;
use crate::protocols::encoded::{Packing, StrategyFormat};
use crate::snapshot::ServedStrategy;

/// The descriptor of `sampling.proto` and of nothing else, for server reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!("../../../proto/jaeger/api_v2/sampling.binpb");

/// The name of the service in `sampling.proto`.
pub const SERVICE: &str = "jaeger.api_v2.SamplingManager";

/// Its only method.
pub const METHOD: &str = "GetSamplingStrategy";

/// Jaeger's protobuf, framed as a gRPC message.
#[derive(Debug, Clone, Copy)]
pub struct Protobuf;

/// What an SDK asks for.
#[derive(Clone, PartialEq, Message)]
pub struct SamplingStrategyParameters {
    /// The service; empty from clients that do not know theirs.
    #[prost(string, tag = "1")]
    pub service_name: String,
}

/// A strategy.
#[derive(Clone, PartialEq, Message)]
pub struct SamplingStrategyResponse {
    /// Always 0, `PROBABILISTIC`.
    #[prost(int32, tag = "1")]
    pub strategy_type: i32,
    /// The probability of operations that are not listed, for clients that know no operations.
    #[prost(message, optional, tag = "2")]
    pub probabilistic_sampling: Option<ProbabilisticSamplingStrategy>,
    /// What all clients take if they know operations.
    #[prost(message, optional, tag = "4")]
    pub operation_sampling: Option<PerOperationSamplingStrategies>,
}

/// A probability.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ProbabilisticSamplingStrategy {
    /// 0 to 1.
    #[prost(double, tag = "1")]
    pub sampling_rate: f64,
}

/// The probabilities of a service's operations.
#[derive(Clone, PartialEq, Message)]
pub struct PerOperationSamplingStrategies {
    /// The probability of operations that are not listed.
    #[prost(double, tag = "1")]
    pub default_sampling_probability: f64,
    /// Traces per second that some clients sample of every operation at least, in every instance.
    #[prost(double, tag = "2")]
    pub default_lower_bound_traces_per_second: f64,
    /// The busiest first.
    #[prost(message, repeated, tag = "3")]
    pub per_operation_strategies: Vec<OperationSamplingStrategy>,
    /// Always 0; no client applies it.
    #[prost(double, tag = "4")]
    pub default_upper_bound_traces_per_second: f64,
}

/// The probability of an operation.
#[derive(Clone, PartialEq, Message)]
pub struct OperationSamplingStrategy {
    /// Its name.
    #[prost(string, tag = "1")]
    pub operation: String,
    /// Its probability.
    #[prost(message, optional, tag = "2")]
    pub probabilistic_sampling: Option<ProbabilisticSamplingStrategy>,
}

impl StrategyFormat for Protobuf {
    fn encode(&self, strategy: &ServedStrategy<'_>) -> Vec<u8> {
        encode(
            strategy.default_probability,
            strategy.lower_bound,
            strategy.operations(),
        )
    }

    const HEAD: usize = message::HEADER;

    fn frame(&self, body: Vec<u8>, packing: Packing) -> Bytes {
        message::frame(&body, packing == Packing::Gzip)
    }
}

/// Encodes a service's strategy, with probabilities in single precision as in the JSON. So both
/// change at the same time, and the zeros compress well.
fn encode<'a>(
    default_probability: f64,
    lower_bound: f64,
    operations: impl Iterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let operations = operations.map(|(operation, probability)| OperationSamplingStrategy {
        operation: operation.to_owned(),
        probabilistic_sampling: Some(single(probability)),
    });
    let default = single(default_probability);
    let response = SamplingStrategyResponse {
        strategy_type: 0,
        probabilistic_sampling: Some(default),
        operation_sampling: Some(PerOperationSamplingStrategies {
            default_sampling_probability: default.sampling_rate,
            default_lower_bound_traces_per_second: lower_bound,
            per_operation_strategies: operations.collect(),
            default_upper_bound_traces_per_second: 0.0,
        }),
    };
    response.encode_to_vec()
}

fn single(probability: f64) -> ProbabilisticSamplingStrategy {
    ProbabilisticSamplingStrategy {
        sampling_rate: f64::from(probability as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_every_client_reads() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let probability = SamplingStrategyResponse {
            probabilistic_sampling: Some(single(0.5)),
            ..SamplingStrategyResponse::default()
        };
        assert_eq!(hex(probability.encode_to_vec()), "120909000000000000e03f");
        let whole = encode(0.5, 0.0, [("a", 0.25)].into_iter());
        let expected = "120909000000000000e03f2219\
                        09000000000000e03f1a0e0a01611209\
                        09000000000000d03f";
        assert_eq!(hex(whole), expected);
    }
}
