//! Files with one count per line: the time, the service, the operation, the count.

use std::collections::HashMap;
use std::io::BufRead;

use super::fault::{At, RecordingFault, at};
use super::growth::{Counts, Growth};
use super::header::{Long, NameColumns};
use super::line::{Line, Lines};
use super::number::{Numbers, Rounding};
use super::series::SeriesNames;
use super::time::{Axis, Times, Unit};
use super::{
    Gaps, MOST_COUNTS, MOST_OPERATIONS, MOST_ROWS, NO_OPERATION, NO_SERVICE, ReadOptions,
    Recording, bounded, of_class, operation, recorded, service,
};
use crate::traffic::OperationRow;
use weir_allocation::{OperationName, ServiceName};

/// The most counts. Each takes sixteen bytes until all are read.
const MOST_LINES: usize = 40_000_000;

/// A service and one of its operations.
pub(super) type Names = (ServiceName, OperationName);

/// Counts in any order, each with its time and its operation.
#[derive(Default)]
pub(super) struct List {
    /// The times in the order in which they first occur, and the line where they do.
    times: Vec<(String, u64)>,
    operations: HashMap<Names, u32>,
    /// The index of the time, the index of the operation, and the count.
    counts: Vec<(u32, u32, f64)>,
}

impl List {
    /// The index of a time that is not known yet.
    pub fn time(&mut self, label: String, line: u64) -> Result<u32, RecordingFault> {
        self.times.push((label, line));
        bounded(self.times.len(), MOST_ROWS, "times")?;
        Ok(self.times.len() as u32 - 1)
    }

    /// The index of an operation.
    pub fn operation(&mut self, names: Names) -> Result<u32, RecordingFault> {
        let next = self.operations.len() as u32;
        let place = *self.operations.entry(names).or_insert(next);
        bounded(self.operations.len(), MOST_OPERATIONS, "operations")?;
        Ok(place)
    }

    pub fn count(&mut self, time: u32, operation: u32, count: f64) -> Result<(), RecordingFault> {
        self.counts.push((time, operation, count));
        bounded(self.counts.len(), MOST_LINES, "counts")
    }

    /// Maps the counts to even rows.
    pub fn recorded(
        self,
        unit: Unit,
        time_column: usize,
        known: Counts,
        mut notes: Vec<String>,
        reading: &ReadOptions,
    ) -> Result<Recording, At> {
        let gaps = reading.gaps.unwrap_or(Gaps::Zero);
        if self.counts.is_empty() {
            return Err(at(1, 0, RecordingFault::NoOperations));
        }
        let times = Times {
            labels: self.times.iter().map(|(label, _)| label.clone()).collect(),
            unit,
            in_order: false,
            may_be_names: false,
        };
        let axis = Axis::of(times, gaps, reading)
            .map_err(|(place, fault)| at(self.times[place].1, time_column, fault))?;
        let counts = axis.labels.len().saturating_mul(self.operations.len());
        bounded(counts, MOST_COUNTS, "counts").map_err(|fault| at(1, 0, fault))?;
        let (rows, growth) = self.rows(&axis);
        notes.extend(known.queried(axis.row_seconds));
        notes.extend(growth.note(known).map_err(|fault| at(1, 0, fault))?);
        recorded(axis, gaps, rows, notes).map_err(|_| at(1, 0, RecordingFault::Repeated(1)))
    }

    /// The counts of every operation on the even rows.
    fn rows(mut self, axis: &Axis) -> (Vec<OperationRow>, Growth) {
        for (time, ..) in &mut self.counts {
            *time = axis.places[*time as usize] as u32;
        }
        self.counts
            .sort_unstable_by_key(|&(time, operation, _)| (operation, time));
        let mut named: Vec<_> = self.operations.into_iter().collect();
        named.sort_unstable_by_key(|(_, place)| *place);
        let mut rows: Vec<OperationRow> = Vec::with_capacity(named.len());
        let mut growth = Growth::default();
        let mut of_operation = self.counts.chunk_by(|one, other| one.1 == other.1);
        for ((service, operation), _) in named {
            let mut row = vec![0; axis.labels.len()];
            let mut rounding = Rounding::default();
            growth.begin();
            for counts in of_operation
                .next()
                .unwrap_or_default()
                .chunk_by(|one, other| one.0 == other.0)
            {
                let count = counts.iter().map(|(.., count)| count).sum();
                growth.add(count);
                row[counts[0].0 as usize] = rounding.next(count);
            }
            rows.push((service, operation, row));
        }
        (rows, growth)
    }
}

