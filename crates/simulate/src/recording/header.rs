//! Parses the header of a file, which says what its lines contain.

use super::fault::{RecordingFault, shortened};
use super::line::Line;

/// The arrangement of the counts in a file.
#[derive(Debug)]
pub(super) enum Layout {
    /// One line per operation, one column per row of time.
    Wide(Wide),
    /// One line per count.
    Long(Long),
    /// One line per row of time, one column per operation.
    Table(Table),
}

#[derive(Debug)]
pub(super) struct Wide {
    pub service: usize,
    pub operation: usize,
    /// The column with the number of traces that the operation begins.
    pub roots: Option<usize>,
    pub first_count: usize,
    /// Columns that distinguish lines of the same operation. Lines that differ only there are added
    /// up.
    pub apart: Vec<usize>,
    pub labels: Vec<String>,
    /// The unit of a label that is a bare number, in seconds.
    pub unit: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Long {
    pub columns: usize,
    pub time: usize,
    pub service: Option<usize>,
    pub operation: Option<usize>,
    pub count: usize,
    pub unit: Option<f64>,
    /// The names of the columns that are not used.
    pub unused: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub time: usize,
    /// The names of the other columns.
    pub operations: Vec<String>,
    pub unit: Option<f64>,
}

/// The first columns of the Azure Functions data set, in any spelling of its copies.
const AZURE: [&str; 4] = ["owner", "app", "function", "trigger"];
const SERVICE: &[&str] = &["service", "service_name", "servicename"];
const OPERATION: &[&str] = &["operation", "operation_name", "operationname"];
/// Other names for the columns of services, operations or counts, in files with one column for
/// each.
const LONG_SERVICE: &[&str] = &["app", "application", "component"];
const LONG_OPERATION: &[&str] = &["function", "endpoint", "route", "span_name", "name"];
const COUNT: &[&str] = &[
    "count",
    "counts",
    "requests",
    "request_count",
    "root_requests",
    "root_spans",
    "invocations",
    "offered",
    "calls",
    "hits",
    "total",
];
/// Words in the name of a column of times, and the unit of a bare number in it, in seconds.
const TIME: &[(&str, Option<f64>)] = &[
    ("timestamp", None),
    ("time", None),
    ("ts", None),
    ("date", None),
    ("datetime", None),
    ("window", None),
    ("bucket", None),
    ("interval", None),
    ("second", Some(1.0)),
    ("seconds", Some(1.0)),
    ("minute", Some(60.0)),
    ("minutes", Some(60.0)),
    ("hour", Some(3600.0)),
    ("day", Some(86_400.0)),
];
/// The most columns in a file with one count per line.
const MOST_LONG_COLUMNS: usize = 32;

/// Recognises a header.
///
/// # Errors
/// Names the column, counted from 0.
pub(super) fn parse(line: &Line) -> Result<Layout, (usize, RecordingFault)> {
    let names = Names::of(line)?;
    if let Some(wide) = names.azure().or_else(|| names.own()) {
        let labels = labels(line, wide.first_count)?;
        return Ok(Layout::Wide(Wide { labels, ..wide }));
    }
    if let Some(long) = names.long(line)? {
        return Ok(Layout::Long(long));
    }
    let Some((time, unit)) = names.time() else {
        return Err((0, RecordingFault::UnknownHeader));
    };
    let mut operations = labels(line, 0)?;
    operations.remove(time);
    if operations.is_empty() {
        return Err((line.len(), RecordingFault::NoRows));
    }
    Ok(Layout::Table(Table {
        time,
        operations,
        unit,
    }))
}

/// The first columns' names, in lower case.
struct Names(Vec<String>);

impl Names {
    fn of(line: &Line) -> Result<Self, (usize, RecordingFault)> {
        let name = |column: usize| {
            let cell = line.cell(column)?;
            Ok(cell.to_ascii_lowercase().replace(['-', ' '], "_"))
        };
        (0..line.len().min(MOST_LONG_COLUMNS))
            .map(name)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn get(&self, column: usize) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    fn is(&self, column: usize, words: &[&str]) -> bool {
        words.contains(&self.get(column))
    }

    /// The first column of times, and the unit of a bare number in it.
    fn time(&self) -> Option<(usize, Option<f64>)> {
        let mut names = self.0.iter().enumerate();
        names.find_map(|(column, name)| Some((column, time(name)?)))
    }

    fn azure(&self) -> Option<Wide> {
        let begins = |(column, word): (usize, &&str)| {
            self.get(column)
                .trim_start_matches("hash")
                .starts_with(word)
        };
        let known = AZURE.iter().enumerate().all(begins);
        known.then(|| Wide {
            service: 1,
            operation: 2,
            roots: None,
            first_count: 4,
            apart: vec![0, 3],
            labels: Vec::new(),
            unit: Some(60.0),
        })
    }

    fn own(&self) -> Option<Wide> {
        let (service, operation) = if self.is(0, SERVICE) && self.is(1, OPERATION) {
            (0, 1)
        } else if self.is(0, OPERATION) && self.is(1, SERVICE) {
            (1, 0)
        } else {
            return None;
        };
        // Then a count of one row of time follows, unless the columns continue like those of a
        // list.
        let one_count_a_line = (2..self.0.len()).any(|column| time(self.get(column)).is_some())
            && (2..self.0.len()).any(|column| self.is(column, COUNT));
        let roots = (self.get(2) == "root_spans").then_some(2);
        (!one_count_a_line).then(|| Wide {
            service,
            operation,
            roots,
            first_count: if roots.is_some() { 3 } else { 2 },
            apart: Vec::new(),
            labels: Vec::new(),
            unit: None,
        })
    }

    /// The columns of a file with one count per line; none if a required one is missing.
    fn long(&self, line: &Line) -> Result<Option<Long>, (usize, RecordingFault)> {
        let columns = line.len();
        if columns > MOST_LONG_COLUMNS {
            return Ok(None);
        }
        let find = |words: &[&str]| (0..columns).find(|&column| self.is(column, words));
        let service = find(SERVICE).or_else(|| find(LONG_SERVICE));
        let operation = find(OPERATION).or_else(|| find(LONG_OPERATION));
        let (Some((time, unit)), Some(count)) = (self.time(), find(COUNT)) else {
            return Ok(None);
        };
        if service.is_none() && operation.is_none() {
            return Ok(None);
        }
        let used = [Some(time), service, operation, Some(count)];
        let mut unused = Vec::new();
        for column in (0..columns).filter(|&column| !used.contains(&Some(column))) {
            unused.push(shortened(line.cell(column)?));
        }
        Ok(Some(Long {
            columns,
            time,
            service,
            operation,
            count,
            unit,
            unused,
        }))
    }
}

/// Whether a column with this name contains times, and the unit of a bare number in it.
fn time(name: &str) -> Option<Option<f64>> {
    let known = |word: &str| TIME.iter().find(|(known, _)| *known == word);
    name.split('_').find_map(known).map(|(_, unit)| *unit)
}

/// The names of the columns from `first` on.
fn labels(line: &Line, first: usize) -> Result<Vec<String>, (usize, RecordingFault)> {
    if line.len() <= first {
        return Err((line.len(), RecordingFault::NoRows));
    }
    let mut seen = std::collections::HashSet::new();
    let mut labels = Vec::with_capacity(line.len() - first);
    for column in first..line.len() {
        let label = line.cell(column)?;
        if !seen.insert(label) {
            return Err((column, RecordingFault::RepeatedLabel(shortened(label))));
        }
        labels.push(label.to_owned());
    }
    Ok(labels)
}
