//! Recorded traffic files: their formats, and what can be wrong with them.
//! The content decides which of these formats a file has, not its name or size.
//!
//! * **Azure Functions invocations**: `HashOwner,HashApp,HashFunction,Trigger,1,2,…`, one line per
//!   function and one column per minute. The app becomes the service, the function the operation.
//!   Any four names that begin like `owner`, `app`, `function` and `trigger` (with or without
//!   `Hash`) will do. Lines of one function that differ in owner or trigger are added up.
//! * **Weir's own**: `service,operation,<time>,<time>,…`, one line per operation and one column per
//!   row of time, in which a cell is the number of root requests. If the third column is called
//!   `root_spans` it is not a row of time: a line with 0 there is an operation that never begins a
//!   trace, and is left out. Before that there may be a column `class`.
//! * **A list**: `timestamp,service,operation,count` in any order, one count a line; the service or
//!   the operation may be missing, a column may say the class, or one column name the series. Counts of the same operation and
//!   time are added up. [`words`] knows the names of the columns.
//! * **A table**: `timestamp,<series>,<series>,…`, one line per row of time; an empty cell is 0.
//!   A series is named by its labels, or is an operation ([`series`]). With one column only it is a
//!   single series.
//! * **JSON**: the answer of Prometheus to `query_range` ([`json`]).
//!
//! Each may be compressed with gzip. Times may have dates, be times of day, count from 1970, or be
//! plain numbers ([`stamp`]). The length of a row and the missing rows follow from them, unless
//! [`ReadOptions`] gives them.
//!
//! What is assumed becomes a note of the [`Recording`]. What could be read in two ways is refused. A
//! file comes from outside, so everything about it is bounded.

mod columns;
mod container;
mod fault;
mod growth;
mod header;
mod json;
mod line;
mod list;
mod number;
mod series;
mod stamp;
#[cfg(test)]
mod tests;
mod time;
mod words;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;
use flate2::bufread::MultiGzDecoder;

use super::traffic::{OperationRow, Traffic};
use weir_allocation::{Class, OperationName, ServiceName};

use container::{Content, content};
use fault::{At, at};
pub use fault::{RecordingError, RecordingFault};
use header::Layout;
use line::{Line, Lines};
use time::Axis;

/// The largest file read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 30;
/// The longest line, in bytes.
pub const LONGEST_LINE: u64 = 8 << 20;
/// The most cells in a line.
pub const MOST_CELLS: usize = 100_000;
/// The most operations.
pub const MOST_OPERATIONS: usize = 200_000;
/// The most rows of time.
pub const MOST_ROWS: usize = 1_000_000;
/// The most counts: operations times rows of time. A day of the Azure Functions data set has
/// up to 120 million.
pub const MOST_COUNTS: usize = 160_000_000;
/// The largest count of one operation in one row of time.
pub const LARGEST_COUNT: u32 = 1_000_000_000;

/// How much is read at once, in bytes.
const BUFFER: usize = 1 << 16;
/// The service of operations in a file without services.
const NO_SERVICE: &str = "recorded";
/// The operation of services in a file without operations.
const NO_OPERATION: &str = "all";

/// How rows of time that a file does not have are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Gaps {
    /// They are played as no traffic.
    Zero,
    /// They are left out: the rows on both sides are played back to back.
    Close,
}

/// How to read a file where it does not say so itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReadOptions {
    /// How long a row of time lasts, in seconds, whatever its times say.
    pub row_seconds: Option<f64>,
    /// How to treat missing rows. By default they are filled with 0 in a list and in a single
    /// series, which often leave out rows without requests. In other files the gaps are closed,
    /// because nobody knows the requests of the missing rows.
    pub gaps: Option<Gaps>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The traffic, in even rows of time.
    pub traffic: Traffic,
    /// How long a row lasts, in seconds.
    pub row_seconds: f64,
    /// What the reader found out about the file, in sentences.
    pub notes: Vec<String>,
}

/// The instant that a row's name says, in milliseconds since 1970, in UTC where it names no zone; none
/// if it is no date.
#[must_use]
pub fn instant_of(label: &str) -> Option<i64> {
    match stamp::Stamp::parse(label)? {
        stamp::Stamp::Epoch(at) | stamp::Stamp::Zoned(at) | stamp::Stamp::Local(at) => Some(at),
        stamp::Stamp::Clock(_) | stamp::Stamp::Number(_) => None,
    }
}

/// Reads a traffic file with rows one after the other.
///
/// # Errors
/// If it cannot be read or is not a traffic file. A fault is reported with its line and column.
pub fn read_traffic(path: &Path) -> Result<Traffic, RecordingError> {
    read(path, &ReadOptions::default()).map(|recording| recording.traffic)
}

