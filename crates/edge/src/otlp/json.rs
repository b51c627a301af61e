//! Turns OTLP's JSON into the protobuf that everything else reads.
//!
//! The JSON is read once, and the protobuf is written as it is read. Numbers may be numbers or strings, and
//! values of enums numbers or names: senders differ. Fields that are not known are left out.
//!
//! # Source
//! OTLP 1.9, "JSON Protobuf Encoding"; the rules of protobuf's own mapping to JSON for the rest.

use std::fmt;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::schema::{self, Field, Kind, Message};
use super::wire::{put_bytes, put_varint};

/// Padded or not, in either alphabet: senders differ.
fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new();
    let config = config.with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut alphabets = [STANDARD, URL_SAFE].into_iter();
    alphabets.find_map(|of| GeneralPurpose::new(&of, config).decode(text).ok())
}

/// What an export is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Logs.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// As paths and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    fn request(self) -> &'static Message {
        match self {
            Self::Traces => &schema::TRACES,
            Self::Metrics => &schema::METRICS,
            Self::Logs => &schema::LOGS,
        }
    }
}

/// Turns a request in JSON into protobuf.
///
/// # Errors
/// Where the JSON is not valid, or a value is of another type than in OTLP.
pub fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut into = Vec::with_capacity(body.len() / 2);
    let mut reader = serde_json::Deserializer::from_slice(body);
    MessageSeed {
        of: signal.request(),
        into: &mut into,
    }
    .deserialize(&mut reader)?;
    reader.end()?;
    Ok(into)
}

/// Reads an object and appends its fields. `null` has none.
struct MessageSeed<'a> {
    of: &'static Message,
    into: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.of.named(&name) {
                Some(field) if field.repeated => {
                    map.next_value_seed(ListSeed {
                        field,
                        into: self.into,
                    })?;
                }
                Some(field) => {
                    map.next_value_seed(FieldSeed {
                        field,
                        into: self.into,
                    })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a list and appends its values, each with its key: readers of protobuf take packed fields like this, too.
struct ListSeed<'a> {
    field: &'static Field,
    into: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list for {}", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut next = || {
            list.next_element_seed(FieldSeed {
                field: self.field,
                into: self.into,
            })
        };
        while next()?.is_some() {}
        Ok(())
    }
}

/// Reads a value and appends the field; nothing for `null`.
struct FieldSeed<'a> {
    field: &'static Field,
    into: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Kind::Message(of) = self.field.kind else {
            return deserializer.deserialize_any(self);
        };
        let mut inside = Vec::new();
        MessageSeed {
            of,
            into: &mut inside,
        }
        .deserialize(deserializer)?;
        put_bytes(self.into, self.field.number, &inside);
        Ok(())
    }
}

impl FieldSeed<'_> {
    fn key(&mut self, wire_type: u32) {
        put_varint(self.into, u64::from(self.field.number << 3 | wire_type));
    }

    /// Appends a whole number.
    fn whole<E: Error>(mut self, number: i128) -> Result<(), E> {
        let (least, most) = match self.field.kind {
            Kind::Unsigned | Kind::Fixed64 => (0, i128::from(u64::MAX)),
            Kind::Fixed32 => (0, i128::from(u32::MAX)),
            Kind::Enum(_) | Kind::ZigZag => (i128::from(i32::MIN), i128::from(i32::MAX)),
            Kind::Signed | Kind::SignedFixed64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
            Kind::Double => return self.double(number as f64),
            _ => return Err(self.other_type("a number")),
        };
        if !(least..=most).contains(&number) {
            return Err(E::custom(format_args!(
                "{} is out of range",
                self.field.name
            )));
        }
        match self.field.kind {
            Kind::Fixed64 | Kind::SignedFixed64 => {
                self.key(1);
                self.into.extend_from_slice(&(number as u64).to_le_bytes());
            }
            Kind::Fixed32 => {
                self.key(5);
                self.into.extend_from_slice(&(number as u32).to_le_bytes());
            }
            Kind::ZigZag => {
                self.key(0);
                let number = number as i32;
                put_varint(
                    self.into,
                    u64::from(((number << 1) ^ (number >> 31)).cast_unsigned()),
                );
            }
            _ => {
                self.key(0);
                put_varint(self.into, number as u64);
            }
        }
        Ok(())
    }

    fn double<E: Error>(mut self, number: f64) -> Result<(), E> {
        if let Kind::Double = self.field.kind {
            self.key(1);
            self.into.extend_from_slice(&number.to_le_bytes());
            return Ok(());
        }
        // Some senders write whole numbers as doubles.
        if number.fract() == 0.0 && number.abs() < 1.9e19 {
            return self.whole(number as i128);
        }
        Err(self.other_type("a fraction"))
    }

    fn bytes<E: Error>(self, decoded: Option<Vec<u8>>) -> Result<(), E> {
        let wrong = || {
            E::custom(format_args!(
                "{} is not encoded as OTLP says",
                self.field.name
            ))
        };
        let decoded = decoded.ok_or_else(wrong)?;
        put_bytes(self.into, self.field.number, &decoded);
        Ok(())
    }

    fn other_type<E: Error>(&self, given: &str) -> E {
        E::custom(format_args!("{} cannot be {given}", self.field.name))
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for {}", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) {
            return Err(self.other_type("true or false"));
        }
        self.key(0);
        self.into.push(u8::from(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.double(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.field.kind {
            Kind::Text => {
                put_bytes(self.into, self.field.number, text.as_bytes());
                Ok(())
            }
            Kind::Id => self.bytes(hexadecimal(text).or_else(|| id_in_base64(text))),
            Kind::Bytes => self.bytes(base64(text)),
            Kind::Enum(names) => match names.iter().position(|name| *name == text) {
                Some(number) => self.whole(number as i128),
                None => self.number(text),
            },
            _ => self.number(text),
        }
    }
}

impl FieldSeed<'_> {
    fn number<E: Error>(self, text: &str) -> Result<(), E> {
        if let Ok(number) = text.parse::<i128>() {
            return self.whole(number);
        }
        match (text, text.parse::<f64>()) {
            ("Infinity", _) => self.double(f64::INFINITY),
            ("-Infinity", _) => self.double(f64::NEG_INFINITY),
            (_, Ok(number)) => self.double(number),
            _ => Err(self.other_type("a text")),
        }
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let digit = |digit: u8| (digit as char).to_digit(16);
    pairs
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

/// Protobuf's own mapping, which some senders use. It ends in `=`, so it cannot be read as digits.
fn id_in_base64(text: &str) -> Option<Vec<u8>> {
    let id = base64(text)?;
    (text.ends_with('=') && matches!(id.len(), 8 | 16)).then_some(id)
}
