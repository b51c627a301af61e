//! The `.proto` files and their committed descriptor say the same.

use std::path::Path;

use prost::Message;
use weir::protocols::otlp::grpc::DESCRIPTOR;

use super::messages::compiled;

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
