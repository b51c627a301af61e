//! The fields of a message, read one after the other from its bytes. Nothing is copied, and nothing is
//! allocated for what is not read.
//!
//! # Source
//! "Encoding" of the Protocol Buffers documentation. Groups (wire types 3 and 4) are in no version of
//! OTLP, and are refused.

use super::super::Unreadable;

/// A field's value, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message that were not read yet.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Unreadable> {
        // Nearly all keys and lengths.
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(Unreadable::Protobuf("a number ends early or is too long"))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let split = self.0.split_at_checked(length);
        let (bytes, rest) = split.ok_or(Unreadable::Protobuf("a field ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let split = self.0.split_first_chunk::<N>();
        let (bytes, rest) = split.ok_or(Unreadable::Protobuf("a number ends early"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Field<'a>), Unreadable> {
        let key = u32::try_from(self.varint()?);
        let key = key.map_err(|_| Unreadable::Protobuf("a field has no valid number"))?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Field::Bytes(self.bytes()?),
            5 => {
                self.fixed::<4>()?;
                Field::Fixed32
            }
            _ => return Err(Unreadable::Protobuf("a field is of no known type")),
        };
        match key >> 3 {
            0 => Err(Unreadable::Protobuf("a field has no valid number")),
            number => Ok((number, value)),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Unreadable>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

const OTHER_TYPE: Unreadable = Unreadable::Protobuf("a field is of another type than in OTLP");

impl<'a> Field<'a> {
    /// The bytes of a message, a text or bytes.
    pub fn bytes(self) -> Result<&'a [u8], Unreadable> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(OTHER_TYPE),
        }
    }

    pub fn text(self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|_| Unreadable::Protobuf("a text is not valid UTF-8"))
    }

    pub fn varint(self) -> Result<u64, Unreadable> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }

    pub fn fixed64(self) -> Result<u64, Unreadable> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }
}
