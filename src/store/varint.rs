//! Encodes numbers as bytes: LEB128 variable-length integers, and a reader that no input can harm.
//!
//! The integers are ten lines of our own. The small crates for them (`unsigned-varint`) ignore the
//! bits of a tenth byte that do not fit 64 bits, where a damaged cell must be an error. And the
//! code around them, for counts, gaps and fixed widths, would be ours in any case.

use super::StoreError;

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// The bytes end before the value does.
    #[error("it ends too early")]
    Truncated,
    /// A number does not fit its type.
    #[error("a number is out of range")]
    OutOfRange,
    /// Ids are not in ascending order.
    #[error("its ids are not in ascending order")]
    Unsorted,
    /// There are extra bytes at the end.
    #[error("it has extra bytes at its end")]
    Trailing,
    /// No program has ever written this version.
    #[error("its format is unknown")]
    UnknownVersion,
    /// A newer program wrote it.
    #[error("it has format {found}, and this program reads up to format {known}")]
    NewerVersion {
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        known: u32,
    },
    /// Larger than anything that the program writes.
    #[error("it decompresses to more than the limit")]
    TooLarge,
    /// The compressed frame or the serialised value inside it is malformed.
    #[error("it cannot be decompressed")]
    Malformed,
}

impl Damage {
    /// The damage for a version that cannot be read; `known` is the newest that can.
    pub(super) fn version(found: u8, known: u8) -> Self {
        let (found, known) = (u32::from(found), u32::from(known));
        if found > known {
            Self::NewerVersion { found, known }
        } else {
            Self::UnknownVersion
        }
    }

    /// The error for a cell with this damage.
    pub(super) fn of(self, what: impl Into<String>) -> StoreError {
        let what = what.into();
        match self {
            Self::NewerVersion { found, known } => StoreError::NewerFormat { what, found, known },
            damage => StoreError::Corrupt {
                what,
                why: damage.to_string(),
            },
        }
    }
}

/// Appends a number, seven bits per byte, lowest first.
pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a number with its sign in the lowest bit, so that small numbers of either sign are short.
pub(super) fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Reads from the front of a slice.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads a fixed number of bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a number written by [`put`].
    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Damage::OutOfRange);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damage::OutOfRange)
    }

    /// Reads a number written by [`put_signed`].
    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Reads a count of items that take at least `least_bytes` each. So a hostile count cannot make
    /// the caller allocate more than the bytes can hold.
    pub(super) fn count(&mut self, least_bytes: usize) -> Result<usize, Damage> {
        let count = usize::try_from(self.number()?).map_err(|_| Damage::OutOfRange)?;
        if count > self.rest.len() / least_bytes {
            return Err(Damage::Truncated);
        }
        Ok(count)
    }

    /// Reads the next of ascending ids, written as gaps by [`put`], given the one before.
    pub(super) fn rising(&mut self, previous: Option<u32>) -> Result<u32, Damage> {
        let gap = u32::try_from(self.number()?).map_err(|_| Damage::OutOfRange)?;
        match previous {
            None => Ok(gap),
            Some(_) if gap == 0 => Err(Damage::Unsorted),
            Some(previous) => previous.checked_add(gap).ok_or(Damage::OutOfRange),
        }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Checks that no bytes are left.
    pub(super) fn end(self) -> Result<(), Damage> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Damage::Trailing)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value in any::<u64>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.number(), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn numbers_with_a_sign_come_back(value in any::<i64>(), near in -64_i64..64) {
            for (value, most) in [(value, 10), (near, 1)] {
                let mut bytes = Vec::new();
                put_signed(&mut bytes, value);
                prop_assert!(bytes.len() <= most);
                let mut reader = Reader::new(&bytes);
                prop_assert_eq!(reader.signed(), Ok(value));
                prop_assert_eq!(reader.end(), Ok(()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = Reader::new(&bytes);
            while reader.number().is_ok() {}
            prop_assert!(reader.rest.len() < 20);
        }
    }

    #[test]
    fn refuses_a_number_past_64_bits() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(Reader::new(&bytes).number(), Err(Damage::OutOfRange));
        assert_eq!(Reader::new(&[0x80; 11]).number(), Err(Damage::OutOfRange));
    }

    #[test]
    fn refuses_a_count_larger_than_the_bytes() {
        let bytes = [0xff, 0xff, 0x03, 0, 0];
        assert_eq!(Reader::new(&bytes).count(1), Err(Damage::Truncated));
    }
}
