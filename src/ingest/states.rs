//! The states of sources that this replica stored or read last.
//!
//! A state may have moved on at another replica. Its number shows that when the next one is stored, so
//! what is remembered here saves a read and decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::allocation::AgentName;
use crate::store::SourceState;
use crate::telemetry::metrics::Gauge;

/// A source: the agent's name, and the digest of its resource.
pub(super) type SourceKey = (AgentName, Uuid);

/// What an entry takes beside its state and the agent's name, in bytes.
const ENTRY_BYTES: usize = 160;

/// Remembers states, as many as fit into its bytes. Those that were not used for longest go first: a
/// state is in the newer half if it was used since that half began.
pub(super) struct States {
    halves: Mutex<Halves>,
    /// The most bytes of one half.
    half_bytes: usize,
    bytes: Gauge,
}

#[derive(Default)]
struct Halves {
    newer: Half,
    older: Half,
}

#[derive(Default)]
struct Half {
    states: HashMap<SourceKey, SourceState>,
    bytes: usize,
}

impl Half {
    fn insert(&mut self, key: SourceKey, state: SourceState) {
        self.remove(&key);
        self.bytes += size(&key, &state);
        self.states.insert(key, state);
    }

    fn remove(&mut self, key: &SourceKey) -> Option<SourceState> {
        let state = self.states.remove(key)?;
        self.bytes -= size(key, &state);
        Some(state)
    }
}

fn size((agent, _): &SourceKey, state: &SourceState) -> usize {
    ENTRY_BYTES + agent.as_str().len() + state.bytes.as_ref().map_or(0, Vec::len)
}

impl States {
    /// Remembers nothing yet, and at most this many bytes.
    pub fn new(bytes_max: usize, bytes: Gauge) -> Self {
        Self {
            halves: Mutex::default(),
            half_bytes: bytes_max / 2,
            bytes,
        }
    }

    /// Takes a state out: whoever moves it on puts the next one in.
    pub fn take(&self, key: &SourceKey) -> Option<SourceState> {
        self.with(|halves| {
            halves
                .newer
                .remove(key)
                .or_else(|| halves.older.remove(key))
        })
    }

    /// Remembers a state.
    pub fn put(&self, key: SourceKey, state: SourceState) {
        self.with(|halves| {
            halves.older.remove(&key);
            halves.newer.insert(key, state);
            if halves.newer.bytes > self.half_bytes {
                halves.older = std::mem::take(&mut halves.newer);
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Halves) -> T) -> T {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut halves);
        self.bytes
            .set((halves.newer.bytes + halves.older.bytes) as f64);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::streams;
    use crate::telemetry::metrics::Metrics;

    fn key(number: u128) -> SourceKey {
        (
            AgentName::parse("a").expect("is a name"),
            Uuid::from_u128(number),
        )
    }

    fn state(number: u64, bytes: usize) -> SourceState {
        SourceState {
            number,
            bytes: Some(vec![0; bytes]),
        }
    }

    /// Processes with 40 streams each, as those of Java and JavaScript send them: each stream has its own start.
    #[test]
    fn a_hundred_thousand_live_streams_take_less_than_three_mebibytes() {
        const SECOND: u64 = 1_000_000_000;
        let now_ns = 1_795_165_200 * SECOND;
        let states = States::new(64 << 20, Metrics::new().source_state_bytes);
        for process in 0..2500_u64 {
            let mut of = streams::SourceState {
                since_ns: now_ns,
                weights: vec![("GET".into(), 40), ("POST".into(), 20)],
                ..streams::SourceState::default()
            };
            for stream in 0..40 {
                // Digests are anywhere.
                let series = (process * 40 + stream).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let start_ns = now_ns + stream * SECOND / 7;
                let counter = streams::Counter {
                    time_ns: now_ns + 60 * SECOND,
                    value: 1_000_000 + stream,
                };
                of.counters.insert((series, start_ns), counter);
            }
            let bytes = streams::encode(&mut of, now_ns);
            assert_eq!(bytes.len(), bytes.capacity());
            let agent = format!("checkout/{process:032x}/0123456789ab");
            let agent = AgentName::parse(&agent).expect("is a name");
            let state = SourceState {
                number: process,
                bytes: Some(bytes),
            };
            states.put((agent, Uuid::from_u128(process.into())), state);
        }
        let counted = states.bytes.get() as usize;
        assert!((2 << 20..3 << 20).contains(&counted), "{counted}");
        // What the map itself takes, which grows to twice the size: all of it is counted.
        let halves = states.halves.lock().expect("no panic");
        let slot = size_of::<(SourceKey, SourceState)>() + 1;
        let places = (halves.newer.states.capacity() * 8 / 7).next_power_of_two();
        let per_entry = places * slot / halves.newer.states.len();
        assert!(per_entry <= ENTRY_BYTES, "{per_entry}");
    }

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let gauge = Metrics::new().source_state_bytes;
        let states = States::new(10_000, gauge.clone());
        for number in 0..100 {
            states.put(key(number), state(number as u64, 840));
            let of_first = states.take(&key(0)).expect("is used all the time");
            states.put(key(0), of_first);
            assert!(gauge.get() <= 12_000.0);
        }
        assert_eq!(states.take(&key(99)), Some(state(99, 840)));
        assert_eq!(states.take(&key(99)), None, "it was taken out");
        assert_eq!(states.take(&key(50)), None);
        states.put(key(99), state(1, 10));
        states.put(key(99), state(2, 10));
        assert_eq!(states.take(&key(99)), Some(state(2, 10)));
    }
}
