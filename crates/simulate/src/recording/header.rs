//! Parses the header of a file, which says what its lines contain.

mod list;

use super::fault::{RecordingFault, shortened};
use super::growth::Counts;
use super::line::Line;
use super::series::{SeriesNames, is_labelled, lowest};
use super::stamp::Stamp;
use super::time::Unit;
use super::words::{Role, TimeRole, is_no_operation, is_total, role, words};
use weir_allocation::{OperationName, ServiceName};

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
    /// The column with the class of the traces.
    pub class: Option<usize>,
    /// The column with the number of traces that the operation begins.
    pub roots: Option<usize>,
    pub first_count: usize,
    /// Columns that distinguish lines of the same operation. Lines that differ only there are added
    /// up.
    pub apart: Vec<usize>,
    pub labels: Vec<String>,
    pub unit: Unit,
}

#[derive(Debug)]
pub(super) struct Long {
    pub columns: usize,
    pub time: usize,
    pub names: NameColumns,
    /// The column with the class of the traces.
    pub class: Option<usize>,
    pub count: usize,
    pub unit: Unit,
    pub counts: Counts,
    /// What was assumed, in sentences.
    pub notes: Vec<String>,
}

/// Where a line with one count has its names.
#[derive(Debug)]
pub(super) enum NameColumns {
    /// A column each; one of them may be missing.
    Each {
        service: Option<usize>,
        operation: Option<usize>,
    },
    /// One with the name or the labels of a series.
    Series(usize),
}

#[derive(Debug)]
pub(super) struct Table {
    pub time: usize,
    /// The operation of every other column. Several columns may have the same.
    pub places: Vec<usize>,
    pub operations: Vec<(ServiceName, OperationName)>,
    pub unit: Unit,
    pub counts: Counts,
    pub notes: Vec<String>,
}

/// The first columns of the Azure Functions data set, in any spelling of its copies.
const AZURE: [&str; 4] = ["owner", "app", "function", "trigger"];
/// The most columns in a file with one count per line.
const MOST_LONG_COLUMNS: usize = 32;

/// What is wrong with a header, and in which column, counted from 0.
type Refused = (usize, RecordingFault);

/// Recognises a header.
///
/// # Errors
/// Names the column, counted from 0.
pub(super) fn parse(line: &Line) -> Result<Layout, Refused> {
    let header = Header::of(line)?;
    if let Some(wide) = header.azure().or_else(|| header.own()) {
        let labels = labels(line, wide.first_count)?;
        return Ok(Layout::Wide(Wide { labels, ..wide }));
    }
    let time = header.time()?;
    if header.has_names() {
        return header.long(line, time).map(Layout::Long);
    }
    match time {
        Some((column, time)) => table(line, column, time).map(Layout::Table),
        None => Err(header.unknown()),
    }
}

/// The first columns' names, and what they contain.
struct Header {
    names: Vec<String>,
    roles: Vec<Role>,
    /// The columns of the whole line.
    columns: usize,
}

impl Header {
    fn of(line: &Line) -> Result<Self, Refused> {
        let first = 0..line.len().min(MOST_LONG_COLUMNS);
        let names = first.map(|column| line.cell(column).map(str::to_owned));
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(Self {
            roles: names.iter().map(|name| column_role(name)).collect(),
            names,
            columns: line.len(),
        })
    }

    fn role(&self, column: usize) -> Role {
        self.roles.get(column).copied().unwrap_or(Role::Unknown)
    }

    fn name(&self, column: usize) -> String {
        match self.names.get(column) {
            Some(name) if !name.is_empty() => shortened(name),
            _ => format!("column {}", column + 1),
        }
    }

    /// Whether a column names services or operations.
    fn has_names(&self) -> bool {
        self.roles
            .iter()
            .any(|role| matches!(role, Role::Service(_) | Role::Operation(_) | Role::Series))
    }

    fn azure(&self) -> Option<Wide> {
        let begins = |(column, word): (usize, &&str)| {
            let name = self.names.get(column).map(|name| name.to_ascii_lowercase());
            name.is_some_and(|name| name.trim_start_matches("hash").starts_with(word))
        };
        let known = AZURE.iter().enumerate().all(begins) && !self.is_list(4);
        known.then(|| Wide {
            service: 1,
            operation: 2,
            class: None,
            roots: None,
            first_count: 4,
            apart: vec![0, 3],
            labels: Vec::new(),
            unit: Unit {
                number: Some(60.0),
                row: Some(60.0),
            },
        })
    }

    fn own(&self) -> Option<Wide> {
        let (service, operation) = match (self.role(0), self.role(1)) {
            (Role::Service(0), Role::Operation(0)) => (0, 1),
            (Role::Operation(0), Role::Service(0)) => (1, 0),
            _ => return None,
        };
        let class = (self.role(2) == Role::Class).then_some(2);
        let next = class.map_or(2, |class| class + 1);
        let roots = (words(&self.name(next)) == ["root", "spans"]).then_some(next);
        let first_count = roots.map_or(next, |roots| roots + 1);
        (!self.is_list(first_count)).then(|| Wide {
            service,
            operation,
            class,
            roots,
            first_count,
            apart: Vec::new(),
            labels: Vec::new(),
            unit: Unit::default(),
        })
    }

