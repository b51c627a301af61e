//! Recorded traffic files: what they look like and what is wrong with them.
//!
//! Two formats, told apart by the header:
//!
//! * **Azure Functions invocations**: `HashOwner,HashApp,HashFunction,Trigger,1,2,…`, one line per
//!   function and one column per minute. The app becomes the service, the function the operation;
//!   owner and trigger are not used. Any four names that begin like `owner`, `app`, `function` and
//!   `trigger` (with or without `Hash`) will do.
//! * **Weir's own**: `service,operation,<label>,<label>,…`, one line per operation and one column
//!   per row of time, in which a cell is the number of root requests. If the third column is
//!   called `root_spans` it is not a row of time: a line with 0 there is an operation that never
//!   begins a trace, and is left out.
//!
//! A file comes from outside, so everything about it is bounded.

mod fault;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::ByteRecord;

use super::traffic::{OperationRow, Traffic};
use crate::allocation::{OperationName, ServiceName};

pub use fault::{Fault, RecordingError};

/// The largest file read, in bytes.
pub const LARGEST_FILE: u64 = 256 << 20;
/// The most operations.
pub const MOST_OPERATIONS: usize = 200_000;
/// The most rows of time.
pub const MOST_ROWS: usize = 100_000;
/// The most counts: operations times rows of time.
pub const MOST_COUNTS: usize = 32_000_000;
/// The largest count of one operation in one row of time.
pub const LARGEST_COUNT: u32 = 1_000_000_000;

/// Where in the file, and what.
struct At {
    line: u64,
    column: usize,
    fault: Fault,
}

/// Reads a traffic file.
///
/// # Errors
/// When it cannot be read or is not a traffic file; a fault is named with line and column.
pub fn read_traffic(path: &Path) -> Result<Traffic, RecordingError> {
    let file = path.display().to_string();
    let read = |source| RecordingError::Read {
        file: path.display().to_string(),
        source,
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, also where no size is known.
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(read)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(RecordingError::TooLarge(file));
    }
    parse_traffic(&bytes).map_err(|at| RecordingError::Faulty {
        file,
        line: at.line,
        column: at.column,
        fault: at.fault,
    })
}

/// What the header says of the lines under it.
struct Header {
    service: usize,
    operation: usize,
    roots: Option<usize>,
    first_count: usize,
    labels: Vec<String>,
}

fn parse_traffic(bytes: &[u8]) -> Result<Traffic, At> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = ByteRecord::new();
    let line_of = |record: &ByteRecord| record.position().map_or(1, csv::Position::line);
    if !read_record(&mut reader, &mut record)? {
        return Err(at(1, 0, Fault::UnknownHeader));
    }
    let header = parse_header(&record).map_err(|(column, fault)| at(1, column, fault))?;
    let mut rows: Vec<OperationRow> = Vec::new();
    let mut lines = Vec::new();
    while read_record(&mut reader, &mut record)? {
        let line = line_of(&record);
        let row =
            parse_line(&header, &record).map_err(|(column, fault)| at(line, column, fault))?;
        let Some(row) = row else { continue };
        rows.push(row);
        lines.push(line);
        bounded(rows.len(), MOST_OPERATIONS, "operations").map_err(|fault| at(line, 0, fault))?;
        bounded(rows.len() * header.labels.len(), MOST_COUNTS, "counts")
            .map_err(|fault| at(line, 0, fault))?;
    }
    if rows.is_empty() {
        return Err(at(1, 0, Fault::NoOperations));
    }
    Traffic::new(header.labels, rows).map_err(|repeated| {
        at(
            lines[repeated.second],
            header.operation,
            Fault::Repeated(lines[repeated.first]),
        )
    })
}

/// Places a fault; `column` counts from 0 here and from 1 in what the user reads.
fn at(line: u64, column: usize, fault: Fault) -> At {
    At {
        line,
        column: column + 1,
        fault,
    }
}

