//! What must hold for every body, whatever is in it.

use std::collections::HashSet;

use weir::protocols::otlp::{Encoding, POINTS_MAX, SOURCES_MAX, check_export, read_metrics};

/// Reads an export of OTLP. It may be refused; what is read keeps the bounds, and is the same again.
pub fn otlp(encoding: Encoding, body: &[u8]) {
    let _ = check_export(encoding, body);
    let Ok(said) = read_metrics(encoding, body) else {
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
    let again = read_metrics(encoding, body).expect("it was read before");
    assert_eq!(said, again);
}
