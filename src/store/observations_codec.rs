//! Encodes what a replica saw in a window as bytes.
//!
//! Version 1: the byte 1; a zstd frame of the list in postcard, each entry with its fields in the order of its struct.

use super::Observation;
use super::frame::{unwrap, wrap};
use super::varint::Damage;

const VERSION: u8 = 1;

/// The most that is unpacked: as many services as there may be, each polled by several clients.
const LARGEST: u64 = 64 << 20;

/// Encodes a list.
pub(super) fn encode<T: Observation>(seen: &[T]) -> Vec<u8> {
    let content = postcard::to_stdvec(seen).expect("numbers and text are serialized");
    wrap(VERSION, &content)
}

/// Decodes a list.
pub(super) fn decode<T: Observation>(bytes: &[u8]) -> Result<Vec<T>, Damage> {
    let content = unwrap(VERSION, bytes, LARGEST)?;
    postcard::from_bytes(&content).map_err(|_| Damage::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Poller, RefusedReports, ServiceSpans, SpanSums};

    proptest! {
        #[test]
        fn what_was_seen_comes_back(
            pollers in prop::collection::vec((".{0,8}", ".{0,8}", any::<u64>()), 0..9),
            spans in prop::collection::vec((".{0,8}", any::<[u64; 4]>()), 0..9),
        ) {
            let pollers: Vec<Poller> = pollers.into_iter().map(|(service, client, polls)| Poller {
                service, client, protocol: "http".into(), polls,
            }).collect();
            prop_assert_eq!(decode(&encode(&pollers)), Ok(pollers));
            let spans: Vec<ServiceSpans> = spans.into_iter().map(|(service, [spans, roots, bytes, weighed])| {
                let counted = SpanSums { spans, roots, bytes, weighed };
                ServiceSpans { service, counted, exported: SpanSums::default() }
            }).collect();
            prop_assert_eq!(decode(&encode(&spans)), Ok(spans));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode::<Poller>(&wrap(VERSION, &bytes));
            let _ = decode::<RefusedReports>(&wrap(VERSION, &bytes));
            let _ = decode::<ServiceSpans>(&bytes);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = Damage::NewerVersion { found: 2, known: 1 };
        assert_eq!(decode::<Poller>(&[2, 0]), Err(newer));
        assert_eq!(decode::<Poller>(&[1, 0]), Err(Damage::Malformed));
    }
}
