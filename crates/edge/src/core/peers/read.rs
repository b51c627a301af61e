//! Reads what edges say to each other, bounded and checked.

use std::sync::Arc;

use super::message::*;
use crate::core::decisions::Decision;
use crate::otlp::trace_state::{Randomness, Threshold};

/// What was not read yet.
pub(super) struct Reader<'a>(&'a [u8]);

type Read<T> = Result<T, WrongMessage>;

const SHORT: WrongMessage = WrongMessage::Damaged("it ends early");

impl<'a> Reader<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn bytes(&mut self, length: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Read<u8> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    pub fn u64(&mut self) -> Read<u64> {
        self.fixed().map(u64::from_le_bytes)
    }

    fn varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for index in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WrongMessage::Damaged("a number is too long"))
    }

    /// How many records follow, each of which has at least this many bytes.
    pub fn count(&mut self, least: usize) -> Read<usize> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        // Each record has four texts at most.
        if count > 4 * RECORDS_MAX || count > self.0.len() / least {
            return Err(WrongMessage::Damaged("it has more records than bytes"));
        }
        Ok(count)
    }

    pub fn head(&mut self) -> Read<Head> {
        match self.byte()? {
            VERSION => {}
            other => return Err(WrongMessage::Version(other)),
        }
        Ok(Head {
            is_leaving: self.byte()? & 1 == 1,
            relief: self.byte()?,
            sender: self.u64()?,
        })
    }

    pub fn text(&mut self) -> Read<Arc<str>> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if length > TEXT_BYTES_MAX {
            return Err(WrongMessage::Damaged("a text is too long"));
        }
        let text = std::str::from_utf8(self.bytes(length)?);
        let text = text.map_err(|_| WrongMessage::Damaged("a text is not valid UTF-8"))?;
        Ok(text.into())
    }

    fn named(&mut self, texts: &[Arc<str>]) -> Read<Arc<str>> {
        let number = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let text = texts.get(number).cloned();
        text.ok_or(WrongMessage::Damaged("a text is not there"))
    }

    pub fn summary(&mut self, texts: &[Arc<str>]) -> Read<Summary> {
        let bits = self.byte()?;
        let has = |bit| bits & bit != 0;
        let id = u128::from_le_bytes(self.fixed()?);
        let service = self.named(texts)?;
        let spans = u32::try_from(self.varint()?).unwrap_or(u32::MAX);
        let longest_ns = self.varint()?;
        let mut optional = |bit| has(bit).then(|| self.named(texts)).transpose();
        let tagged = optional(TAGGED)?;
        let mut randomness = None;
        if has(RANDOMNESS) {
            let number = Randomness::of_number(self.u64()?);
            randomness = Some(number.ok_or(WrongMessage::Damaged("a randomness is too large"))?);
        }
        let root = has(ROOT).then(|| self.root(texts, bits)).transpose()?;
        if id == 0 {
            return Err(WrongMessage::Damaged("a trace has no id"));
        }
        Ok(Summary {
            id,
            service,
            spans,
            longest_ns,
            is_error: has(ERROR),
            is_urgent: has(URGENT),
            waits: has(WAITS),
            tagged,
            randomness,
            root,
        })
    }

    fn root(&mut self, texts: &[Arc<str>], bits: u8) -> Read<SaidRoot> {
        let (service, operation) = (self.named(texts)?, self.named(texts)?);
        let span_id = self.u64()?;
        let duration_ns = (bits & DURATION != 0).then(|| self.varint()).transpose()?;
        let threshold = (bits & THRESHOLD != 0).then(|| self.threshold());
        Ok(SaidRoot {
            service,
            operation,
            span_id,
            duration_ns,
            threshold: threshold.transpose()?,
        })
    }

    fn threshold(&mut self) -> Read<Threshold> {
        let threshold = Threshold::of_number(self.u64()?);
        threshold.ok_or(WrongMessage::Damaged("a threshold is too large"))
    }

    pub fn all_decided(&mut self) -> Read<Vec<Decided>> {
        let count = self.count(DECIDED_LEAST)?;
        (0..count).map(|_| self.decided()).collect()
    }

    fn decided(&mut self) -> Read<Decided> {
        let id = u128::from_le_bytes(self.fixed()?);
        let decision = match self.byte()? {
            0 => Decision::Drop,
            KEEP => Decision::Keep(None),
            bits if bits == KEEP | DECIDED_HERE => Decision::Keep(Some(self.threshold()?)),
            _ => return Err(WrongMessage::Damaged("a decision is none")),
        };
        Ok(Decided { id, decision })
    }

    pub fn end(self) -> Read<()> {
        match self.0 {
            [] => Ok(()),
            _ => Err(WrongMessage::Damaged("it goes on after its end")),
        }
    }
}
