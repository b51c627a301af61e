//! What a file is, by its first bytes: text, compressed text, or a format that is not read.

use std::io::BufRead;

use super::fault::{At, RecordingFault, at};

/// The content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Lines of cells.
    Table,
    Json,
    Gzip,
}

/// How much of the beginning is looked at, in bytes.
const LOOKED_AT: usize = 512;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// First bytes of formats that are not read, what they are, and what to do.
const FOREIGN: [(&[u8], &str, &str); 15] = [
    (
        b"PK\x03\x04",
        "a workbook or another zip archive",
        "save it as CSV",
    ),
    (b"\xd0\xcf\x11\xe0", "an old workbook", "save it as CSV"),
    (b"PAR1", "a Parquet file", "export CSV"),
    (b"Obj\x01", "an Avro file", "export CSV"),
    (b"ORC", "an ORC file", "export CSV"),
    (b"ARROW1", "an Arrow file", "export CSV"),
    (b"SQLite format 3", "a database of SQLite", "export CSV"),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd",
        "decompress it, or compress it with gzip",
    ),
    (
        b"BZh",
        "compressed with bzip2",
        "decompress it, or compress it with gzip",
    ),
    (
        b"\xfd7zXZ",
        "compressed with xz",
        "decompress it, or compress it with gzip",
    ),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"# HELP", "one scrape of a metrics endpoint", SCRAPE),
    (b"# TYPE", "one scrape of a metrics endpoint", SCRAPE),
    (
        b"#group,",
        "annotated CSV of InfluxDB",
        "export it without annotations",
    ),
];
const SCRAPE: &str = "query a range of increase(…[1m]) with a step of 1m, and save the answer";

/// Recognises a file by its first bytes.
///
/// # Errors
/// If the format is known, but not read.
pub(super) fn content(bytes: &mut impl BufRead) -> Result<Content, At> {
    let start = bytes.fill_buf();
    let start = start.map_err(|error| at(1, 0, RecordingFault::Unread(error.to_string())))?;
    let start = &start[..start.len().min(LOOKED_AT)];
    if start.starts_with(b"\x1f\x8b") {
        return Ok(Content::Gzip);
    }
    let foreign = FOREIGN.iter().find(|(begin, ..)| start.starts_with(begin));
    if let Some((_, seen, instead)) = foreign {
        return Err(at(1, 0, RecordingFault::Foreign { seen, instead }));
    }
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    let mut letters = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (letters.next(), letters.next()) {
        (Some(b'<'), _) => {
            let (seen, instead) = (
                "a web page or XML",
                "read it: it may say why the export failed",
            );
            Err(at(1, 0, RecordingFault::Foreign { seen, instead }))
        }
        (Some(b'{'), Some(b'"' | b'}')) | (Some(b'['), Some(b'{' | b'[' | b']')) => {
            Ok(Content::Json)
        }
        _ => Ok(Content::Table),
    }
}
