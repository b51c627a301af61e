//! The frame around stored columns of numbers: a version byte, then one zstd frame.

use std::io::Read;

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

/// Checks that content is small enough for [`unwrap`] with `largest`.
pub(super) fn check(content: &[u8], largest: u64) -> Result<(), TooLarge> {
    let bytes = content.len() as u64;
    if bytes <= largest {
        return Ok(());
    }
    Err(TooLarge {
        bytes,
        most: largest,
    })
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
        assert_eq!(check(&[7; 100], 100), Ok(()));
        let refused = TooLarge {
            bytes: 100,
            most: 99,
        };
        assert_eq!(check(&[7; 100], 99), Err(refused));
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
