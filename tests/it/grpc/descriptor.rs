//! The `.proto` file, its committed descriptor and the messages in Rust say the same.

use std::path::{Path, PathBuf};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use weir::protocols::jaeger::protobuf::{
    DESCRIPTOR, OperationSamplingStrategy, PerOperationSamplingStrategies,
    ProbabilisticSamplingStrategy, SamplingStrategyParameters, SamplingStrategyResponse,
};

/// Writes the descriptor instead of comparing it.
const WRITE: &str = "WEIR_BLESS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

/// A message of `sampling.proto`, described by that file alone.
pub fn message(name: &str) -> MessageDescriptor {
    let compiled = protox::compile(["jaeger/api_v2/sampling.proto"], [folder()]);
    let pool = DescriptorPool::from_file_descriptor_set(compiled.expect("it compiles"));
    let message = pool.expect("it is sound").get_message_by_name(name);
    message.expect("the file has the message")
}

#[test]
fn the_committed_descriptor_is_that_of_the_file() {
    let mut compiled = protox::compile(["jaeger/api_v2/sampling.proto"], [folder()]).unwrap();
    // Comments and their places are of no use to clients.
    compiled
        .file
        .iter_mut()
        .for_each(|file| file.source_code_info = None);
    let compiled = compiled.encode_to_vec();
    if std::env::var_os(WRITE).is_some() {
        let path = folder().join("jaeger/api_v2/sampling.binpb");
        std::fs::write(path, &compiled).unwrap();
    }
    assert!(compiled == DESCRIPTOR, "set {WRITE}=1 to write it again");
}

fn read(name: &str, bytes: &[u8]) -> Value {
    let read = DynamicMessage::decode(message(name), bytes).unwrap();
    serde_json::to_value(read).unwrap()
}

#[test]
fn the_messages_in_rust_are_those_of_the_file() {
    let strategy = SamplingStrategyResponse {
        strategy_type: 1,
        probabilistic_sampling: Some(ProbabilisticSamplingStrategy {
            sampling_rate: 0.25,
        }),
        operation_sampling: Some(PerOperationSamplingStrategies {
            default_sampling_probability: 0.5,
            default_lower_bound_traces_per_second: 0.125,
            per_operation_strategies: vec![OperationSamplingStrategy {
                operation: "GET /".into(),
                probabilistic_sampling: Some(ProbabilisticSamplingStrategy {
                    sampling_rate: 0.75,
                }),
            }],
            default_upper_bound_traces_per_second: 2.5,
        }),
    };
    let expected = json!({
        "strategyType": "RATE_LIMITING",
        "probabilisticSampling": { "samplingRate": 0.25 },
        "operationSampling": {
            "defaultSamplingProbability": 0.5,
            "defaultLowerBoundTracesPerSecond": 0.125,
            "perOperationStrategies": [
                { "operation": "GET /", "probabilisticSampling": { "samplingRate": 0.75 } },
            ],
            "defaultUpperBoundTracesPerSecond": 2.5,
        },
    });
    let name = "jaeger.api_v2.SamplingStrategyResponse";
    assert_eq!(read(name, &strategy.encode_to_vec()), expected);
    let asked = SamplingStrategyParameters {
        service_name: "shop".into(),
    };
    let name = "jaeger.api_v2.SamplingStrategyParameters";
    let expected = json!({ "serviceName": "shop" });
    assert_eq!(read(name, &asked.encode_to_vec()), expected);
}