/// Reads a traffic file with these options.
///
/// # Errors
/// If it cannot be read or is not a traffic file. A fault is reported with its line and column.
pub fn read(path: &Path, reading: &ReadOptions) -> Result<Recording, RecordingError> {
    let file = path.display().to_string();
    let failed = |source| RecordingError::Read {
        file: path.display().to_string(),
        source,
    };
    let opened = File::open(path).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    // Reading one byte more than allowed detects a file that is too large, even if its size is
    // unknown.
    let mut bytes = BufReader::with_capacity(BUFFER, opened).take(LARGEST_FILE + 1);
    let (parsed, left) = parse(&mut bytes, reading);
    if left == 0 || bytes.limit() == 0 {
        return Err(RecordingError::TooLarge(file));
    }
    parsed.map_err(|at| RecordingError::Faulty {
        file,
        line: at.line,
        column: at.column,
        fault: at.fault,
    })
}

/// Reads a file that may be compressed. Returns how many bytes more it could have had, too.
fn parse(mut bytes: impl BufRead, reading: &ReadOptions) -> (Result<Recording, At>, u64) {
    match content(&mut bytes) {
        Ok(Content::Gzip) => {
            let plain = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(bytes));
            let mut plain = plain.take(LARGEST_FILE + 1);
            let parsed = content(&mut plain).and_then(|content| match content {
                Content::Gzip => Err(at(1, 0, RecordingFault::COMPRESSED_TWICE)),
                content => parse_text(content, &mut plain, reading),
            });
            (parsed, plain.limit())
        }
        Ok(content) => (parse_text(content, bytes, reading), LARGEST_FILE),
        Err(at) => (Err(at), LARGEST_FILE),
    }
}

fn parse_text(
    content: Content,
    bytes: impl BufRead,
    reading: &ReadOptions,
) -> Result<Recording, At> {
    if content == Content::Json {
        return json::read(bytes, reading);
    }
    let mut lines = Lines::new(bytes);
    let Some(first) = lines.next()? else {
        return Err(at(1, 0, RecordingFault::UnknownHeader));
    };
    let number = first.number;
    let layout = header::parse(first).map_err(|(column, fault)| at(number, column, fault))?;
    match layout {
        Layout::Wide(wide) => columns::operations(&mut lines, wide, reading),
        Layout::Table(table) => columns::rows(&mut lines, table, reading),
        Layout::Long(long) => list::read(&mut lines, long, reading),
    }
}

/// Makes a recording from the operations of a file, whose counts are on the even rows.
///
/// # Errors
/// Two operations with the same name, as their indexes.
fn recorded(
    axis: Axis,
    gaps: Gaps,
    operations: Vec<OperationRow>,
    mut notes: Vec<String>,
) -> Result<Recording, super::traffic::RepeatedOperation> {
    notes.extend(axis.notes(gaps));
    Ok(Recording {
        row_seconds: axis.row_seconds,
        traffic: Traffic::new(axis.labels, operations)?,
        notes,
    })
}

impl Axis {
    /// What was done about uneven rows.
    fn notes(&self, gaps: Gaps) -> Vec<String> {
        let mut notes = self.assumed.clone();
        if self.missing > 0 {
            let what = match gaps {
                Gaps::Zero => "they are played as no traffic (--gaps close leaves them out)",
                Gaps::Close => {
                    "the rows on both sides are played back to back (--gaps zero plays them as no traffic)"
                }
            };
            notes.push(format!(
                "{} rows of {} s are missing in {} places: {what}",
                self.missing, self.row_seconds, self.gaps
            ));
        }
        if self.doubled > 0 {
            notes.push(format!(
                "{} rows have the time of another row and are added to it",
                self.doubled
            ));
        }
        notes
    }
}

fn bounded(found: usize, most: usize, what: &'static str) -> Result<(), RecordingFault> {
    if found > most {
        return Err(RecordingFault::too_many(what, most));
    }
    Ok(())
}

fn service(text: &str) -> Result<ServiceName, RecordingFault> {
    ServiceName::parse(text).map_err(|why| RecordingFault::Name {
        what: "service",
        why,
    })
}

fn operation(text: &str) -> Result<OperationName, RecordingFault> {
    if Class::is_reserved(text) {
        return Err(RecordingFault::Reserved);
    }
    OperationName::parse(text).map_err(|why| RecordingFault::Name {
        what: "operation",
        why,
    })
}

/// The operation in these columns; with a class, the entry that it has of it.
fn entry(
    line: &Line,
    operation_column: usize,
    class_column: Option<usize>,
) -> Result<OperationName, (usize, RecordingFault)> {
    let name =
        operation(line.cell(operation_column)?).map_err(|fault| (operation_column, fault))?;
    of_class(name, line, class_column)
}

/// An operation's entry of the class in a column; itself if there is none.
fn of_class(
    name: OperationName,
    line: &Line,
    column: Option<usize>,
) -> Result<OperationName, (usize, RecordingFault)> {
    let Some(column) = column else {
        return Ok(name);
    };
    let found = line.cell(column)?;
    if found.is_empty() {
        return Ok(name);
    }
    let class = Class::parse(found);
    let class = class.ok_or_else(|| (column, RecordingFault::Class(fault::shortened(found))))?;
    let entry = class.entry(name.as_str());
    OperationName::parse(&entry).map_err(|why| {
        let what = "operation";
        (column, RecordingFault::Name { what, why })
    })
}
