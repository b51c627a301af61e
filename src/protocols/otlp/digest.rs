//! Digests of resources and streams.
//!
//! They are stored with the counts, so they must stay the same over releases: SHA-256 over the kind
//! and the length of every part, and its bytes. They do not depend on the encoding that a body came in,
//! nor on the order of attributes.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::attribute::{Attribute, Attributes, Value};

/// What a part of a digest is. The numbers are stored in effect; they never change.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Part {
    Empty = 0,
    Text = 1,
    Bool = 2,
    Int = 3,
    Double = 4,
    Bytes = 5,
    Nested = 6,
    Attributes = 7,
    List = 8,
    Map = 9,
    Key = 10,
    Code = 11,
}

/// A digest in the making.
#[derive(Clone, Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    /// The length of a whole digest.
    pub const BYTES: usize = 32;

    /// The digest of a list, from its values in their order.
    pub fn of_list<'a>(values: impl IntoIterator<Item = Value<'a>>) -> [u8; Self::BYTES] {
        let mut digest = Self::default();
        for value in values {
            digest.value(&value);
        }
        digest.part(Part::List, &[]);
        digest.finish()
    }

    /// The digest of a map.
    pub fn of_map(mut entries: Attributes<'_>) -> [u8; Self::BYTES] {
        entries.sort();
        let mut digest = Self::default();
        digest.attributes(&entries);
        digest.part(Part::Map, &[]);
        digest.finish()
    }

    fn part(&mut self, part: Part, bytes: &[u8]) {
        let mut head = [part as u8; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.update(head);
        self.0.update(bytes);
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.part(Part::Text, text.as_bytes());
    }

    /// Adds a number that stands for something.
    pub fn code(&mut self, code: u8) {
        self.part(Part::Code, &[code]);
    }

    /// Adds a value.
    pub fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Empty => self.part(Part::Empty, &[]),
            Value::Text(text) => self.text(text),
            Value::Bool(value) => self.part(Part::Bool, &[u8::from(*value)]),
            Value::Int(number) => self.part(Part::Int, &number.to_le_bytes()),
            Value::Double(number) => self.part(Part::Double, &number.to_bits().to_le_bytes()),
            Value::Bytes(bytes) => self.part(Part::Bytes, bytes),
            Value::Nested(digest) => self.part(Part::Nested, digest),
        }
    }

    /// Adds attributes, which must be sorted.
    pub fn attributes(&mut self, attributes: &Attributes<'_>) {
        for Attribute { key, value } in attributes.iter() {
            self.part(Part::Key, key.as_bytes());
            self.value(value);
        }
        self.part(Part::Attributes, &[]);
    }

    /// The whole digest.
    pub fn finish(self) -> [u8; Self::BYTES] {
        self.0.finalize().into()
    }

    /// Its first bytes as a UUID of version 8.
    pub fn uuid(self) -> Uuid {
        let whole = self.finish();
        let (first, _) = whole.split_first_chunk().expect("32 bytes");
        Builder::from_custom_bytes(*first).into_uuid()
    }

    /// Its first bytes as a number.
    pub fn number(self) -> u64 {
        let whole = self.finish();
        let (first, _) = whole.split_first_chunk().expect("32 bytes");
        u64::from_be_bytes(*first)
    }
}
