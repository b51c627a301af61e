//! Files with columns of counts: one line per operation, or one line per row of time.

use std::collections::HashMap;
use std::io::BufRead;

use super::fault::{At, RecordingFault, at};
use super::growth::Growth;
use super::header::{Table, Wide};
use super::line::{Line, Lines};
use super::number::{Numbers, Rounding};
use super::time::{Axis, Times};
use super::{
    Gaps, MOST_COUNTS, MOST_OPERATIONS, MOST_ROWS, ReadOptions, Recording, bounded, entry,
    recorded, service,
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
    let times = Times {
        labels: wide.labels.clone(),
        unit: wide.unit,
        in_order: true,
        may_be_names: true,
    };
    let axis = Axis::of(times, gaps, reading)
        .map_err(|(place, fault)| at(1, first_count + place, fault))?;
    let mut known = Known::new(Numbers::new(lines.separator()));
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
    let mut notes = known.notes();
    notes.extend(known.numbers.notes()?);
    let laid = laid(&axis, known.rows);
    recorded(axis, gaps, laid, notes).map_err(|repeated| {
        let line = |place: usize| known.lines[place];
        let column = wide.operation;
        at(
            line(repeated.second),
            column,
            RecordingFault::Repeated(line(repeated.first)),
        )
    })
}

/// Maps counts on the file's own rows to the even ones.
fn laid(axis: &Axis, rows: Vec<OperationRow>) -> Vec<OperationRow> {
    let lay = |(service, operation, counts)| (service, operation, axis.lay(counts));
    rows.into_iter().map(lay).collect()
}

/// The operations read so far.
struct Known {
    numbers: Numbers,
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
    fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            rows: Vec::new(),
            lines: Vec::new(),
            seen: HashMap::new(),
            rootless: 0,
            added_up: 0,
        }
    }

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
        let operation = entry(line, wide.operation, wide.class)?;
        if let Some(column) = wide.roots
            && self.numbers.read(line, column)? == 0.0
        {
            self.rootless += 1;
            return Ok(Added::Again);
        }
        let mut rounding = Rounding::default();
        let counts = (wide.first_count..expected)
            .map(|column| Ok(rounding.next(self.numbers.read(line, column)?)))
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
    let mut read = Rows::of(&table, Numbers::new(lines.separator()));
    while let Some(line) = lines.next()? {
        let number = line.number;
        let faulty = |(column, fault)| at(number, column, fault);
        read.add(&table, line).map_err(faulty)?;
    }
    if read.labels.is_empty() {
        return Err(at(1, 0, RecordingFault::NoOperations));
    }
    let times = Times {
        labels: read.labels,
        unit: table.unit,
        in_order: true,
        may_be_names: false,
    };
    let axis = Axis::of(times, gaps, reading)
        .map_err(|(place, fault)| at(read.numbers_of_lines[place], table.time, fault))?;
    bounded(
        axis.labels.len() * table.operations.len(),
        MOST_COUNTS,
        "counts",
    )
    .map_err(|fault| at(1, 0, fault))?;
    let mut growth = Growth::default();
    let mut notes = table.notes;
    notes.extend(read.numbers.notes()?);
    let named = table.operations.into_iter().zip(read.counts);
    let rows = named.map(|((service, operation), counts)| (service, operation, counts));
    let laid = laid(&axis, rows.collect());
    for (.., counts) in &laid {
        growth.begin();
        counts
            .iter()
            .for_each(|&count| growth.add(f64::from(count)));
    }
    notes.extend(table.counts.queried(axis.row_seconds));
    notes.extend(growth.note(table.counts).map_err(|fault| at(1, 0, fault))?);
    recorded(axis, gaps, laid, notes).map_err(|_| at(1, 0, RecordingFault::Repeated(1)))
}

/// The rows of time read so far.
struct Rows {
    numbers: Numbers,
    labels: Vec<String>,
    numbers_of_lines: Vec<u64>,
    /// Of every operation.
    counts: Vec<Vec<u32>>,
    rounding: Vec<Rounding>,
    /// Of every operation in one row.
    sums: Vec<f64>,
}

impl Rows {
    fn of(table: &Table, numbers: Numbers) -> Self {
        let operations = table.operations.len();
        Self {
            numbers,
            labels: Vec::new(),
            numbers_of_lines: Vec::new(),
            counts: vec![Vec::new(); operations],
            rounding: vec![Rounding::default(); operations],
            sums: vec![0.0; operations],
        }
    }

    /// Adds the counts of one row of time.
    fn add(&mut self, table: &Table, line: &Line) -> Result<(), (usize, RecordingFault)> {
        let expected = table.places.len() + 1;
        if line.len() != expected {
            let found = line.len();
            return Err((
                found.min(expected),
                RecordingFault::Cells { found, expected },
            ));
        }
        self.sums.fill(0.0);
        for (series, &place) in table.places.iter().enumerate() {
            let column = series + usize::from(series >= table.time);
            self.sums[place] += self.numbers.read(line, column)?;
        }
        for (place, counts) in self.counts.iter_mut().enumerate() {
            counts.push(self.rounding[place].next(self.sums[place]));
        }
        self.labels.push(line.cell(table.time)?.to_owned());
        self.numbers_of_lines.push(line.number);
        bounded(self.labels.len(), MOST_ROWS, "rows of time").map_err(|fault| (0, fault))?;
        bounded(self.labels.len() * self.counts.len(), MOST_COUNTS, "counts")
            .map_err(|fault| (0, fault))
    }
}
