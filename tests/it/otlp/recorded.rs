//! Exports that published SDKs and Collectors made. They are not part of the sources:
//! `make otlp-recordings RECORDINGS=folder` runs this.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weir::ingest::{Counted, Weight};
use weir::protocols::otlp::{Encoding, Extracted, read_metrics, read_traces};

use super::messages::{METRICS, TRACES, protobuf};
use super::spans::in_base64;

const FOLDER: &str = "RECORDINGS";

/// The files of a folder that the environment names.
fn recordings() -> Vec<PathBuf> {
    let folder = std::env::var_os(FOLDER).expect("RECORDINGS names a folder of recorded exports");
    let entries = std::fs::read_dir(folder).expect("RECORDINGS is a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension() == Some(OsStr::new(extension))
}

/// The sums of an export by what is counted.
fn sums(said: &Extracted<'_>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for source in &said.sources {
        for point in &source.points {
            let counted = match &point.counted {
                Counted::Roots { .. } => "roots".to_owned(),
                Counted::Children { .. } => "children".to_owned(),
                Counted::Requests { at_start, .. } => at_start.to_string(),
                Counted::Calls { .. } => "calls".to_owned(),
                Counted::Span { at_start, weight } => format!("span {at_start} {weight:?}"),
                Counted::Decisions { .. } => panic!("OTLP has none: {point:?}"),
            };
            *sums
                .entry(format!("{} {counted}", source.service))
                .or_default() += point.value;
        }
    }
    sums
}

#[test]
#[ignore = "needs recorded exports"]
fn recorded_exports_say_the_same_in_both_encodings() {
    let (mut pairs, mut alone) = (0, 0);
    let mut all = BTreeMap::new();
    for path in recordings().into_iter().filter(|path| is(path, "json")) {
        let text = std::fs::read(&path).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        // What the sender sent; else the same in protobuf, encoded by the files in proto/.
        let sent = std::fs::read(path.with_extension("pb"));
        let (of_json, of_bytes);
        let bytes;
        if value.get("resourceSpans").is_some() {
            of_json = read_traces(Encoding::Json, &text).expect("JSON");
            bytes = sent.unwrap_or_else(|_| protobuf(TRACES, &in_base64(&value)));
            of_bytes = read_traces(Encoding::Protobuf, &bytes).expect("protobuf");
        } else if value.get("resourceMetrics").is_some() {
            *(if sent.is_ok() { &mut pairs } else { &mut alone }) += 1;
            of_json = read_metrics(Encoding::Json, &text).expect("JSON");
            bytes = sent.unwrap_or_else(|_| protobuf(METRICS, &value));
            of_bytes = read_metrics(Encoding::Protobuf, &bytes).expect("protobuf");
        } else {
            continue;
        }
        assert_eq!(of_json, of_bytes, "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        all.insert(name, sums(&of_json));
    }
    assert!(
        pairs > 0 && alone > 0,
        "{pairs} pairs, {alone} of JSON alone"
    );
    println!("{all:#?}");
    let java = &all["java-agent-2.33.1-metrics-cumulative.json"];
    assert_eq!((java["svc-java GET"], java["svc-java POST"]), (202, 100));
    let chain = &all["js-chain-back-metrics-root-vs-remote.json"];
    assert_eq!((chain["back GET"], chain["back roots"]), (121, 21));
    let python = &all["python-1.45.1-flask-metrics-default-old-names.json"];
    assert_eq!((python["svc-py GET"], python["svc-py POST"]), (202, 100));
    let go = &all["go-1.47.0-otelhttp-metrics-observability.json"];
    assert_eq!(go["svc-go roots"], 302);
    let calls = &all["collector-0.165.1-spanmetrics-cumulative.otlp.json"];
    assert_eq!(calls["svc-go calls"], 203);
    let spans = |name: &str, of: &str, weight: Option<Weight>| {
        all[name].get(&format!("{of} {weight:?}")).copied()
    };
    let sampled = |probability| Some(Weight::of_probability(probability));
    let go = "go-1.47.0-otelhttp-traces-jaeger-sampler.json";
    assert_eq!(spans(go, "svc-go span GET", sampled(1.0)), Some(1));
    let thresholds = "collector-0.165.1-probabilistic-sampler-th-traces.json";
    assert_eq!(spans(thresholds, "svc-py span GET", sampled(0.25)), Some(3));
    let java = "java-agent-2.33.1-traces-jaeger-remote.json";
    assert_eq!(spans(java, "svc-java span POST", None), Some(1));
    let node = "js-0.223.0-express-traces-jaeger-sampler.json";
    assert_eq!(spans(node, "svc-js span GET", None), Some(5));
    assert!(
        all["js-chain-back-traces-remote-parent.json"].is_empty(),
        "it has no roots"
    );
}
