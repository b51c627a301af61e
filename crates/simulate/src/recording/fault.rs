//! What can be wrong with a traffic file, in words for the user.

use super::{LARGEST_COUNT, LARGEST_FILE, LONGEST_LINE};
use weir_allocation::NameError;

/// Why a traffic file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file could not be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is larger than [`LARGEST_FILE`].
    #[error("{0} is larger than {most} MiB", most = LARGEST_FILE >> 20)]
    TooLarge(String),
    /// Something in the file is wrong.
    #[error("{file}:{line}:{column}: {fault}")]
    Faulty {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The column, counting cells from 1.
        column: usize,
        /// What is wrong there.
        fault: RecordingFault,
    },
}

/// The place in the file, and what is wrong there.
#[derive(Debug)]
pub(super) struct At {
    pub line: u64,
    pub column: usize,
    pub fault: RecordingFault,
}

/// Adds the place of a fault. `column` counts from 0 here, and from 1 for the user.
pub(super) fn at(line: u64, column: usize, fault: RecordingFault) -> At {
    At {
        line,
        column: column + 1,
        fault,
    }
}

/// What is wrong at one place of a traffic file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingFault {
    /// The file has a format that is not read.
    #[error("the file is {seen}: {instead}")]
    Foreign {
        /// The format.
        seen: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The file is JSON, but not an answer to a range query.
    #[error(
        "JSON, but not the answer of Prometheus to query_range: export that, or CSV with timestamp,service,operation,count"
    )]
    OtherJson,
    /// The answer is of one moment.
    #[error(
        "the answer has a {0:?} and no matrix: send the query to query_range, with start, end and step"
    )]
    NotARange(String),
    /// The query failed.
    #[error("the answer is an error, {0:?}: mend the query, and save its answer")]
    FailedQuery(String),
    /// The values are native histograms.
    #[error("the values are native histograms: query histogram_count(increase(…))")]
    NativeHistogram,
    /// The values are raw samples.
    #[error(
        "the values are an export of raw samples: send increase(…[1m]) to query_range, with a step of 1m"
    )]
    Samples,
    /// The header has no known format.
    #[error(
        "not a known header: expected service,operation,<time>,… or HashOwner,HashApp,HashFunction,Trigger,<minute>,… or timestamp,service,operation,count or timestamp,<operation>,…"
    )]
    UnknownHeader,
    /// The first line has a time where a name should be.
    #[error(
        "{0:?} is a time, not the name of a column: the first line must name the columns, like timestamp,service,operation,count"
    )]
    NoHeader(String),
    /// No column has times.
    #[error(
        "no column of {0} has times: export a range with a column named timestamp, not the values of one moment"
    )]
    NoTimes(String),
    /// No column has counts.
    #[error(
        "no column of {0} is known to have counts: count the requests per time, service and operation, and name the column count"
    )]
    NoCounts(String),
    /// The lines are spans.
    #[error(
        "a line for every span, and no counts: count the spans without a parent per minute, ServiceName and SpanName, and export timestamp,service,operation,count"
    )]
    Spans,
    /// The numbers are rates.
    #[error(
        "{0:?} is a rate: export the requests of each row of time, such as increase(…[5m]) with a step of 5m, and name them count"
    )]
    Rate(String),
    /// The numbers are readings of a counter.
    #[error(
        "the counts of {0} only grow, as the readings of a counter do: export its increase, such as increase(…[5m]) with a step of 5m"
    )]
    Counter(String),
    /// The series are buckets of a histogram.
    #[error(
        "the series are buckets of a histogram (le), each of which contains the ones before: export its …_count"
    )]
    Buckets,
    /// A column of a table is not an operation.
    #[error(
        "{0:?} is not the name of an operation: leave the column out, or export timestamp,service,operation,count"
    )]
    NotRequests(String),
    /// Two columns or labels may be meant.
    #[error("{one:?} and {other:?} may both be {what}: keep one of them")]
    Two {
        /// What both may be.
        what: &'static str,
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
    /// A column may have names that are missing.
    #[error(
        "no column is known to be the {what}, and {name:?} may be: rename it {what}, or leave it out"
    )]
    Perhaps {
        /// What is missing.
        what: &'static str,
        /// The column.
        name: String,
    },
    /// A series is named by a number.
    #[error(
        "the series {0:?} is named by a number, as of a status, and not by its operation: export sum by (service_name, span_name) (increase(…))"
    )]
    Status(String),
    /// The labels of a series name nothing.
    #[error(
        "the labels {0} name neither a service nor an operation: export sum by (service_name, span_name) (increase(…))"
    )]
    Unnamed(String),
    /// The header has no row of time.
    #[error("the header has no column of counts")]
    NoRows,
    /// The header has two columns with the same name.
    #[error("the header has two columns {0:?}")]
    RepeatedLabel(String),
    /// There is no operation.
    #[error("the file has no operations")]
    NoOperations,
    /// There is more than is allowed.
    #[error("more than {most} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A line is longer than [`LONGEST_LINE`].
    #[error("the line is longer than {most} MiB", most = LONGEST_LINE >> 20)]
    LongLine,
    /// A line has more or fewer cells than the header.
    #[error("the line has {found} cells, the header has {expected}")]
    Cells {
        /// How many the line has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A cell in quotes does not end on its line.
    #[error("the cell's quotes do not end on this line")]
    Quotes,
    /// A cell is not UTF-8.
    #[error("the cell is not UTF-8 text")]
    NotText,
    /// A name is not valid.
    #[error("the {what} name {why}")]
    Name {
        /// The name of what.
        what: &'static str,
        /// What is wrong with it.
        why: NameError,
    },
    /// A cell is not a class.
    #[error(
        "{0:?} is not the class of a trace: write error, slow, tagged or rest, or nothing where traces have no class; give a column that says something else another name"
    )]
    Class(String),
    /// A name could be taken for an operation and its class.
    #[error("the operation name has U+FDD0, which no name may have: remove it")]
    Reserved,
    /// A cell is not a count.
    #[error(
        "{found:?} is not a count (a number from 0 to {LARGEST_COUNT}, without a sign or a unit)"
    )]
    Count {
        /// The cell's beginning.
        found: String,
    },
    /// A number could be two.
    #[error(
        "{0:?} may have a decimal mark or group its thousands: write all numbers of the file without groups, and with a decimal point"
    )]
    DoubtfulNumber(String),
    /// A row's time cannot be read, or is of another kind than the others.
    #[error("{found:?} is not a time like {first:?}")]
    Time {
        /// The cell's beginning.
        found: String,
        /// The time of the first row, which decides the kind.
        first: String,
    },
    /// A row's time is written in a way that is not known, or could be two times.
    #[error("{found:?} is not a time that can be read: {advice}")]
    UnknownTime {
        /// The cell's beginning.
        found: String,
        /// What to write instead.
        advice: &'static str,
    },
    /// The times are numbers, and their unit is not known.
    #[error(
        "the times are numbers like {0:?}, and nothing says their unit: write dates, name the column second, minute or hour, or say how long a row lasts with weir simulate --row-seconds"
    )]
    NoUnit(String),
    /// The same operation is on an earlier line.
    #[error("the same operation is already on line {0}")]
    Repeated(u64),
    /// The file ends early.
    #[error("not readable: {0}")]
    Unread(String),
}

impl RecordingFault {
    pub(super) const COMPRESSED_TWICE: Self = Self::Foreign {
        seen: "compressed twice",
        instead: "decompress it once",
    };

    pub(super) fn too_many(what: &'static str, most: usize) -> Self {
        Self::TooMany { what, most }
    }

    pub(super) fn count(found: &str) -> Self {
        Self::Count {
            found: shortened(found),
        }
    }
}

/// The beginning of a cell, long enough to find it.
pub(super) fn shortened(cell: &str) -> String {
    const LONGEST: usize = 40;
    if cell.chars().count() <= LONGEST {
        return cell.to_owned();
    }
    cell.chars().take(LONGEST).chain(['…']).collect()
}
