//! Encodes what the fleet, its groups and its services did in several steps.
//!
//! Version 1: the byte 1, then one zstd frame of a table: what its keys are, the number of steps, the time counted of each
//! step (in the rows of the fleet), the keys, then a column for each figure. In a column, the steps of one key come
//! one after the other: the first as it is, each other one as the difference to the one before.
//!
//! Keys are in ascending order. Numbers are stored as gaps, names as how many bytes they share with the name before,
//! and the rest. `figures_of_a_large_fleet` in `tests/it/series/figures.rs` measures the size.

use super::varint::{Damage, Reader, put, put_signed};
use super::{Covered, SeriesBlock, SeriesKey, StoreError, Sums, frame};
use crate::allocation::ServiceId;

const VERSION: u8 = 1;

/// What the keys of a table are.
const FLEET: u64 = 0;
const NAMES: u64 = 1;
const NUMBERS: u64 = 2;

/// The most steps of a row: a day of hours.
const STEPS_MAX: usize = 24;

/// The figures that services have; the fleet and groups have all.
const OF_SERVICES: usize = 5;
const OF_FLEET: usize = 7;

/// The largest size of a decompressed table: twenty times that of the largest row that is written.
pub const BYTES_MAX: u64 = 64 << 20;

/// Encodes a row. Entries with another number of steps than the first are left out.
#[must_use]
pub fn encode(block: &SeriesBlock) -> Vec<u8> {
    let fleet = !block.covered.is_empty();
    let first = block.entries.first();
    let steps = match fleet {
        true => block.covered.len(),
        false => first.map_or(0, |(_, sums)| sums.len()),
    };
    let keys = match first {
        _ if fleet => FLEET,
        Some((SeriesKey::Number(_), _)) => NUMBERS,
        _ => NAMES,
    };
    let entries = block.entries.iter();
    let entries: Vec<_> = entries.filter(|(_, sums)| sums.len() == steps).collect();
    let mut content = Vec::with_capacity(16 + entries.len() * (8 + 8 * steps));
    put(&mut content, keys);
    put(&mut content, steps as u64);
    for covered in &block.covered {
        put(&mut content, covered.windows);
        put(&mut content, covered.milliseconds);
        put(&mut content, covered.unreadable);
    }
    put(&mut content, entries.len() as u64);
    put_keys(&mut content, entries.iter().map(|(key, _)| key));
    for figure in 0..figures(keys) {
        for (_, sums) in &entries {
            put_steps(&mut content, sums.iter().map(|sums| sums.figures()[figure]));
        }
    }
    frame::wrap(VERSION, &content)
}

fn figures(keys: u64) -> usize {
    match keys {
        FLEET => OF_FLEET,
        _ => OF_SERVICES,
    }
}

fn put_keys<'k>(content: &mut Vec<u8>, keys: impl Iterator<Item = &'k SeriesKey>) {
    let (mut name_before, mut number_before) = ("", 0);
    for key in keys {
        match key {
            SeriesKey::Number(service) => {
                put(content, u64::from(service.0.wrapping_sub(number_before)));
                number_before = service.0;
            }
            SeriesKey::Name(name) => {
                let both = name.bytes().zip(name_before.bytes());
                let shared = both.take_while(|(one, other)| one == other).count();
                put(content, shared as u64);
                put(content, (name.len() - shared) as u64);
                content.extend(&name.as_bytes()[shared..]);
                name_before = name;
            }
        }
    }
}

fn put_steps(content: &mut Vec<u8>, steps: impl Iterator<Item = u64>) {
    let mut before = None;
    for value in steps {
        match before {
            None => put(content, value),
            Some(before) => put_signed(content, value.wrapping_sub(before).cast_signed()),
        }
        before = Some(value);
    }
}

/// Decodes a row.
///
/// # Errors
/// [`StoreError::NewerFormat`] for an unknown version, [`StoreError::Corrupt`] for anything else that
/// [`encode`] does not write.
pub fn decode(payload: &[u8]) -> Result<SeriesBlock, StoreError> {
    let content = frame::unwrap(VERSION, payload, BYTES_MAX);
    let block = content.and_then(|content| read(&content));
    block.map_err(|damage| damage.of("series.payload"))
}

