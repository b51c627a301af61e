//! Finds the columns of a file with one count per line.

use super::{Header, Long, MOST_LONG_COLUMNS, NameColumns, Refused, is_instant};
use crate::recording::fault::RecordingFault;
use crate::recording::growth::Counts;
use crate::recording::line::Line;
use crate::recording::series::{added_up, no_operation, no_service};
use crate::recording::words::{Role, TimeRole, is_total};

impl Header {
    /// The columns of a file with one count per line.
    pub(super) fn long(
        &self,
        line: &Line,
        time: Option<(usize, TimeRole)>,
    ) -> Result<Long, Refused> {
        let columns = line.len();
        if columns > MOST_LONG_COLUMNS {
            let fault = RecordingFault::too_many("columns in a list", MOST_LONG_COLUMNS);
            return Err((MOST_LONG_COLUMNS, fault));
        }
        let service = self.lowest("the service", |role| match role {
            Role::Service(rank) => Some(rank),
            _ => None,
        })?;
        let operation = self.lowest("the operation", |role| match role {
            Role::Operation(rank) => Some(rank),
            _ => None,
        })?;
        let series = self.roles.iter().position(|role| *role == Role::Series);
        let Some((time, TimeRole { unit, .. })) = time else {
            return Err(self.no_times());
        };
        let (service, operation, names) = match (service, operation, series) {
            (None, None, Some(series)) => (None, None, NameColumns::Series(series)),
            (service, operation, series) => {
                let operation = operation.or(series);
                (service, operation, NameColumns::Each { service, operation })
            }
        };
        let count = self.count()?;
        let class = self.roles.iter().position(|role| *role == Role::Class);
        // The labels of a series say no class.
        let class = class.filter(|_| matches!(names, NameColumns::Each { .. }));
        let used = [Some(time), service, operation, series, class, Some(count)];
        let mut notes = self.read_as(service, operation, count);
        notes.extend(self.missing(&names, &used)?);
        Ok(Long {
            columns,
            time,
            names,
            class,
            count,
            unit,
            counts: match is_total(&self.name(count)) {
                true => Counts::Total(self.name(count)),
                false => Counts::Plain,
            },
            notes,
        })
    }

    /// Why no column has times. If columns are called by times, one of the others is not known.
    fn no_times(&self) -> Refused {
        let Some(first) = self.names.iter().position(|name| is_instant(name)) else {
            return (0, RecordingFault::NoTimes(self.all()));
        };
        let beside = |column: &usize| *column > 1 && !is_instant(&self.names[*column]);
        match (0..self.names.len()).find(beside) {
            Some(column) => {
                let (found, first) = (self.name(column), self.name(first));
                (column, RecordingFault::Time { found, first })
            }
            None => {
                let (what, name) = ("service", self.name(0));
                (0, RecordingFault::Perhaps { what, name })
            }
        }
    }

    /// The column of counts: one that is called so, or the only one left.
    fn count(&self) -> Result<usize, Refused> {
        let named = self.lowest("the count", |role| match role {
            Role::Count(rank) => Some(rank),
            _ => None,
        })?;
        if let Some(column) = named {
            return Ok(column);
        }
        let of = |wanted: Role| self.roles.iter().position(|role| *role == wanted);
        if let Some(column) = of(Role::Rate) {
            return Err((column, RecordingFault::Rate(self.name(column))));
        }
        if let Some(column) = of(Role::Span) {
            return Err((column, RecordingFault::Spans));
        }
        let named = self
            .roles
            .iter()
            .any(|role| matches!(role, Role::Service(0) | Role::Operation(0) | Role::Series));
        let unknown = |column: &usize| self.role(*column) == Role::Unknown;
        let mut left = (0..self.names.len()).filter(unknown);
        match (left.next(), left.next()) {
            (Some(column), None) if named => Ok(column),
            _ => Err((0, RecordingFault::NoCounts(self.all()))),
        }
    }

    /// What columns are read as that are not called so.
    fn read_as(
        &self,
        service: Option<usize>,
        operation: Option<usize>,
        count: usize,
    ) -> Vec<String> {
        let columns = [
            (service, "service"),
            (operation, "operation"),
            (Some(count), "count"),
        ];
        let mut notes = Vec::new();
        for (column, what) in columns {
            let Some(column) = column else { continue };
            let plain = matches!(
                self.role(column),
                Role::Service(0) | Role::Operation(0) | Role::Count(0 | 1)
            );
            if !plain {
                notes.push(format!("{} is read as the {what}", self.name(column)));
            }
        }
        notes
    }

    /// What no column says. A column that is left may say it, unless it is known for something else.
    fn missing(&self, names: &NameColumns, used: &[Option<usize>]) -> Result<Vec<String>, Refused> {
        let left = (0..self.names.len()).filter(|&column| !used.contains(&Some(column)));
        let left: Vec<usize> = left.collect();
        let doubtful = left
            .iter()
            .find(|&&column| self.role(column) == Role::Unknown);
        let mut notes = Vec::new();
        if let NameColumns::Each { service, operation } = names {
            for (column, what, note) in [
                (service, "service", no_service as fn() -> String),
                (operation, "operation", no_operation),
            ] {
                if column.is_some() {
                    continue;
                }
                if let Some(&column) = doubtful {
                    let name = self.name(column);
                    return Err((column, RecordingFault::Perhaps { what, name }));
                }
                notes.push(note());
            }
        }
        let apart = |column: &&usize| {
            !matches!(
                self.role(**column),
                Role::Time(_) | Role::Measure | Role::Rate
            )
        };
        let unused: Vec<String> = left
            .iter()
            .filter(apart)
            .map(|&column| self.name(column))
            .collect();
        if !unused.is_empty() {
            notes.push(added_up(&unused));
        }
        Ok(notes)
    }
}
