//! Limits of what a kept span says: how many attributes, and how long their values are.
//!
//! Those of the span itself; its events and links stay as they came.

use super::attribute;
use super::wire::{Fields, Value, put_bytes, put_varint};

const ATTRIBUTES: u32 = 9;
const DROPPED_ATTRIBUTES_COUNT: u32 = 10;

/// Fields of `AnyValue`.
const TEXT: u32 = 1;
const BYTES: u32 = 7;

/// The limits. None: as many and as long as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttributeLimits {
    /// The most attributes of a span. The first ones stay.
    pub most: Option<u32>,
    /// The longest value, in bytes. Texts and bytes are cut; lists that are longer are dropped.
    pub bytes: Option<usize>,
}

/// What the limits have taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenAway {
    /// Attributes whose value was cut.
    pub cut: u64,
    /// Attributes that were dropped.
    pub dropped: u64,
}

/// What becomes of an attribute.
enum Attribute<'a> {
    Stays,
    IsCut {
        key: &'a [u8],
        kind: u32,
        value: &'a [u8],
    },
    IsDropped,
}

impl AttributeLimits {
    /// Writes a span within the limits, if it is not. Says whether it has.
    pub fn apply(self, span: &[u8], into: &mut Vec<u8>, taken: &mut TakenAway) -> bool {
        if self == Self::default() || !self.exceeds(span) {
            return false;
        }
        into.clear();
        let (mut attributes, mut dropped) = (0, 0);
        for field in Fields::of(span).map_while(Result::ok) {
            match (field.number, field.value) {
                (ATTRIBUTES, Value::Bytes(one)) => {
                    attributes += 1;
                    match self.limited(one, attributes) {
                        Attribute::Stays => into.extend_from_slice(field.raw),
                        Attribute::IsCut { key, kind, value } => {
                            put_attribute(into, key, kind, value);
                            taken.cut += 1;
                        }
                        Attribute::IsDropped => {
                            dropped += 1;
                            taken.dropped += 1;
                        }
                    }
                }
                (DROPPED_ATTRIBUTES_COUNT, Value::Varint(before)) => dropped += before,
                _ => into.extend_from_slice(field.raw),
            }
        }
        if dropped > 0 {
            put_varint(into, u64::from(DROPPED_ATTRIBUTES_COUNT << 3));
            put_varint(into, dropped.min(u64::from(u32::MAX)));
        }
        true
    }

    fn exceeds(self, span: &[u8]) -> bool {
        let mut attributes = 0;
        let mut fields = Fields::of(span).map_while(Result::ok);
        fields.any(|field| match field.value {
            Value::Bytes(one) if field.number == ATTRIBUTES => {
                attributes += 1;
                !matches!(self.limited(one, attributes), Attribute::Stays)
            }
            _ => false,
        })
    }

    fn limited(self, one: &[u8], number: u32) -> Attribute<'_> {
        if self.most.is_some_and(|most| number > most) {
            return Attribute::IsDropped;
        }
        let longest = self.bytes.unwrap_or(usize::MAX);
        if one.len() <= longest {
            return Attribute::Stays;
        }
        let Ok((key, value)) = attribute(one) else {
            return Attribute::Stays;
        };
        let Some(Ok(inside)) = Fields::of(value).last() else {
            return Attribute::Stays;
        };
        match (inside.number, inside.value) {
            (_, Value::Bytes(value)) if value.len() <= longest => Attribute::Stays,
            (TEXT, Value::Bytes(value)) => Attribute::IsCut {
                key,
                kind: TEXT,
                value: cut(value, longest),
            },
            (BYTES, Value::Bytes(value)) => Attribute::IsCut {
                key,
                kind: BYTES,
                value: &value[..longest],
            },
            (_, Value::Bytes(_)) => Attribute::IsDropped,
            _ => Attribute::Stays,
        }
    }
}

/// The longest beginning of a text that ends with a whole character.
fn cut(text: &[u8], longest: usize) -> &[u8] {
    let is_middle = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut at = longest;
    while at > 0 && is_middle(at) {
        at -= 1;
    }
    &text[..at]
}

fn put_attribute(into: &mut Vec<u8>, key: &[u8], kind: u32, value: &[u8]) {
    let (mut inside, mut one) = (Vec::new(), Vec::new());
    put_bytes(&mut inside, kind, value);
    put_bytes(&mut one, 1, key);
    put_bytes(&mut one, 2, &inside);
    put_bytes(into, ATTRIBUTES, &one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        for (text, longest, expected) in [
            ("abc", 2, "ab"),
            ("aä", 2, "a"),
            ("aä", 3, "aä"),
            ("ää", 3, "ä"),
            ("€", 2, ""),
        ] {
            assert_eq!(cut(text.as_bytes(), longest), expected.as_bytes(), "{text}");
        }
    }
}
