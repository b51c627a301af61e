//! Encodes the history of one window: offered, sampled and served of every operation.
//!
//! Version 1: the byte 1, then one zstd frame of a table (see `table`).
//!
//! Version 2: the byte 2, then an index, then blocks. The index is the number of blocks and, for
//! each, the gap to its first id and its length in bytes (all variable-length). A block is a zstd
//! frame of its own table. To find one operation, a reader needs the index and one block; [`cut`]
//! tells a store which bytes these are. There are at most [`BLOCKS_MAX`] blocks, so an index always
//! fits into [`HEAD_BYTES`].
//!
//! Measured with 10,000 operations whose counts follow Zipf's law (exponent 1) with the noise of
//! counting, each with its own probability: 5.7 bytes per operation and window at 3 million
//! requests a window, 1.1 at 60 thousand. A minute of such a fleet takes 57 kB, a day 82 MB. Most
//! of it is the probabilities, whose digits are practically random.

mod table;

use std::borrow::Cow;

use crate::allocation::OperationId;

use super::varint::{Damage, Reader, put};
use super::{StoreError, WriteFormat, frame};

const WHOLE: u8 = 1;
const INDEXED: u8 = 2;

/// The versions that can be read.
const KNOWN: std::ops::RangeInclusive<u8> = WHOLE..=INDEXED;

/// Operations in a block, unless there would be more than [`BLOCKS_MAX`] blocks. One block is read
/// to find one operation: 4,096 operations are about 25 kB.
const BLOCK_OPERATIONS: usize = 4096;

/// The most blocks in a payload.
const BLOCKS_MAX: usize = 240;

/// The bytes at the front of a payload that contain the whole index: a version, a count of at most
/// 2 bytes, and for each block a gap of at most 5 bytes and a length of at most 4, as long as a
/// block is smaller than 256 MiB.
pub(super) const HEAD_BYTES: usize = 3 + BLOCKS_MAX * 9;

/// The largest size of a decompressed table: as many operations as fit in a plan.
pub const BYTES_MAX: u64 = 128 << 20;

/// The most bytes of one operation: the gap to its id, two counts of variable length and a
/// probability.
pub const OPERATION_BYTES: u64 = 29;

/// One operation's history in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Root requests before sampling.
    pub offered: u64,
    /// Sampled root requests; none if nobody says how many.
    pub sampled: Option<u64>,
    /// The probability served after the window, in [0, 1]. Single precision is enough to draw it.
    /// None if no plan contained the operation.
    pub probability: Option<f32>,
}

/// Encodes a window's operations. They may be in any order, each at most once; they are decoded in
/// ascending order of ids.
#[must_use]
pub fn encode(operations: &[HistoryOperation], format: WriteFormat) -> Vec<u8> {
    let mut sorted = Cow::Borrowed(operations);
    // A million operations are not copied without need.
    if !operations.is_sorted_by(|one, next| one.operation < next.operation) {
        let sorted = sorted.to_mut();
        sorted.sort_by_key(|entry| entry.operation);
        sorted.dedup_by_key(|entry| entry.operation);
    }
    match format {
        WriteFormat::Previous => frame::wrap(WHOLE, &table::encode(&sorted, format)),
        WriteFormat::Newest => indexed(&sorted),
    }
}

fn indexed(sorted: &[HistoryOperation]) -> Vec<u8> {
    let each = BLOCK_OPERATIONS.max(sorted.len().div_ceil(BLOCKS_MAX));
    let blocks: Vec<Block> = sorted
        .chunks(each)
        .map(|operations| Block {
            first: operations[0].operation.0,
            bytes: frame::compress(&table::encode(operations, WriteFormat::Newest)),
        })
        .collect();
    joined(&blocks)
}

/// A block that is being encoded.
struct Block {
    first: u32,
    bytes: Vec<u8>,
}

fn joined(blocks: &[Block]) -> Vec<u8> {
    let mut payload = vec![INDEXED];
    put(&mut payload, blocks.len() as u64);
    let mut previous = 0;
    for block in blocks {
        put(&mut payload, u64::from(block.first - previous));
        put(&mut payload, block.bytes.len() as u64);
        previous = block.first;
    }
    for block in blocks {
        payload.extend(&block.bytes);
    }
    payload
}