/// Reads a file with one count per line.
pub(super) fn read<R: BufRead>(
    lines: &mut Lines<R>,
    long: Long,
    reading: &ReadOptions,
) -> Result<Recording, At> {
    let mut file = ListFile {
        list: List::default(),
        times: HashMap::new(),
        series: HashMap::new(),
        names: SeriesNames::default(),
        numbers: Numbers::new(lines.separator()),
    };
    while let Some(line) = lines.next()? {
        let number = line.number;
        file.add(&long, line)
            .map_err(|(column, fault)| at(number, column, fault))?;
    }
    let mut notes = long.notes;
    notes.extend(file.names.notes());
    notes.extend(file.numbers.notes()?);
    let counts = match long.counts {
        Counts::Plain => file.names.counts(),
        counts => counts,
    };
    file.list
        .recorded(long.unit, long.time, counts, notes, reading)
}

/// What was read so far.
struct ListFile {
    list: List,
    /// The index of every time and of every series.
    times: HashMap<String, u32>,
    series: HashMap<String, u32>,
    names: SeriesNames,
    numbers: Numbers,
}

impl ListFile {
    fn add(&mut self, long: &Long, line: &Line) -> Result<(), (usize, RecordingFault)> {
        if line.len() != long.columns {
            let (found, expected) = (line.len(), long.columns);
            return Err((
                found.min(expected),
                RecordingFault::Cells { found, expected },
            ));
        }
        let place = match long.names {
            NameColumns::Each { service, operation } => {
                self.each([service, operation, long.class], line)?
            }
            NameColumns::Series(column) => self.of_series(column, line)?,
        };
        let count = self.numbers.read(line, long.count)?;
        let label = line.cell(long.time)?;
        let time = match self.times.get(label) {
            Some(&time) => time,
            None => {
                let time = self.list.time(label.to_owned(), line.number);
                let time = time.map_err(|fault| (long.time, fault))?;
                self.times.insert(label.to_owned(), time);
                time
            }
        };
        let added = self.list.count(time, place, count);
        added.map_err(|fault| (0, fault))
    }

    fn each(
        &mut self,
        [of_service, of_operation, of_class_column]: [Option<usize>; 3],
        line: &Line,
    ) -> Result<u32, (usize, RecordingFault)> {
        let named = |column: Option<usize>, missing| match column {
            Some(column) => Ok((column, line.cell(column)?)),
            None => Ok((0, missing)),
        };
        let (column, name) = named(of_service, NO_SERVICE)?;
        let service = service(name).map_err(|fault| (column, fault))?;
        let (column, name) = named(of_operation, NO_OPERATION)?;
        let operation = operation(name).map_err(|fault| (column, fault))?;
        let operation = of_class(operation, line, of_class_column)?;
        let place = self.list.operation((service, operation));
        place.map_err(|fault| (column, fault))
    }

    fn of_series(&mut self, column: usize, line: &Line) -> Result<u32, (usize, RecordingFault)> {
        let series = line.cell(column)?;
        if let Some(&place) = self.series.get(series) {
            return Ok(place);
        }
        let names = self.names.named(series).map_err(|fault| (column, fault))?;
        let place = self
            .list
            .operation(names)
            .map_err(|fault| (column, fault))?;
        self.series.insert(series.to_owned(), place);
        bounded(self.series.len(), MOST_OPERATIONS, "series").map_err(|fault| (column, fault))?;
        Ok(place)
    }
}
