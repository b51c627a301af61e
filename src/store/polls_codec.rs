//! Encodes the polls of a replica as bytes.
//!
//! Version 1: the byte 1; the number of services; of each, in ascending order, its id's gap and its polls. Numbers
//! are variable-length: about 3 bytes per service.

use super::varint::{Damage, Reader, put};
use crate::allocation::{PollCount, ServiceId};

const VERSION: u8 = 1;

/// Encodes polls. If a service occurs more than once, its polls add up.
pub(super) fn encode(services: &[PollCount]) -> Vec<u8> {
    let mut sorted = services.to_vec();
    sorted.sort_unstable();
    sorted.dedup_by(|next, held| {
        let same = next.service == held.service;
        if same {
            held.polls = held.polls.saturating_add(next.polls);
        }
        same
    });
    let mut bytes = Vec::with_capacity(6 + 4 * sorted.len());
    bytes.push(VERSION);
    put(&mut bytes, sorted.len() as u64);
    let mut before = 0;
    for of in sorted {
        put(&mut bytes, u64::from(of.service.0 - before));
        put(&mut bytes, u64::from(of.polls));
        before = of.service.0;
    }
    bytes
}

/// Decodes polls.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<PollCount>, Damage> {
    let mut reader = Reader::new(bytes);
    let [version] = reader.take()?;
    if version != VERSION {
        return Err(Damage::version(version, VERSION));
    }
    let count = reader.count(2)?;
    let mut services = Vec::with_capacity(count);
    let mut before = None;
    for _ in 0..count {
        let service = reader.rising(before)?;
        let polls = u32::try_from(reader.number()?).map_err(|_| Damage::OutOfRange)?;
        services.push(PollCount {
            service: ServiceId(service),
            polls,
        });
        before = Some(service);
    }
    reader.end()?;
    Ok(services)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_polls() -> impl Strategy<Value = Vec<PollCount>> {
        let services = prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..50);
        services.prop_map(|services| {
            let count = |(service, polls)| PollCount {
                service: ServiceId(service),
                polls,
            };
            services.into_iter().map(count).collect()
        })
    }

    proptest! {
        #[test]
        fn polls_come_back_in_any_order(polls in any_polls(), turn in 0..50_usize) {
            let mut turned = polls.clone();
            turned.rotate_left(turn % polls.len().max(1));
            prop_assert_eq!(decode(&encode(&turned)), Ok(polls));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(polls) = decode(&bytes) {
                prop_assert!(polls.is_sorted_by(|one, other| one.service < other.service));
            }
        }

        #[test]
        fn what_is_cut_is_refused(polls in any_polls(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&polls);
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn a_service_that_occurs_twice_adds_up_and_a_newer_version_is_told_from_damage() {
        let twice = [7, u32::MAX].map(|polls| PollCount {
            service: ServiceId(3),
            polls,
        });
        assert_eq!(encode(&twice), [1, 1, 3, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        let newer = Damage::NewerVersion { found: 2, known: 1 };
        assert_eq!(decode(&[2, 0]), Err(newer));
    }
}
