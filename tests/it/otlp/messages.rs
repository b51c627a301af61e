//! Bodies of protobuf, encoded by the `.proto` files alone.

use std::path::Path;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};
use serde_json::Value;

/// The files of the services; the others are imported.
pub const FILES: [&str; 3] = [
    "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
    "opentelemetry/proto/collector/logs/v1/logs_service.proto",
];

pub const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest";
pub const TRACES: &str = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest";

/// What the committed `.proto` files say.
pub fn compiled() -> FileDescriptorSet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    protox::compile(FILES, [folder]).expect("they compile")
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::from_file_descriptor_set(compiled()).expect("they are sound"));

/// The message of this name in protobuf, from what it is in JSON. Fields that are not in the `.proto`
/// files are left out.
pub fn protobuf(name: &str, json: &Value) -> Vec<u8> {
    let message = POOL.get_message_by_name(name).expect("a file has it");
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let read = DynamicMessage::deserialize_with_options(message, json, &options);
    read.expect("the message in JSON").encode_to_vec()
}

/// A message of protobuf as JSON.
pub fn json(name: &str, bytes: &[u8]) -> Value {
    let message = POOL.get_message_by_name(name).expect("a file has it");
    let read = DynamicMessage::decode(message, bytes).expect("the message");
    serde_json::to_value(read).expect("it is JSON")
}

/// An export that was written by hand.
pub fn fixture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp");
    let text = std::fs::read(folder.join(format!("{name}.json"))).expect("the file");
    serde_json::from_slice(&text).expect("JSON")
}

/// The one of traces.
pub const SPANS: &str = "root-spans";

/// All of metrics.
pub const FIXTURES: [&str; 5] = [
    "http-cumulative",
    "roots-delta",
    "old-names",
    "exponential",
    "calls",
];