    /// Whether the columns from `first` on are not rows of time, but those of a list.
    fn is_list(&self, first: usize) -> bool {
        let named = |column: usize| {
            let name = &self.names[column];
            let known = matches!(self.role(column), Role::Rate | Role::Count(_));
            is_no_operation(name) || known || (known_name(self.role(column)) && !name.contains(' '))
        };
        (first..self.names.len()).any(named)
    }

    /// The column of times.
    fn time(&self) -> Result<Option<(usize, TimeRole)>, Refused> {
        let times: Vec<(usize, TimeRole)> = self
            .roles
            .iter()
            .enumerate()
            .filter_map(|(column, role)| match role {
                Role::Time(time) => Some((column, *time)),
                _ => None,
            })
            .collect();
        let Some(&(column, time)) = times.iter().min_by_key(|(_, time)| time.rank) else {
            return Ok(None);
        };
        let doubtful = |(other, role): &&(usize, TimeRole)| {
            let parts = time.part && role.part && role.exact;
            *other != column && time.exact && (parts || role.rank == time.rank)
        };
        match times.iter().find(doubtful) {
            Some((other, _)) => Err((*other, self.two("the time", column, *other))),
            None => Ok(Some((column, time))),
        }
    }

    fn two(&self, what: &'static str, one: usize, other: usize) -> RecordingFault {
        RecordingFault::Two {
            what,
            one: self.name(one),
            other: self.name(other),
        }
    }

    fn lowest(
        &self,
        what: &'static str,
        rank: impl Fn(Role) -> Option<u8>,
    ) -> Result<Option<usize>, Refused> {
        let ranks = self.roles.iter().map(|role| rank(*role));
        lowest(ranks).map_err(|(one, other)| (other, self.two(what, one, other)))
    }

    fn all(&self) -> String {
        shortened(&self.names.join(", "))
    }

    /// Why a header without a column of times is not known.
    fn unknown(&self) -> Refused {
        match self.names.iter().position(|name| is_instant(name)) {
            Some(column) if self.columns > 1 => {
                (column, RecordingFault::NoHeader(self.name(column)))
            }
            _ => (0, RecordingFault::UnknownHeader),
        }
    }
}

/// Whether a column is called by a time.
fn is_instant(name: &str) -> bool {
    let stamp = Stamp::parse(name).filter(|_| Stamp::is_meant(name));
    stamp.is_some_and(|stamp| !matches!(stamp, Stamp::Number(_)))
}

/// Whether a column of this role is not a row of time.
fn known_name(role: Role) -> bool {
    matches!(
        role,
        Role::Service(_) | Role::Operation(0) | Role::Series | Role::Span | Role::Label
    )
}

/// Reads the header of a file with one line per row of time.
fn table(line: &Line, time: usize, role: TimeRole) -> Result<Table, Refused> {
    let names = labels(line, 0)?;
    if names.len() < 2 {
        return Err((line.len(), RecordingFault::NoRows));
    }
    let mut table = Table {
        time,
        places: Vec::with_capacity(names.len() - 1),
        operations: Vec::new(),
        unit: role.unit,
        counts: Counts::Plain,
        notes: Vec::new(),
    };
    let mut series = SeriesNames::default();
    let mut known = std::collections::HashMap::new();
    let single = names.len() == 2;
    for (column, name) in names
        .iter()
        .enumerate()
        .filter(|(column, _)| *column != time)
    {
        let refused = |fault| (column, fault);
        unplayable(name, single).map_err(refused)?;
        if is_total(metric(name)) {
            table.counts = Counts::Total(shortened(metric(name)));
        }
        let named = series.named(name).map_err(refused)?;
        let next = table.operations.len();
        let place = *known.entry(named.clone()).or_insert(next);
        if place == next {
            table.operations.push(named);
        }
        table.places.push(place);
    }
    if table.counts == Counts::Plain {
        table.counts = series.counts();
    }
    table.notes = series.notes();
    Ok(table)
}

/// What a column contains. The labels of a series say nothing about it.
fn column_role(name: &str) -> Role {
    if !is_labelled(name) {
        return role(name);
    }
    match role(metric(name)) {
        Role::Rate => Role::Rate,
        _ => Role::Unknown,
    }
}

/// The name of a series without its labels.
fn metric(name: &str) -> &str {
    name.split('{').next().unwrap_or(name).trim()
}

/// Refuses a column that is not of requests.
fn unplayable(name: &str, single: bool) -> Result<(), RecordingFault> {
    match column_role(name) {
        Role::Rate => Err(RecordingFault::Rate(shortened(name))),
        Role::Count(_) if single => Ok(()),
        Role::Measure | Role::Label if single => Err(RecordingFault::NotRequests(shortened(name))),
        _ if !is_labelled(name) && is_no_operation(name) => {
            Err(RecordingFault::NotRequests(shortened(name)))
        }
        _ => Ok(()),
    }
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
