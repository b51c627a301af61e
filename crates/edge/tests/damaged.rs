//! What the fuzz targets of the edge ask, of their seeds and of damaged ones: a little of `make fuzz` in each test run.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

#[path = "../../../fuzz/src/edge.rs"]
mod edge;

use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

/// Each target with its seeds.
const TARGETS: [(&str, Target); 4] = [
    ("fuzz/seeds/edge_traces", edge::traces),
    ("tests/otlp", edge::json),
    ("fuzz/seeds/edge_plan", edge::plan),
    ("fuzz/seeds/edge_peers", edge::peers),
];

fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let seeds: Vec<_> = files.map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds
}

#[test]
fn seeds_are_read() {
    for (folder, target) in TARGETS {
        seeds(folder).iter().for_each(|seed| target(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_seeds_are_refused_or_read(
        number in 0..TARGETS.len(),
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
    ) {
        let (folder, target) = TARGETS[number];
        let mut seed = which.get(&seeds(folder)).clone();
        for (at, byte, how) in changes {
            let at = at.index(seed.len());
            match how {
                0 => seed[at] = byte,
                1 => seed.insert(at, byte),
                _ => { seed.remove(at); }
            }
            if seed.is_empty() {
                return Ok(());
            }
        }
        target(&seed);
    }
}
