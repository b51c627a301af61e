//! Files with columns of counts: one line per operation, or one line per row of time.

use std::collections::HashMap;
use std::io::BufRead;

use super::fault::{At, RecordingFault, at};
use super::header::{Table, Wide};
use super::line::{Line, Lines};
use super::time::Axis;
use super::{
    Gaps, MOST_COUNTS, MOST_OPERATIONS, MOST_ROWS, NO_SERVICE, ReadOptions, Recording, bounded,
    count, operation, recorded, service,
};
use crate::traffic::OperationRow;
use weir_allocation::{OperationName, ServiceName};

/// Reads a file with one line per operation.
pub(super) fn operations<R: BufRead>(
    lines: &mut Lines<R>,
    wide: Wide,
    reading: &ReadOptions,
) -> Result<Recording, At> {
    let gaps = reading.gaps.unwrap_or(Gaps::Close);
    let first_count = wide.first_count;
    let axis = Axis::of(wide.labels.clone(), wide.unit, true, gaps, reading)
        .map_err(|(place, fault)| at(1, first_count + place, fault))?;
    let mut known = Known::default();
    while let Some(line) = lines.next()? {
        let number = line.number;
        let faulty = |(column, fault)| at(number, column, fault);
        match known.add(&wide, line).map_err(faulty)? {
            Added::New => {}
            Added::Again => continue,
        }
        bounded(known.rows.len(), MOST_OPERATIONS, "operations")
            .map_err(|fault| faulty((0, fault)))?;
        let rows = axis.labels.len().max(wide.labels.len());
        bounded(known.rows.len() * rows, MOST_COUNTS, "counts")
            .map_err(|fault| faulty((0, fault)))?;
    }
    if known.rows.is_empty() {
        return Err(at(1, 0, RecordingFault::NoOperations));
    }
    let notes = known.notes();
    recorded(axis, gaps, known.rows, notes).map_err(|repeated| {
        let line = |place: usize| known.lines[place];
        let column = wide.operation;
        at(
            line(repeated.second),
            column,
            RecordingFault::Repeated(line(repeated.first)),
        )
    })
}

/// The operations read so far.
#[derive(Default)]
struct Known {
    rows: Vec<OperationRow>,
    lines: Vec<u64>,
    seen: HashMap<(ServiceName, OperationName), SeenOperation>,
    rootless: usize,
    added_up: usize,
}

/// An operation's index, and what distinguishes its lines, with the number of each line.
type SeenOperation = (usize, Vec<(String, u64)>);

enum Added {
    New,
    /// To an existing operation, or not at all.
    Again,
}

impl Known {
    fn add(&mut self, wide: &Wide, line: &Line) -> Result<Added, (usize, RecordingFault)> {
        let expected = wide.first_count + wide.labels.len();
        if line.len() != expected {
            let found = line.len();
            return Err((
                found.min(expected),
                RecordingFault::Cells { found, expected },
            ));
        }
        let in_column = |column: usize| move |fault| (column, fault);
        let service = service(line.cell(wide.service)?).map_err(in_column(wide.service))?;
        let operation = operation(line.cell(wide.operation)?).map_err(in_column(wide.operation))?;
        if let Some(column) = wide.roots
            && count(line.cell(column)?).map_err(in_column(column))? == 0
        {
            self.rootless += 1;
            return Ok(Added::Again);
        }
        let counts = (wide.first_count..expected)
            .map(|column| count(line.cell(column)?).map_err(in_column(column)))
            .collect::<Result<Vec<u32>, _>>()?;
        if wide.apart.is_empty() {
            self.rows.push((service, operation, counts));
            self.lines.push(line.number);
            return Ok(Added::New);
        }
        let apart = wide.apart.iter().map(|&column| line.cell(column));
        let apart = apart.collect::<Result<Vec<_>, _>>()?.join(",");
        let key = (service, operation);
        let Some((place, lines)) = self.seen.get_mut(&key) else {
            let place = self.rows.len();
            self.rows.push((key.0.clone(), key.1.clone(), counts));
            self.lines.push(line.number);
            self.seen.insert(key, (place, vec![(apart, line.number)]));
            return Ok(Added::New);
        };
        if let Some((_, earlier)) = lines.iter().find(|(known, _)| *known == apart) {
            return Err((wide.operation, RecordingFault::Repeated(*earlier)));
        }
        lines.push((apart, line.number));
        self.added_up += 1;
        for (sum, count) in self.rows[*place].2.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
        Ok(Added::Again)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.rootless > 0 {
            notes.push(format!(
                "{} operations begin no trace (root_spans 0) and are left out",
                self.rootless
            ));
        }
        if self.added_up > 0 {
            notes.push(format!(
                "{} lines differ from another of the same function only in owner or trigger and are added to it",
                self.added_up
            ));
        }
        notes
    }
}