/// Decodes a window's operations.
///
/// # Errors
/// [`StoreError::NewerFormat`] for an unknown version, [`StoreError::Corrupt`] for anything else
/// that [`encode`] does not write.
pub fn decode(payload: &[u8]) -> Result<Vec<HistoryOperation>, StoreError> {
    named(read(payload))
}

fn read(payload: &[u8]) -> Result<Vec<HistoryOperation>, Damage> {
    if version(payload)? == WHOLE {
        return table::decode(&frame::unwrap(WHOLE, payload, BYTES_MAX)?);
    }
    let mut operations: Vec<HistoryOperation> = Vec::new();
    let index = Index::read(payload)?;
    if index.end() != payload.len() {
        return Err(Damage::Trailing);
    }
    for entry in &index.0 {
        let bytes = payload.get(entry.bytes()).ok_or(Damage::Truncated)?;
        let block = table::decode(&frame::decompress(bytes, BYTES_MAX)?)?;
        let first = block.first().ok_or(Damage::Malformed)?.operation;
        let follows = operations.last().is_none_or(|last| last.operation < first);
        if first.0 != entry.first || !follows {
            return Err(Damage::Unsorted);
        }
        operations.extend(block);
    }
    Ok(operations)
}

/// Finds one operation in a window's history. The payload may be whole, or what is left of it after
/// [`cut`].
///
/// # Errors
/// Those of [`decode`], for the part that is read.
pub fn find(
    payload: &[u8],
    operation: OperationId,
) -> Result<Option<HistoryOperation>, StoreError> {
    named(found(payload, operation))
}

fn found(payload: &[u8], operation: OperationId) -> Result<Option<HistoryOperation>, Damage> {
    if version(payload)? == WHOLE {
        return table::find(&frame::unwrap(WHOLE, payload, BYTES_MAX)?, operation);
    }
    let index = Index::read(payload)?;
    let Some(entry) = index.holding(operation) else {
        return Ok(None);
    };
    let bytes = payload.get(entry.bytes()).ok_or(Damage::Truncated)?;
    table::find(&frame::decompress(bytes, BYTES_MAX)?, operation)
}

/// The part of a payload that contains one operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The whole payload.
    Whole,
    /// Nothing more: this payload is equivalent.
    Nothing(Vec<u8>),
    /// A range of bytes. [`Part::payload`] makes a payload of them.
    Part(Part),
}

/// One block of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    first: u32,
    /// The block's offset in the payload, in bytes.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
}

impl Part {
    /// A payload of this block alone.
    pub fn payload(self, bytes: Vec<u8>) -> Vec<u8> {
        let first = self.first;
        joined(&[Block { first, bytes }])
    }
}

/// The part of a payload that contains one operation, given its first [`HEAD_BYTES`]. Unreadable
/// payloads are not cut, so that [`find`] reports the error.
pub(super) fn cut(head: &[u8], operation: OperationId) -> Cut {
    let indexed = version(head).is_ok_and(|version| version == INDEXED);
    let Some(index) = indexed.then(|| Index::read(head)).and_then(Result::ok) else {
        return Cut::Whole;
    };
    match index.holding(operation) {
        Some(entry) => Cut::Part(Part {
            first: entry.first,
            offset: entry.offset,
            length: entry.length,
        }),
        None => Cut::Nothing(joined(&[])),
    }
}

/// The positions of a payload's blocks.
struct Index(Vec<Entry>);

struct Entry {
    first: u32,
    offset: usize,
    length: usize,
}

impl Entry {
    fn bytes(&self) -> std::ops::Range<usize> {
        self.offset..self.offset.saturating_add(self.length)
    }
}

impl Index {
    fn read(payload: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(payload.get(1..).ok_or(Damage::Truncated)?);
        let count = reader.count(2)?;
        if count > BLOCKS_MAX {
            return Err(Damage::TooLarge);
        }
        let mut entries = Vec::with_capacity(count);
        let mut previous = None;
        for _ in 0..count {
            let first = reader.rising(previous)?;
            previous = Some(first);
            let length = usize::try_from(reader.number()?).map_err(|_| Damage::OutOfRange)?;
            entries.push(Entry {
                first,
                offset: 0,
                length,
            });
        }
        let mut offset = payload.len() - reader.left();
        for entry in &mut entries {
            entry.offset = offset;
            offset = offset.checked_add(entry.length).ok_or(Damage::OutOfRange)?;
        }
        Ok(Self(entries))
    }

