//! The frame around stored columns of numbers: a version byte, then one zstd frame.

use std::io::{self, BufWriter, IntoInnerError, Read, Write};

use serde::Serialize;
use zstd::stream::write::Encoder;

use super::varint::Damage;

/// Level 1: columns of numbers gain little from a higher level, and the leader waits for it.
const LEVEL: i32 = 1;

/// The content is larger than the largest that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes {bytes} bytes; the limit is {most}")]
pub struct TooLarge {
    /// Its size in bytes.
    pub bytes: u64,
    /// The largest size that is read.
    pub most: u64,
}

/// Bytes that are compressed at once.
const AT_ONCE: usize = 128 * 1024;

/// Wraps content that is written part by part. It is compressed as it comes, so it is never in memory
/// as a whole.
pub(super) struct Wrapping(BufWriter<Counted<Encoder<'static, Vec<u8>>>>);

impl Wrapping {
    /// Begins a frame of one version.
    pub fn new(version: u8) -> Self {
        let encoder = Encoder::new(vec![version], LEVEL).expect("the level is one that zstd has");
        let counted = Counted {
            bytes: 0,
            to: encoder,
        };
        Self(BufWriter::with_capacity(AT_ONCE, counted))
    }

    /// Appends a part in postcard.
    pub fn put(&mut self, part: &impl Serialize) {
        postcard::to_io(part, &mut self.0).expect("numbers and lists of known length serialise");
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// Refuses content that is too large for [`unwrap`] with `largest`.
    pub fn end(self, largest: u64) -> Result<Vec<u8>, TooLarge> {
        let counted = self.0.into_inner().map_err(IntoInnerError::into_error);
        let counted = counted.expect(INTO_MEMORY);
        if counted.bytes > largest {
            return Err(TooLarge {
                bytes: counted.bytes,
                most: largest,
            });
        }
        Ok(counted.to.finish().expect(INTO_MEMORY))
    }
}

const INTO_MEMORY: &str = "compression into memory does not fail";

/// Counts what is written.
struct Counted<W> {
    bytes: u64,
    to: W,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Wraps content.
pub(super) fn wrap(version: u8, content: &[u8]) -> Vec<u8> {
    let compressed = compress(content);
    let mut bytes = Vec::with_capacity(1 + compressed.len());
    bytes.push(version);
    bytes.extend(compressed);
    bytes
}

/// Unwraps content of one version, of at most `largest` bytes.
pub(super) fn unwrap(version: u8, bytes: &[u8], largest: u64) -> Result<Vec<u8>, Damage> {
    let (first, compressed) = bytes.split_first().ok_or(Damage::Truncated)?;
    if *first != version {
        return Err(Damage::version(*first, version));
    }
    decompress(compressed, largest)
}

/// Compresses content into one zstd frame.
pub(super) fn compress(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, LEVEL)
        .expect("compression into memory of sufficient size does not fail")
}

/// Decompresses one zstd frame of at most `largest` bytes of content.
pub(super) fn decompress(compressed: &[u8], largest: u64) -> Result<Vec<u8>, Damage> {
    let decoder = zstd::stream::read::Decoder::new(compressed).map_err(|_| Damage::Malformed)?;
    let mut content = Vec::new();
    // One byte over the limit distinguishes too much from just enough.
    let mut bounded = decoder.take(largest + 1);
    bounded
        .read_to_end(&mut content)
        .map_err(|_| Damage::Malformed)?;
    if content.len() as u64 > largest {
        return Err(Damage::TooLarge);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_read_is_refused_before_it_is_written() {
        let refused = TooLarge {
            bytes: 100,
            most: 99,
        };
        assert_eq!(wrapped().end(99), Err(refused));
    }

    #[test]
    fn parts_come_back_as_one() {
        let bytes = wrapped().end(100).unwrap();
        let content = [[vec![59], vec![7; 59]], [vec![39], vec![8; 39]]].concat();
        assert_eq!(unwrap(3, &bytes, 100), Ok(content.concat()));
    }

    /// A frame of two lists, which are a byte longer each with their lengths.
    fn wrapped() -> Wrapping {
        let mut wrapping = Wrapping::new(3);
        wrapping.put(&vec![7_u8; 59]);
        wrapping.put(&vec![8_u8; 39]);
        wrapping
    }

    #[test]
    fn content_comes_back_up_to_its_limit() {
        let content = vec![7; 100_000];
        let bytes = wrap(3, &content);
        assert!(bytes.len() < 1000);
        assert_eq!(unwrap(3, &bytes, 100_000), Ok(content));
        assert_eq!(unwrap(3, &bytes, 99_999), Err(Damage::TooLarge));
        assert_eq!(unwrap(4, &bytes, 100_000), Err(Damage::UnknownVersion));
        let newer = Damage::NewerVersion { found: 3, known: 2 };
        assert_eq!(unwrap(2, &bytes, 100_000), Err(newer));
        assert_eq!(
            unwrap(3, &bytes[..bytes.len() / 2], 100_000),
            Err(Damage::Malformed)
        );
        assert_eq!(unwrap(3, b"", 100_000), Err(Damage::Truncated));
        assert_eq!(unwrap(3, b"\x03garbage", 100_000), Err(Damage::Malformed));
    }
}
