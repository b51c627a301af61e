//! The lines of a CSV file, one at a time, and bounded.

use std::io::{BufRead, Read};
use std::ops::Range;

use super::fault::{At, RecordingFault, at};
use super::{LONGEST_LINE, MOST_CELLS};

/// What may be between cells.
const SEPARATORS: &[u8] = b",;\t|";

/// Reads a file line by line. A quoted cell must end on the line where it began, because names of
/// services and operations contain no line breaks.
pub(super) struct Lines<R> {
    from: R,
    number: u64,
    raw: Vec<u8>,
    /// Unknown until the header is read.
    separator: Option<u8>,
    line: Line,
}

/// One line, split.
#[derive(Default)]
pub(super) struct Line {
    /// The number of the line, from 1 on.
    pub number: u64,
    text: Vec<u8>,
    cells: Vec<Range<usize>>,
}

impl Line {
    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// A cell as text, without surrounding blanks.
    pub fn cell(&self, column: usize) -> Result<&str, (usize, RecordingFault)> {
        let cell = self.cells.get(column).cloned().unwrap_or(0..0);
        std::str::from_utf8(&self.text[cell])
            .map(str::trim)
            .map_err(|_| (column, RecordingFault::NotText))
    }

    /// Splits a line into its cells.
    fn split(&mut self, raw: &[u8], separator: u8) -> Result<(), (usize, RecordingFault)> {
        self.text.clear();
        self.cells.clear();
        let mut begin = 0;
        let mut quoted = false;
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if byte == b'"' && quoted {
                // A quote in quotes is written twice.
                quoted = bytes.next_if_eq(&b'"').is_some();
                if quoted {
                    self.text.push(byte);
                }
            } else if byte == b'"' && self.text.len() == begin {
                quoted = true;
            } else if byte == separator && !quoted {
                self.cells.push(begin..self.text.len());
                begin = self.text.len();
                if self.cells.len() >= MOST_CELLS {
                    return Err((
                        MOST_CELLS,
                        RecordingFault::too_many("cells in a line", MOST_CELLS),
                    ));
                }
            } else {
                self.text.push(byte);
            }
        }
        if quoted {
            return Err((self.cells.len(), RecordingFault::Quotes));
        }
        self.cells.push(begin..self.text.len());
        Ok(())
    }
}

impl<R: BufRead> Lines<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            number: 0,
            raw: Vec::new(),
            separator: None,
            line: Line::default(),
        }
    }

    /// The next line that is not empty.
    pub fn next(&mut self) -> Result<Option<&Line>, At> {
        loop {
            self.raw.clear();
            self.number += 1;
            let read = (&mut self.from)
                .take(LONGEST_LINE + 1)
                .read_until(b'\n', &mut self.raw)
                .map_err(|error| at(self.number, 0, RecordingFault::Unread(error.to_string())))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 > LONGEST_LINE {
                return Err(at(self.number, 0, RecordingFault::LongLine));
            }
            while matches!(self.raw.last(), Some(b'\n' | b'\r')) {
                self.raw.pop();
            }
            if !self.raw.is_empty() && !self.is_before_header() {
                break;
            }
        }
        self.line.number = self.number;
        let separator = self.separator();
        self.line
            .split(&self.raw, separator)
            .map_err(|(column, fault)| at(self.number, column, fault))?;
        Ok(Some(&self.line))
    }

    /// The byte between the cells.
    pub fn separator(&self) -> u8 {
        self.separator.unwrap_or(b',')
    }

    /// Removes what an editor may have put in front, and finds the separator. Returns whether the line
    /// says the separator, and no more; a spreadsheet is told it so.
    ///
    /// Otherwise it is the first one outside of quotes. A spreadsheet exports semicolons if the comma is
    /// part of a number; a database exports tabs or bars.
    fn is_before_header(&mut self) -> bool {
        if self.line.number > 0 {
            return false;
        }
        if self.raw.starts_with(b"\xef\xbb\xbf") {
            self.raw.drain(..3);
        }
        if self.separator.is_some() {
            return false;
        }
        if let Some([separator]) = self.raw.strip_prefix(b"sep=")
            && SEPARATORS.contains(separator)
        {
            self.separator = Some(*separator);
            return true;
        }
        let mut quoted = false;
        let separator = self.raw.iter().find(|&&byte| {
            quoted ^= byte == b'"';
            !quoted && SEPARATORS.contains(&byte)
        });
        self.separator = separator.copied();
        false
    }
}