fn read(content: &[u8]) -> Result<SeriesBlock, Damage> {
    let mut reader = Reader::new(content);
    let keys = reader.number()?;
    if !(FLEET..=NUMBERS).contains(&keys) {
        return Err(Damage::Malformed);
    }
    let steps = usize::try_from(reader.number()?).map_err(|_| Damage::OutOfRange)?;
    if steps > STEPS_MAX {
        return Err(Damage::OutOfRange);
    }
    let mut block = SeriesBlock::default();
    if keys == FLEET {
        for _ in 0..steps {
            block.covered.push(Covered {
                windows: reader.number()?,
                milliseconds: reader.number()?,
                unreadable: reader.number()?,
            });
        }
    }
    let figures = figures(keys);
    let count = reader.count(1 + figures * steps)?;
    block.entries = read_keys(&mut reader, keys, count)?
        .into_iter()
        .map(|key| (key, vec![Sums::default(); steps]))
        .collect();
    for figure in 0..figures {
        for (_, sums) in &mut block.entries {
            read_steps(&mut reader, sums, figure)?;
        }
    }
    reader.end()?;
    Ok(block)
}

fn read_keys(reader: &mut Reader<'_>, keys: u64, count: usize) -> Result<Vec<SeriesKey>, Damage> {
    let mut found: Vec<SeriesKey> = Vec::with_capacity(count);
    let mut number = None;
    let mut name = Vec::new();
    for _ in 0..count {
        let key = if keys == NUMBERS {
            let next = reader.rising(number)?;
            number = Some(next);
            SeriesKey::Number(ServiceId(next))
        } else {
            let shared = usize::try_from(reader.number()?).map_err(|_| Damage::OutOfRange)?;
            if shared > name.len() {
                return Err(Damage::OutOfRange);
            }
            name.truncate(shared);
            for _ in 0..reader.count(1)? {
                let [byte] = reader.take()?;
                name.push(byte);
            }
            let name = std::str::from_utf8(&name).map_err(|_| Damage::Malformed)?;
            SeriesKey::Name(name.to_owned())
        };
        if found.last().is_some_and(|last| *last >= key) {
            return Err(Damage::Unsorted);
        }
        found.push(key);
    }
    Ok(found)
}

fn read_steps(reader: &mut Reader<'_>, sums: &mut [Sums], figure: usize) -> Result<(), Damage> {
    let mut before = None;
    for sums in sums {
        let value = match before {
            None => reader.number()?,
            Some(before) => u64::wrapping_add(before, reader.signed()?.cast_unsigned()),
        };
        *sums.figures_mut()[figure] = value;
        before = Some(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn any_sums() -> impl Strategy<Value = Sums> {
        any::<[u64; 5]>().prop_map(|[offered, sampled, unsaid, due, variance]| Sums {
            offered,
            sampled,
            unsaid,
            due,
            variance,
            ..Sums::default()
        })
    }

    fn any_services() -> impl Strategy<Value = SeriesBlock> {
        let of = |steps| {
            let numbers = btree_map(any::<u32>(), vec(any_sums(), steps), 0..20);
            let numbers = numbers.prop_map(|found| {
                let number = |(id, sums)| (SeriesKey::Number(ServiceId(id)), sums);
                found.into_iter().map(number).collect()
            });
            let names = btree_map(".{0,9}", vec(any_sums(), steps), 0..20);
            let names = names.prop_map(|found| {
                let name = |(name, sums)| (SeriesKey::Name(name), sums);
                found.into_iter().map(name).collect()
            });
            prop_oneof![numbers, names]
        };
        let entries = (1..=STEPS_MAX).prop_flat_map(of);
        entries.prop_map(|entries: Vec<_>| SeriesBlock {
            covered: Vec::new(),
            entries,
        })
    }

    proptest! {
        #[test]
        fn services_come_back(block in any_services()) {
            prop_assert_eq!(decode(&encode(&block)).unwrap(), block);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = decode(&frame::wrap(VERSION, &bytes));
        }
    }

    #[test]
    fn the_fleet_comes_back_with_its_groups() {
        let sums = |number: u64| Sums {
            offered: number,
            budget: 5 * number,
            budget_milliseconds: u64::MAX - number,
            ..Sums::default()
        };
        let block = SeriesBlock {
            covered: vec![
                Covered {
                    windows: 10,
                    milliseconds: 600_000,
                    unreadable: 0,
                },
                Covered::default(),
            ],
            entries: vec![
                (SeriesKey::Name(String::new()), vec![sums(7), sums(3)]),
                (SeriesKey::Name("batch".into()), vec![sums(0), sums(1)]),
            ],
        };
        assert_eq!(decode(&encode(&block)).unwrap(), block);
        let newer = [VERSION + 1, 0, 0];
        assert!(matches!(
            decode(&newer),
            Err(StoreError::NewerFormat { .. })
        ));
    }
}
