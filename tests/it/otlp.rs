//! OTLP: what is read of exports, in both encodings and over both protocols.

mod counted;
mod counted_spans;
mod descriptor;
mod final_names;
mod fleet;
mod grpc;
mod hostile;
mod http;
mod left_out;
pub mod messages;
mod read;
mod recorded;
mod spans;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::app::TestApp;

async fn start(flags: &[&str]) -> (TestApp, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (TestApp::start(directory.path(), flags).await, directory)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// An export whose only points, two of them, have no time.
fn without_a_time() -> Value {
    let point = json!({
        "attributes": [{ "key": "http.request.method", "value": { "stringValue": "GET" } }],
        "count": "1",
    });
    json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [{
        "name": "http.server.request.duration",
        "histogram": { "aggregationTemporality": 1, "dataPoints": [point, point] },
    }] }] }] })
}

/// What the answer to it says.
const WITHOUT_A_TIME: &str = "data points were not counted: 2 have no time";
