//! The fields of a protobuf message, read one after the other from its bytes. Nothing is copied or allocated.
//!
//! # Source
//! "Encoding" of the Protocol Buffers documentation. Groups (wire types 3 and 4) are in no version of OTLP, and
//! are refused.

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not protobuf, or another message than OTLP's.
    #[error("the body is not valid protobuf: {0}")]
    Protobuf(&'static str),
    /// Values within values, deeper than any program sends.
    #[error("attributes are nested more than {} deep", super::check::DEPTH_MAX)]
    TooDeep,
}

/// A field's value, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// A field: its number, its value, and the bytes of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    pub raw: &'a [u8],
}

/// The fields of a message that were not read yet.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
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

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let split = self.0.split_first_chunk::<N>();
        let (bytes, rest) = split.ok_or(Unreadable::Protobuf("a number ends early"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, Unreadable> {
        let whole = self.0;
        let key = u32::try_from(self.varint()?);
        let key = key.map_err(|_| Unreadable::Protobuf("a field has no valid number"))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(Unreadable::Protobuf("a field is of no known type")),
        };
        if key >> 3 == 0 {
            return Err(Unreadable::Protobuf("a field has no valid number"));
        }
        Ok(Field {
            number: key >> 3,
            value,
            raw: &whole[..whole.len() - self.0.len()],
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Unreadable>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

pub(crate) const OTHER_TYPE: Unreadable =
    Unreadable::Protobuf("a field is of another type than in OTLP");

impl<'a> Value<'a> {
    /// The bytes of a message, a text or bytes.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], Unreadable> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(OTHER_TYPE),
        }
    }

    #[inline]
    pub fn varint(self) -> Result<u64, Unreadable> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }

    #[inline]
    pub fn fixed64(self) -> Result<u64, Unreadable> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }
}

/// Appends a varint.
pub(crate) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends the key and the length of a message, a text or bytes.
pub(crate) fn put_head(into: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(into, u64::from(number << 3 | 2));
    put_varint(into, length as u64);
}

/// Appends a field of bytes.
pub(crate) fn put_bytes(into: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_head(into, number, bytes.len());
    into.extend_from_slice(bytes);
}

/// Appends the length of bytes, and the bytes.
pub(crate) fn put_bytes_alone(into: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}