/// Reads a file with one line per row of time.
pub(super) fn rows<R: BufRead>(
    lines: &mut Lines<R>,
    table: Table,
    reading: &ReadOptions,
) -> Result<Recording, At> {
    // A single series often leaves out the rows without requests.
    let single = table.operations.len() == 1;
    let gaps = reading
        .gaps
        .unwrap_or(if single { Gaps::Zero } else { Gaps::Close });
    let service = service(NO_SERVICE).map_err(|fault| at(1, 0, fault))?;
    let mut operations: Vec<OperationRow> = Vec::with_capacity(table.operations.len());
    for (column, name) in table.operations.iter().enumerate() {
        let name = operation(name).map_err(|fault| at(1, table.column(column), fault))?;
        operations.push((service.clone(), name, Vec::new()));
    }
    let (mut labels, mut numbers) = (Vec::new(), Vec::new());
    let mut empty = 0_usize;
    while let Some(line) = lines.next()? {
        let number = line.number;
        let faulty = |(column, fault)| at(number, column, fault);
        empty += row(&table, line, &mut operations).map_err(faulty)?;
        labels.push(line.cell(table.time).map_err(faulty)?.to_owned());
        numbers.push(number);
        bounded(labels.len(), MOST_ROWS, "rows of time").map_err(|fault| faulty((0, fault)))?;
        bounded(labels.len() * operations.len(), MOST_COUNTS, "counts")
            .map_err(|fault| faulty((0, fault)))?;
    }
    if labels.is_empty() {
        return Err(at(1, 0, RecordingFault::NoOperations));
    }
    let axis = Axis::of(labels, table.unit, true, gaps, reading)
        .map_err(|(place, fault)| at(numbers[place], table.time, fault))?;
    bounded(axis.labels.len() * operations.len(), MOST_COUNTS, "counts")
        .map_err(|fault| at(1, 0, fault))?;
    let note = (empty > 0).then(|| format!("{empty} empty cells are read as 0"));
    recorded(axis, gaps, operations, note.into_iter().collect()).map_err(|repeated| {
        at(
            1,
            table.column(repeated.second),
            RecordingFault::Repeated(1),
        )
    })
}

impl Table {
    /// The column of an operation.
    fn column(&self, operation: usize) -> usize {
        operation + usize::from(operation >= self.time)
    }
}

/// Adds the counts of one row of time. Returns how many were empty.
fn row(
    table: &Table,
    line: &Line,
    operations: &mut [OperationRow],
) -> Result<usize, (usize, RecordingFault)> {
    let expected = operations.len() + 1;
    if line.len() != expected {
        let found = line.len();
        return Err((
            found.min(expected),
            RecordingFault::Cells { found, expected },
        ));
    }
    let mut empty = 0;
    for (place, (_, _, counts)) in operations.iter_mut().enumerate() {
        let column = table.column(place);
        let cell = line.cell(column)?;
        empty += usize::from(cell.is_empty());
        counts.push(match cell {
            "" => 0,
            cell => count(cell).map_err(|fault| (column, fault))?,
        });
    }
    Ok(empty)
}
