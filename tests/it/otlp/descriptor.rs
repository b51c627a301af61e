//! What is committed beside its source, in another form, is the same: the descriptor of the `.proto`
//! files, and the exports that fuzzing begins with.

use std::path::Path;

use prost::Message;
use weir::protocols::otlp::grpc::DESCRIPTOR;

use super::messages::{FIXTURES, METRICS, SPANS, TRACES, compiled, fixture, protobuf};
use super::spans::in_base64;

/// Writes the descriptor instead of comparing it.
const WRITE: &str = "WEIR_BLESS";

#[test]
fn the_committed_descriptor_is_that_of_the_files() {
    let mut compiled = compiled();
    // Comments and their places are of no use to clients.
    for file in &mut compiled.file {
        file.source_code_info = None;
    }
    let compiled = compiled.encode_to_vec();
    if std::env::var_os(WRITE).is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/opentelemetry/otlp.binpb");
        std::fs::write(path, &compiled).unwrap();
    }
    assert!(compiled == DESCRIPTOR, "set {WRITE}=1 to write it again");
}

#[test]
fn the_exports_that_fuzzing_begins_with_are_those_of_json() {
    let metrics = FIXTURES.map(|name| ("otlp_protobuf", name, protobuf(METRICS, &fixture(name))));
    let traces = protobuf(TRACES, &in_base64(&fixture(SPANS)));
    let seeds = metrics
        .into_iter()
        .chain([("otlp_traces_protobuf", SPANS, traces)]);
    for (target, name, expected) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let folder = folder.join(target);
        let path = folder.join(name);
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &expected).unwrap();
        }
        let seed = std::fs::read(&path).unwrap_or_default();
        assert!(seed == expected, "{name}: set {WRITE}=1 to write it again");
    }
}