fn read_record(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> Result<bool, At> {
    reader.read_byte_record(record).map_err(|error| {
        let line = error.position().map_or(1, csv::Position::line);
        at(line, 0, Fault::Csv(error.to_string()))
    })
}

fn bounded(found: usize, most: usize, what: &'static str) -> Result<(), Fault> {
    if found > most {
        return Err(Fault::TooMany { what, most });
    }
    Ok(())
}

fn text(cell: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(cell)
        .map(str::trim)
        .map_err(|_| Fault::NotText)
}

fn parse_header(record: &ByteRecord) -> Result<Header, (usize, Fault)> {
    let name = |column: usize| -> String {
        record
            .get(column)
            .and_then(|cell| text(cell).ok())
            .map(|cell| cell.trim_start_matches('\u{feff}').to_ascii_lowercase())
            .unwrap_or_default()
    };
    let azure = ["owner", "app", "function", "trigger"]
        .iter()
        .enumerate()
        .all(|(column, word)| name(column).trim_start_matches("hash").starts_with(word));
    let own = name(0) == "service" && name(1) == "operation";
    let (service, operation, roots, first_count) = match (azure, own) {
        (true, _) => (1, 2, None, 4),
        (false, true) if name(2) == "root_spans" => (0, 1, Some(2), 3),
        (false, true) => (0, 1, None, 2),
        (false, false) => return Err((0, Fault::UnknownHeader)),
    };
    Ok(Header {
        service,
        operation,
        roots,
        first_count,
        labels: parse_labels(record, first_count)?,
    })
}

fn parse_labels(record: &ByteRecord, first: usize) -> Result<Vec<String>, (usize, Fault)> {
    if record.len() <= first {
        return Err((record.len(), Fault::NoRows));
    }
    bounded(record.len() - first, MOST_ROWS, "columns of counts")
        .map_err(|fault| (first, fault))?;
    let mut seen = std::collections::HashSet::new();
    let mut labels = Vec::with_capacity(record.len() - first);
    for (column, cell) in record.iter().enumerate().skip(first) {
        let label = text(cell).map_err(|fault| (column, fault))?;
        if !seen.insert(label) {
            return Err((column, Fault::RepeatedLabel(shortened(label))));
        }
        labels.push(label.to_owned());
    }
    Ok(labels)
}

/// Parses one line; nothing when it is of an operation that begins no traces.
fn parse_line(
    header: &Header,
    record: &ByteRecord,
) -> Result<Option<OperationRow>, (usize, Fault)> {
    let expected = header.first_count + header.labels.len();
    if record.len() != expected {
        let found = record.len();
        return Err((found.min(expected), Fault::Cells { found, expected }));
    }
    let cell = |column: usize| text(&record[column]).map_err(|fault| (column, fault));
    let service = ServiceName::parse(cell(header.service)?).map_err(|why| {
        (
            header.service,
            Fault::Name {
                what: "service",
                why,
            },
        )
    })?;
    let operation = OperationName::parse(cell(header.operation)?).map_err(|why| {
        (
            header.operation,
            Fault::Name {
                what: "operation",
                why,
            },
        )
    })?;
    if let Some(column) = header.roots
        && parse_count(&record[column]).map_err(|fault| (column, fault))? == 0
    {
        return Ok(None);
    }
    let counts = record
        .iter()
        .enumerate()
        .skip(header.first_count)
        .map(|(column, cell)| parse_count(cell).map_err(|fault| (column, fault)))
        .collect::<Result<Vec<u32>, _>>()?;
    Ok(Some((service, operation, counts)))
}

fn parse_count(cell: &[u8]) -> Result<u32, Fault> {
    let cell = text(cell)?;
    cell.parse()
        .ok()
        .filter(|&count| count <= LARGEST_COUNT)
        .ok_or_else(|| Fault::Count {
            found: shortened(cell),
        })
}

/// Enough of a cell to find it by.
fn shortened(cell: &str) -> String {
    const LONGEST: usize = 40;
    if cell.chars().count() <= LONGEST {
        return cell.to_owned();
    }
    cell.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::NameError;

    fn fault(text: &str) -> (u64, usize, Fault) {
        let at = parse_traffic(text.as_bytes()).expect_err("is faulty");
        (at.line, at.column, at.fault)
    }

    #[test]
    fn the_azure_format_makes_an_app_a_service_and_a_function_an_operation() {
        let text = "owner12,app12,function12,trigger,480,481\no,shop,buy,http,3,4\no,shop,look,timer,0,9\n";
        let traffic = parse_traffic(text.as_bytes()).ok().expect("a traffic file");
        assert_eq!(traffic.labels(), ["480", "481"]);
        assert_eq!(traffic.services()[0].name.as_str(), "shop");
        assert_eq!(traffic.operations()[1].name.as_str(), "look");
        assert_eq!(traffic.operations()[1].counts, [0, 9]);
    }

    #[test]
    fn the_data_sets_own_azure_header_is_known_too() {
        let text = "HashOwner,HashApp,HashFunction,Trigger,1\no,a,f,queue,3\n";
        assert!(parse_traffic(text.as_bytes()).is_ok());
    }

    #[test]
    fn the_own_format_is_service_operation_and_counts() {
        let text = "service,operation,09:00,09:01\nshop,\"GET /a,b\",1,2\n";
        let traffic = parse_traffic(text.as_bytes()).ok().expect("a traffic file");
        assert_eq!(traffic.operations()[0].name.as_str(), "GET /a,b");
        assert_eq!(traffic.operations()[0].counts, [1, 2]);
    }

    #[test]
    fn operations_that_begin_no_trace_are_left_out() {
        let text = "service,operation,root_spans,t0\nshop,db,0,500\nshop,buy,7,7\n";
        let traffic = parse_traffic(text.as_bytes()).ok().expect("a traffic file");
        assert_eq!(traffic.operations().len(), 1);
        assert_eq!(traffic.operations()[0].name.as_str(), "buy");
        assert_eq!(traffic.labels(), ["t0"]);
    }

    #[test]
    fn a_fault_is_named_with_line_and_column() {
        let header = "service,operation,t0,t1\n";
        for (lines, expected) in [
            ("a,b,1,-2\n", (2, 4, Fault::Count { found: "-2".into() })),
            (
                "a,b,1,2\na,c,1.5,0\n",
                (
                    3,
                    3,
                    Fault::Count {
                        found: "1.5".into(),
                    },
                ),
            ),
            (
                "a,b,1,1000000001\n",
                (
                    2,
                    4,
                    Fault::Count {
                        found: "1000000001".into(),
                    },
                ),
            ),
            (
                "a,b,1\n",
                (
                    2,
                    4,
                    Fault::Cells {
                        found: 3,
                        expected: 4,
                    },
                ),
            ),
            (
                "a,b,1,2,3\n",
                (
                    2,
                    5,
                    Fault::Cells {
                        found: 5,
                        expected: 4,
                    },
                ),
            ),
            (
                ",b,1,2\n",
                (
                    2,
                    1,
                    Fault::Name {
                        what: "service",
                        why: NameError::Empty,
                    },
                ),
            ),
            (
                "a,b\u{7}c,1,2\n",
                (
                    2,
                    2,
                    Fault::Name {
                        what: "operation",
                        why: NameError::ControlCharacter,
                    },
                ),
            ),
            ("a,b,1,2\n\nc,d,1,2\na,b,0,0\n", (5, 2, Fault::Repeated(2))),
            ("", (1, 1, Fault::NoOperations)),
        ] {
            assert_eq!(fault(&format!("{header}{lines}")), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_faulty_header_is_refused() {
        assert_eq!(fault(""), (1, 1, Fault::UnknownHeader));
        assert_eq!(fault("timestamp,AAPL\n1,2\n"), (1, 1, Fault::UnknownHeader));
        assert_eq!(fault("service,operation\na,b\n"), (1, 3, Fault::NoRows));
        assert_eq!(
            fault("service,operation,t,t\na,b,1,2\n"),
            (1, 4, Fault::RepeatedLabel("t".into()))
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let at = parse_traffic(b"service,operation,t\na,\xff\xfe,1\n").expect_err("is faulty");
        assert_eq!((at.line, at.column, at.fault), (2, 2, Fault::NotText));
    }

    #[test]
    fn a_long_cell_is_cut_short_in_the_message() {
        let (.., fault) = fault(&format!("service,operation,t\na,b,{}\n", "9".repeat(5000)));
        assert!(fault.to_string().len() < 200, "{fault}");
    }

    #[test]
    fn too_many_columns_are_refused() {
        let labels: Vec<String> = (0..=MOST_ROWS).map(|row| row.to_string()).collect();
        let text = format!("service,operation,{}\n", labels.join(","));
        assert!(matches!(fault(&text), (1, 3, Fault::TooMany { .. })));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_traffic(Path::new("no/such/file.csv")).expect_err("is not there");
        assert!(
            error
                .to_string()
                .starts_with("cannot read no/such/file.csv")
        );
    }
}