    /// The block that contains an operation, if any does.
    fn holding(&self, operation: OperationId) -> Option<&Entry> {
        let after = self.0.partition_point(|entry| entry.first <= operation.0);
        self.0.get(after.checked_sub(1)?)
    }

    /// The end of the last block.
    fn end(&self) -> usize {
        self.0.last().map_or(2, |entry| entry.bytes().end)
    }
}

fn version(payload: &[u8]) -> Result<u8, Damage> {
    let version = *payload.first().ok_or(Damage::Truncated)?;
    if KNOWN.contains(&version) {
        return Ok(version);
    }
    Err(Damage::version(version, *KNOWN.end()))
}

fn named<T>(outcome: Result<T, Damage>) -> Result<T, StoreError> {
    outcome.map_err(|damage| damage.of("history.payload"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(count: u32) -> Vec<HistoryOperation> {
        (0..count)
            .map(|at| HistoryOperation {
                operation: OperationId(3 * at + 1),
                offered: u64::from(at) * 7,
                sampled: (at % 7 > 0).then_some(u64::from(at)),
                probability: (at % 5 > 0).then_some(0.25),
            })
            .collect()
    }

    #[test]
    fn one_operation_is_found_in_its_part_alone() {
        let all = operations(20_000);
        let payload = encode(&all, WriteFormat::Newest);
        let head = &payload[..HEAD_BYTES.min(payload.len())];
        for at in [0, 1, 4095, 4096, 4097, 12_345, 19_999] {
            let wanted: HistoryOperation = all[at];
            let Cut::Part(part) = cut(head, wanted.operation) else {
                panic!("operation {at} is in a block");
            };
            assert!(part.length < payload.len() / 3, "a part is small");
            let bytes = payload[part.offset..part.offset + part.length].to_vec();
            let small = part.payload(bytes);
            assert_eq!(find(&small, wanted.operation).unwrap(), Some(wanted));
            assert_eq!(find(&payload, wanted.operation).unwrap(), Some(wanted));
            let between = OperationId(wanted.operation.0 + 1);
            assert_eq!(find(&small, between).unwrap(), None);
        }
        let Cut::Nothing(nothing) = cut(head, OperationId(0)) else {
            panic!("no block begins so early");
        };
        assert_eq!(find(&nothing, OperationId(0)).unwrap(), None);
        assert_eq!(decode(&nothing).unwrap(), []);
    }

    #[test]
    fn the_previous_format_is_searched_as_a_whole() {
        let mut all = operations(100);
        let payload = encode(&all, WriteFormat::Previous);
        // It cannot say that a count is not known.
        all.iter_mut()
            .for_each(|entry| entry.sampled = entry.sampled.or(Some(0)));
        assert_eq!(cut(&payload, OperationId(1)), Cut::Whole);
        assert_eq!(cut(&[9, 9], OperationId(1)), Cut::Whole);
        for wanted in &all {
            assert_eq!(find(&payload, wanted.operation).unwrap(), Some(*wanted));
        }
        assert_eq!(find(&payload, OperationId(2)).unwrap(), None);
    }

    #[test]
    fn the_index_of_the_largest_fleet_fits_its_head() {
        let blocks: Vec<Block> = (0..BLOCKS_MAX as u32)
            .map(|at| Block {
                first: at * (u32::MAX / BLOCKS_MAX as u32),
                bytes: Vec::new(),
            })
            .collect();
        let mut longest = joined(&blocks);
        // A length of zero takes one byte, the largest four.
        longest.extend(vec![0; 3 * BLOCKS_MAX]);
        assert!(longest.len() <= HEAD_BYTES, "{}", longest.len());
        let payload = encode(&operations(1_000_000), WriteFormat::Newest);
        assert!(Index::read(&payload[..HEAD_BYTES]).unwrap().0.len() > 200);
    }
}
