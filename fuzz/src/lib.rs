//! What must hold for every body, whatever is in it.

use std::collections::HashSet;

use weir::protocols::otlp::{
    Encoding, Extracted, POINTS_MAX, SOURCES_MAX, Unreadable, check_export, read_metrics, read_traces,
};

/// Reads an export of OTLP.
type Read = for<'a> fn(Encoding, &'a [u8]) -> Result<Extracted<'a>, Unreadable>;

/// Reads an export of metrics. It may be refused; what is read keeps the bounds, and is the same again.
pub fn otlp(encoding: Encoding, body: &[u8]) {
    let _ = check_export(encoding, body);
    holds(read_metrics, encoding, body);
}

/// The same of an export of traces. Each root span is a point.
pub fn otlp_traces(encoding: Encoding, body: &[u8]) {
    holds(read_traces, encoding, body);
}

fn holds(read: Read, encoding: Encoding, body: &[u8]) {
    let Ok(said) = read(encoding, body) else {
        return;
    };
    assert!(said.points() <= POINTS_MAX as u64);
    assert!(said.sources.len() <= SOURCES_MAX);
    let keys: HashSet<_> = said.sources.iter().map(|source| source.key).collect();
    assert_eq!(keys.len(), said.sources.len(), "a source is there once");
    let agents: HashSet<_> = said.sources.iter().map(|source| &source.agent).collect();
    assert_eq!(agents.len(), said.sources.len(), "agents have different names");
    for source in &said.sources {
        assert!(!source.points.is_empty());
        assert!(source.points.iter().all(|point| point.time_ns > 0));
    }
    let again = read(encoding, body).expect("it was read before");
    assert_eq!(said, again);
}
