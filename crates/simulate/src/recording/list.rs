//! Files with one count per line: the time, the service, the operation, the count.

use std::collections::HashMap;
use std::io::BufRead;

use super::fault::{At, RecordingFault, at};
use super::header::Long;
use super::line::{Line, Lines};
use super::time::Axis;
use super::{
    Gaps, MOST_COUNTS, MOST_OPERATIONS, MOST_ROWS, NO_OPERATION, NO_SERVICE, ReadOptions,
    Recording, bounded, count, operation, recorded, service,
};
use crate::traffic::OperationRow;
use weir_allocation::{OperationName, ServiceName};

/// The most lines with a count. Each takes a dozen bytes until all are read.
const MOST_LINES: usize = 40_000_000;

/// What was read so far.
#[derive(Default)]
struct List {
    /// The times in the order in which they first occur, and the line where they do.
    times: Vec<(String, u64)>,
    places: HashMap<String, u32>,
    operations: HashMap<(ServiceName, OperationName), u32>,
    /// The index of the time, the index of the operation, and the count.
    counts: Vec<(u32, u32, u32)>,
}

/// Reads a file with one count per line.
pub(super) fn read<R: BufRead>(
    lines: &mut Lines<R>,
    long: Long,
    reading: &ReadOptions,
) -> Result<Recording, At> {
    let gaps = reading.gaps.unwrap_or(Gaps::Zero);
    let mut list = List::default();
    while let Some(line) = lines.next()? {
        let number = line.number;
        list.add(&long, line)
            .map_err(|(column, fault)| at(number, column, fault))?;
    }
    if list.counts.is_empty() {
        return Err(at(1, 0, RecordingFault::NoOperations));
    }
    let labels = list.times.iter().map(|(label, _)| label.clone()).collect();
    let axis = Axis::of(labels, long.unit, false, gaps, reading)
        .map_err(|(place, fault)| at(list.times[place].1, long.time, fault))?;
    let rows = axis.labels.len().max(list.times.len());
    bounded(
        rows.saturating_mul(list.operations.len()),
        MOST_COUNTS,
        "counts",
    )
    .map_err(|fault| at(1, 0, fault))?;
    let mut notes = Vec::new();
    if !long.unused.is_empty() {
        notes.push(format!(
            "what only {} tells apart is added up",
            long.unused.join(", ")
        ));
    }
    recorded(axis, gaps, list.rows(), notes).map_err(|_| at(1, 0, RecordingFault::Repeated(1)))
}

impl List {
    fn add(&mut self, long: &Long, line: &Line) -> Result<(), (usize, RecordingFault)> {
        if line.len() != long.columns {
            let (found, expected) = (line.len(), long.columns);
            return Err((
                found.min(expected),
                RecordingFault::Cells { found, expected },
            ));
        }
        let named = |column: Option<usize>, missing| match column {
            Some(column) => Ok((column, line.cell(column)?)),
            None => Ok((0, missing)),
        };
        let (column, name) = named(long.service, NO_SERVICE)?;
        let service = service(name).map_err(|fault| (column, fault))?;
        let (column, name) = named(long.operation, NO_OPERATION)?;
        let operation = operation(name).map_err(|fault| (column, fault))?;
        let count = count(line.cell(long.count)?).map_err(|fault| (long.count, fault))?;
        let time = self.time(line.cell(long.time)?, line.number);
        let next = self.operations.len() as u32;
        let place = *self.operations.entry((service, operation)).or_insert(next);
        self.counts.push((time, place, count));
        bounded(self.times.len(), MOST_ROWS, "times").map_err(|fault| (long.time, fault))?;
        bounded(self.operations.len(), MOST_OPERATIONS, "operations")
            .map_err(|fault| (column, fault))?;
        bounded(self.counts.len(), MOST_LINES, "lines").map_err(|fault| (0, fault))
    }

    fn time(&mut self, label: &str, line: u64) -> u32 {
        if let Some(&place) = self.places.get(label) {
            return place;
        }
        let place = self.times.len() as u32;
        self.places.insert(label.to_owned(), place);
        self.times.push((label.to_owned(), line));
        place
    }

    /// The counts of every operation, on the file's own times.
    fn rows(self) -> Vec<OperationRow> {
        let mut named: Vec<_> = self.operations.into_iter().collect();
        named.sort_unstable_by_key(|(_, place)| *place);
        let mut rows: Vec<OperationRow> = named
            .into_iter()
            .map(|((service, operation), _)| (service, operation, vec![0; self.times.len()]))
            .collect();
        for (time, operation, count) in self.counts {
            let sum = &mut rows[operation as usize].2[time as usize];
            *sum = sum.saturating_add(count);
        }
        rows
    }
}
