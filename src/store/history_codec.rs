//! One window's history as bytes: what every operation offered, kept and was told.
//!
//! Version 1: the byte 1, then a zstd frame of four columns, each as long as the number that
//! stands before them: ids as gaps, offered, sampled (all variable-length), and probabilities as
//! the four bytes of an IEEE 754 single, NaN where there was none.
//!
//! Measured on 10,000 operations whose counts follow Zipf's law (exponent 1) with the noise of
//! counting, every operation with a probability of its own: 5.7 bytes an operation and window at
//! 3 million requests a window, 1.1 at 60 thousand. A minute of such a fleet is 57 kB, a day 82 MB;
//! most of it is the probabilities, whose digits are as good as random.

use crate::allocation::OperationId;

use super::varint::{Damage, Reader, put};
use super::{StoreError, frame};

const VERSION: u8 = 1;

/// The most bytes a payload may unpack to: two million operations at their widest.
const LARGEST: u64 = 64 << 20;

/// One operation's history in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept.
    pub sampled: u64,
    /// What its SDKs were told after the window, in [0, 1]; single precision is enough to draw
    /// it. Absent if no plan listed it.
    pub probability: Option<f32>,
}

/// Encodes a window's operations, in any order, each at most once; they come back by rising id.
#[must_use]
pub fn encode(operations: &[HistoryOperation]) -> Vec<u8> {
    let mut sorted = operations.to_vec();
    sorted.sort_by_key(|entry| entry.operation);
    sorted.dedup_by_key(|entry| entry.operation);
    let mut content = Vec::with_capacity(10 + sorted.len() * 10);
    put(&mut content, sorted.len() as u64);
    let mut previous = 0;
    for entry in &sorted {
        put(&mut content, u64::from(entry.operation.0 - previous));
        previous = entry.operation.0;
    }
    for entry in &sorted {
        put(&mut content, entry.offered);
    }
    for entry in &sorted {
        put(&mut content, entry.sampled);
    }
    for entry in &sorted {
        content.extend(entry.probability.unwrap_or(f32::NAN).to_le_bytes());
    }
    frame::wrap(VERSION, &content)
}

/// Decodes a window's operations.
///
/// # Errors
/// [`StoreError::Corrupt`] for anything that [`encode`] does not write.
pub fn decode(payload: &[u8]) -> Result<Vec<HistoryOperation>, StoreError> {
    read(payload).map_err(|damage| StoreError::Corrupt {
        what: "history.payload".to_owned(),
        why: damage.to_string(),
    })
}

fn read(payload: &[u8]) -> Result<Vec<HistoryOperation>, Damage> {
    let content = frame::unwrap(VERSION, payload, LARGEST)?;
    let mut reader = Reader::new(&content);
    let count = reader.count(7)?;
    let mut operations = Vec::with_capacity(count);
    let mut previous = None;
    for _ in 0..count {
        let id = reader.rising(previous)?;
        previous = Some(id);
        operations.push(HistoryOperation {
            operation: OperationId(id),
            offered: 0,
            sampled: 0,
            probability: None,
        });
    }
    for entry in &mut operations {
        entry.offered = reader.number()?;
    }
    for entry in &mut operations {
        entry.sampled = reader.number()?;
    }
    for entry in &mut operations {
        let probability = f32::from_le_bytes(reader.take()?);
        entry.probability = (!probability.is_nan()).then_some(probability);
    }
    reader.end()?;
    Ok(operations)
}
