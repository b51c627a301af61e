//! Operations as four columns of the same length, which is stored first: ids as gaps, offered and
//! sampled (all variable-length), and probabilities as the four bytes of an IEEE 754 single, NaN if
//! there is none. Never are more requests sampled than offered, so one more says that nobody knows how many
//! were sampled. The release before 0.2.0 does not know this, and gets 0.

use super::HistoryOperation;
use crate::allocation::OperationId;
use crate::store::WriteFormat;
use crate::store::varint::{Damage, Reader, put};

/// The fewest bytes of an operation: one in each of the first three columns, and four in the last.
const LEAST_BYTES: usize = 7;

/// Encodes operations with ascending ids.
pub(super) fn encode(sorted: &[HistoryOperation], format: WriteFormat) -> Vec<u8> {
    let mut content = Vec::with_capacity(10 + sorted.len() * 10);
    put(&mut content, sorted.len() as u64);
    let mut previous = 0;
    for entry in sorted {
        put(&mut content, u64::from(entry.operation.0 - previous));
        previous = entry.operation.0;
    }
    for entry in sorted {
        put(&mut content, entry.offered);
    }
    for entry in sorted {
        put(&mut content, sampled(entry, format));
    }
    for entry in sorted {
        content.extend(entry.probability.unwrap_or(f32::NAN).to_le_bytes());
    }
    content
}

/// Decodes all operations.
pub(super) fn decode(content: &[u8]) -> Result<Vec<HistoryOperation>, Damage> {
    let mut reader = Reader::new(content);
    let count = reader.count(LEAST_BYTES)?;
    let mut operations = Vec::with_capacity(count);
    let mut previous = None;
    for _ in 0..count {
        let id = reader.rising(previous)?;
        previous = Some(id);
        operations.push(HistoryOperation {
            operation: OperationId(id),
            offered: 0,
            sampled: None,
            probability: None,
        });
    }
    for entry in &mut operations {
        entry.offered = reader.number()?;
    }
    for entry in &mut operations {
        entry.sampled = known(reader.number()?, entry.offered);
    }
    for entry in &mut operations {
        entry.probability = probability(&mut reader)?;
    }
    reader.end()?;
    Ok(operations)
}

/// Finds one operation without storing the others.
pub(super) fn find(
    content: &[u8],
    operation: OperationId,
) -> Result<Option<HistoryOperation>, Damage> {
    let mut reader = Reader::new(content);
    let count = reader.count(LEAST_BYTES)?;
    let mut place = None;
    let mut previous = None;
    for at in 0..count {
        let id = reader.rising(previous)?;
        previous = Some(id);
        if id == operation.0 {
            place = Some(at);
        }
    }
    let Some(place) = place else {
        return Ok(None);
    };
    let mut nth = |count: usize| -> Result<u64, Damage> {
        let mut wanted = 0;
        for at in 0..count {
            let number = reader.number()?;
            if at == place {
                wanted = number;
            }
        }
        Ok(wanted)
    };
    let (offered, sampled) = (nth(count)?, nth(count)?);
    for _ in 0..place {
        probability(&mut reader)?;
    }
    Ok(Some(HistoryOperation {
        operation,
        offered,
        sampled: known(sampled, offered),
        probability: probability(&mut reader)?,
    }))
}

fn sampled(entry: &HistoryOperation, format: WriteFormat) -> u64 {
    let unknown = match format {
        WriteFormat::Previous => 0,
        WriteFormat::Newest => entry.offered.saturating_add(1),
    };
    entry.sampled.unwrap_or(unknown)
}

fn known(sampled: u64, offered: u64) -> Option<u64> {
    (sampled <= offered).then_some(sampled)
}

fn probability(reader: &mut Reader<'_>) -> Result<Option<f32>, Damage> {
    let probability = f32::from_le_bytes(reader.take()?);
    Ok((!probability.is_nan()).then_some(probability))
}
