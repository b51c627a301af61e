//! What edges say to each other, and its bytes.
//!
//! Integers of a fixed size are little-endian; the others are varints of protobuf. Texts come once, in front, and
//! records name them by their number. The first byte is [`VERSION`]: an edge that reads another one answers 400, and is
//! none of the peers.

use std::collections::HashMap;
use std::sync::Arc;

use super::read::Reader;
use crate::core::decisions::Decision;
use crate::otlp::trace_state::{Randomness, Threshold};
use crate::otlp::wire::{put_bytes_alone, put_varint};

/// The version of the format.
pub const VERSION: u8 = 1;

/// The longest text, in bytes: names are shorter.
pub(super) const TEXT_BYTES_MAX: usize = 1024;

/// The most records of a kind in a message.
pub const RECORDS_MAX: usize = 8_192;

/// The least bytes of a text, of a summary, of a decision.
pub(super) const TEXT_LEAST: usize = 1;
pub(super) const SUMMARY_LEAST: usize = 1 + 16 + 3;
pub(super) const DECIDED_LEAST: usize = 16 + 1;

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongMessage {
    /// Another release has written it.
    #[error(
        "the message has version {0}, and this edge speaks version {VERSION}: run the same release everywhere"
    )]
    Version(u8),
    /// It is not what an edge writes.
    #[error("the message is damaged: {0}")]
    Damaged(&'static str),
}

/// From an edge to another: what it knows of traces that the other one owns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Who says it.
    pub head: Head,
    /// The number of the first decision that it has not seen yet.
    pub next: u64,
    /// What it knows.
    pub summaries: Vec<Summary>,
    /// What it has decided itself.
    pub decided: Vec<Decided>,
}

/// The answer: what was decided about the traces that the asking edge has told of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Who says it.
    pub head: Head,
    /// The number of the first decision.
    pub first: u64,
    /// The decisions.
    pub decided: Vec<Decided>,
}

/// What an edge says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// A random number that it has chosen at its start.
    pub sender: u64,
    /// Whether it stops.
    pub is_leaving: bool,
    /// How often it halves probabilities, because its backends do not keep up.
    pub relief: u8,
}

/// What an edge knows of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The trace.
    pub id: u128,
    /// The service of its first span.
    pub service: Arc<str>,
    /// How many of its spans the edge holds.
    pub spans: u32,
    /// How long the longest one took.
    pub longest_ns: u64,
    /// Whether one has failed.
    pub is_error: bool,
    /// Whether the edge has no room for it any more.
    pub is_urgent: bool,
    /// Whether the edge waits for the decision.
    pub waits: bool,
    /// The rule for tagged requests that one fulfils, by its name.
    pub tagged: Option<Arc<str>>,
    /// What its spans say about its randomness.
    pub randomness: Option<Randomness>,
    /// Its root.
    pub root: Option<SaidRoot>,
}

/// What an edge says of a root.
#[derive(Debug, Clone, PartialEq)]
pub struct SaidRoot {
    /// Its service.
    pub service: Arc<str>,
    /// Its name.
    pub operation: Arc<str>,
    /// Its id.
    pub span_id: u64,
    /// How long it took.
    pub duration_ns: Option<u64>,
    /// What a head sampler has left out.
    pub threshold: Option<Threshold>,
}

/// What was decided about a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The trace.
    pub id: u128,
    /// What became of it.
    pub decision: Decision,
}

/// Bits of a summary.
pub(super) const ERROR: u8 = 1;
pub(super) const URGENT: u8 = 2;
pub(super) const WAITS: u8 = 4;
pub(super) const TAGGED: u8 = 8;
pub(super) const RANDOMNESS: u8 = 16;
pub(super) const ROOT: u8 = 32;
pub(super) const DURATION: u8 = 64;
pub(super) const THRESHOLD: u8 = 128;

/// Bits of a decision.
pub(super) const KEEP: u8 = 1;
pub(super) const DECIDED_HERE: u8 = 2;

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut texts, mut records) = (Texts::default(), Vec::new());
        put_varint(&mut records, self.summaries.len() as u64);
        for summary in &self.summaries {
            summary.put(&mut records, &mut texts);
        }
        put_decided(&mut records, &self.decided);
        let mut bytes = self.head.bytes();
        bytes.extend_from_slice(&self.next.to_le_bytes());
        put_varint(&mut bytes, texts.all.len() as u64);
        for text in &texts.all {
            put_bytes_alone(&mut bytes, text.as_bytes());
        }
        bytes.extend_from_slice(&records);
        bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Its version is another one, or it is not what an edge writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WrongMessage> {
        let mut reader = Reader::of(bytes);
        let (head, next) = (reader.head()?, reader.u64()?);
        let texts = reader.count(TEXT_LEAST)?;
        let texts: Result<Vec<_>, _> = (0..texts).map(|_| reader.text()).collect();
        let texts = texts?;
        let summaries = reader.count(SUMMARY_LEAST)?;
        let summaries: Result<_, _> = (0..summaries).map(|_| reader.summary(&texts)).collect();
        let message = Self {
            head,
            next,
            summaries: summaries?,
            decided: reader.all_decided()?,
        };
        reader.end()?;
        Ok(message)
    }
}

impl Answer {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.head.bytes();
        bytes.extend_from_slice(&self.first.to_le_bytes());
        put_decided(&mut bytes, &self.decided);
        bytes
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// Its version is another one, or it is not what an edge writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WrongMessage> {
        let mut reader = Reader::of(bytes);
        let answer = Self {
            head: reader.head()?,
            first: reader.u64()?,
            decided: reader.all_decided()?,
        };
        reader.end()?;
        Ok(answer)
    }
}

impl Head {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION, u8::from(self.is_leaving), self.relief];
        bytes.extend_from_slice(&self.sender.to_le_bytes());
        bytes
    }
}

/// The texts of a message, each once.
#[derive(Default)]
struct Texts<'a> {
    all: Vec<&'a str>,
    numbers: HashMap<&'a str, u64>,
}

impl<'a> Texts<'a> {
    fn put(&mut self, into: &mut Vec<u8>, text: &'a str) {
        let next = self.all.len() as u64;
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.all.push(text);
        }
        put_varint(into, number);
    }
}

impl Summary {
    /// What it takes in a message in which no other one has the same names.
    pub(super) fn bytes_at_most(&self) -> usize {
        let of_root = |root: &SaidRoot| root.service.len() + root.operation.len();
        let tagged = self.tagged.as_ref().map_or(0, |rule| rule.len());
        96 + self.service.len() + tagged + self.root.as_ref().map_or(0, of_root)
    }

    fn put<'a>(&'a self, into: &mut Vec<u8>, texts: &mut Texts<'a>) {
        let root = self.root.as_ref();
        let has = |bit, is_there| if is_there { bit } else { 0 };
        into.push(
            has(ERROR, self.is_error)
                | has(URGENT, self.is_urgent)
                | has(WAITS, self.waits)
                | has(TAGGED, self.tagged.is_some())
                | has(RANDOMNESS, self.randomness.is_some())
                | has(ROOT, root.is_some())
                | has(
                    DURATION,
                    root.is_some_and(|root| root.duration_ns.is_some()),
                )
                | has(THRESHOLD, root.is_some_and(|root| root.threshold.is_some())),
        );
        into.extend_from_slice(&self.id.to_le_bytes());
        texts.put(into, &self.service);
        put_varint(into, u64::from(self.spans));
        put_varint(into, self.longest_ns);
        if let Some(rule) = &self.tagged {
            texts.put(into, rule);
        }
        if let Some(randomness) = self.randomness {
            into.extend_from_slice(&randomness.number().to_le_bytes());
        }
        let Some(root) = root else {
            return;
        };
        texts.put(into, &root.service);
        texts.put(into, &root.operation);
        into.extend_from_slice(&root.span_id.to_le_bytes());
        if let Some(duration_ns) = root.duration_ns {
            put_varint(into, duration_ns);
        }
        if let Some(threshold) = root.threshold {
            into.extend_from_slice(&threshold.number().to_le_bytes());
        }
    }
}

fn put_decided(into: &mut Vec<u8>, all: &[Decided]) {
    put_varint(into, all.len() as u64);
    for decided in all {
        into.extend_from_slice(&decided.id.to_le_bytes());
        match decided.decision {
            Decision::Drop => into.push(0),
            Decision::Keep(None) => into.push(KEEP),
            Decision::Keep(Some(threshold)) => {
                into.push(KEEP | DECIDED_HERE);
                into.extend_from_slice(&threshold.number().to_le_bytes());
            }
        }
    }
}
