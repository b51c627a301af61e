//! Sorts, searches and pages what a plan lists: services, and operations across services.
//!
//! Everything is looked at for every page. The pages of one plan fit together. If a plan comes between two pages, a row
//! that moved over the border is listed twice or not at all; each page says of which plan it is.

use std::cmp::Ordering;

use serde::Deserialize;

use super::services::page_limit;
use crate::allocation::{OperationPlan, Plan};
use crate::http::problem::Problem;
use crate::snapshot::{ServiceSnapshot, Snapshot};

/// The longest text that is searched for, in bytes.
const SEARCH_MAX: usize = 256;

/// The mean length of a month, in seconds.
const MONTH_SECONDS: f64 = 365.25 / 12.0 * 86_400.0;

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
    after: Option<String>,
    sort: Option<String>,
    search: Option<String>,
    pub(super) group: Option<String>,
    pub(super) sparkline: Option<String>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Kept,
    Observed,
    Offered,
    Probability,
    Missing,
}

impl Sort {
    const ALL: [(&'static str, Self); 6] = [
        ("name", Self::Name),
        ("kept", Self::Kept),
        ("observed", Self::Observed),
        ("offered", Self::Offered),
        ("probability", Self::Probability),
        ("missing", Self::Missing),
    ];

    fn named(given: &str) -> Result<Self, Problem> {
        let found = Self::ALL.iter().find(|(name, _)| *name == given);
        found
            .map(|(_, sort)| *sort)
            .ok_or_else(|| Problem::Malformed {
                field: "sort".into(),
                detail: "must be name, kept, observed, offered, probability or missing".into(),
            })
    }

    /// What decides the place of a row; the least comes first.
    fn key(self, figures: &Figures) -> f64 {
        let key = match self {
            Self::Name => 0.0,
            Self::Kept => -figures.kept,
            Self::Observed => -figures.observed.unwrap_or(-1.0),
            Self::Offered => -figures.offered,
            Self::Probability => figures.probability,
            Self::Missing => -figures.missing,
        };
        // One zero, so that a cursor finds its place.
        key + 0.0
    }
}

/// What a row is sorted by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    /// Requests per second before sampling.
    pub offered: f64,
    /// Traces per second that the plan gives it.
    pub kept: f64,
    /// Traces per second that were sampled in the plan's window; none if nobody says it.
    pub observed: Option<f64>,
    /// Of its requests, the part that is kept; what it is served while it has none.
    pub probability: f64,
    /// By how much its floors are missed, in traces per second.
    pub missing: f64,
}

impl Figures {
    /// The sums of a service.
    pub fn of_service(snapshot: &Snapshot, held: &ServiceSnapshot) -> Self {
        let (plan, sums) = (snapshot.plan(), held.sums);
        let known = plan.sampled_known(held.id);
        Self {
            offered: sums.offered,
            kept: sums.share,
            observed: known.then(|| a_second(plan, sums.sampled)),
            probability: match sums.offered > 0.0 {
                true => (sums.share / sums.offered).min(1.0),
                false => snapshot.served_default(held.id),
            },
            missing: sums.missing,
        }
    }

    /// Those of an operation.
    pub fn of_operation(plan: &Plan, operation: &OperationPlan) -> Self {
        let known = plan.sampled_known(operation.service);
        Self {
            offered: operation.offered,
            kept: operation.share,
            observed: known.then(|| a_second(plan, operation.window_sampled)),
            probability: operation.probability,
            missing: operation.floor_missed(),
        }
    }
}

fn a_second(plan: &Plan, count: u64) -> f64 {
    count as f64 / plan.window.seconds().max(0.001)
}

/// The part of the fleet's budget.
pub(super) fn part_of_budget(plan: &Plan, kept: f64) -> f64 {
    match plan.fleet.budget > 0.0 {
        true => kept / plan.fleet.budget,
        false => 0.0,
    }
}

/// A rate as traces a month.
pub(super) fn traces_per_month(kept: f64) -> f64 {
    kept * MONTH_SECONDS
}

/// A page that is asked for.
pub(super) struct Sorted {
    sort: Sort,
    search: Option<String>,
    limit: usize,
    after: Option<Place>,
}

/// The place of a row: what it is sorted by, then its names.
struct Place {
    key: f64,
    service: String,
    operation: String,
}

/// A row that is found.
pub(super) struct Row<'r, T> {
    key: f64,
    /// The service.
    pub service: &'r str,
    operation: &'r str,
    /// What belongs to it.
    pub of: T,
}

/// A page.
pub(super) struct Found<'r, T> {
    /// Its rows.
    pub rows: Vec<Row<'r, T>>,
    /// How many rows are searched for, on all pages.
    pub found: usize,
    /// Where the next page begins; none if this is the last one.
    pub next: Option<String>,
}

impl Sorted {
    /// Reads what is asked for.
    pub fn of(wanted: &Wanted) -> Result<Self, Problem> {
        let sort = wanted.sort.as_deref().map(Sort::named).transpose()?;
        let sort = sort.unwrap_or(Sort::Name);
        let after = wanted.after.as_deref();
        let search = wanted.search.as_ref().map(|search| search.to_lowercase());
        if search
            .as_ref()
            .is_some_and(|search| search.len() > SEARCH_MAX)
        {
            return Err(Problem::Malformed {
                field: "search".into(),
                detail: format!("must be at most {SEARCH_MAX} bytes long"),
            });
        }
        Ok(Self {
            limit: page_limit(wanted.limit.as_deref())?,
            after: after.map(|after| Place::parse(sort, after)).transpose()?,
            sort,
            search,
        })
    }

    /// Refuses a page that is longer than something else allows.
    pub fn limited(&self, most: usize, with: &str) -> Result<(), Problem> {
        if self.limit <= most {
            return Ok(());
        }
        Err(Problem::Malformed {
            field: "limit".into(),
            detail: format!("must be at most {most} with {with}"),
        })
    }

    /// The rows of the page. Each comes with its service, its operation (or nothing) and what it is sorted by.
    pub fn page<'r, T>(
        &self,
        rows: impl Iterator<Item = (&'r str, &'r str, Figures, T)>,
    ) -> Found<'r, T> {
        let mut found = 0;
        let mut listed: Vec<Row<'r, T>> = Vec::new();
        for (service, operation, figures, of) in rows {
            if !self.is_searched(service) && !self.is_searched(operation) {
                continue;
            }
            found += 1;
            let key = self.sort.key(&figures);
            let row = Row {
                key,
                service,
                operation,
                of,
            };
            if self
                .after
                .as_ref()
                .is_none_or(|after| after.is_before(&row))
            {
                listed.push(row);
            }
        }
        listed.sort_unstable_by(Row::order);
        let more = listed.len() > self.limit;
        listed.truncate(self.limit);
        let last = listed.last().filter(|_| more);
        Found {
            next: last.map(|last| last.cursor(self.sort)),
            rows: listed,
            found,
        }
    }

    fn is_searched(&self, name: &str) -> bool {
        let Some(search) = &self.search else {
            return true;
        };
        // Most names are ASCII, and need no copy.
        match name.is_ascii() && search.is_ascii() {
            true => contains(name.as_bytes(), search.as_bytes()),
            false => name.to_lowercase().contains(search.as_str()),
        }
    }
}

/// Whether a name contains a text in lower case.
fn contains(name: &[u8], search: &[u8]) -> bool {
    let mut parts = name.windows(search.len().max(1));
    search.is_empty() || parts.any(|part| part.eq_ignore_ascii_case(search))
}

impl<T> Row<'_, T> {
    fn order(&self, other: &Self) -> Ordering {
        let keys = self.key.total_cmp(&other.key);
        keys.then_with(|| self.service.cmp(other.service))
            .then_with(|| self.operation.cmp(other.operation))
    }

    /// By name a place is the name itself; otherwise the bits of what it is sorted by come first.
    fn cursor(&self, sort: Sort) -> String {
        let names = match self.operation {
            "" => self.service.to_owned(),
            operation => format!("{}\n{operation}", self.service),
        };
        match sort {
            Sort::Name => names,
            _ => format!("{:016x}:{names}", self.key.to_bits()),
        }
    }
}

impl Place {
    fn parse(sort: Sort, after: &str) -> Result<Self, Problem> {
        let wrong = || Problem::Malformed {
            field: "after".into(),
            detail: "must be what next said, with the same sort".into(),
        };
        let (key, names) = match sort {
            Sort::Name => (0.0, after),
            _ => {
                let (bits, names) = after.split_once(':').ok_or_else(wrong)?;
                let bits = u64::from_str_radix(bits, 16).map_err(|_| wrong())?;
                (f64::from_bits(bits), names)
            }
        };
        let (service, operation) = names.split_once('\n').unwrap_or((names, ""));
        Ok(Self {
            key,
            service: service.to_owned(),
            operation: operation.to_owned(),
        })
    }

    fn is_before<T>(&self, row: &Row<'_, T>) -> bool {
        let keys = self.key.total_cmp(&row.key);
        let place = keys
            .then_with(|| self.service.as_str().cmp(row.service))
            .then_with(|| self.operation.as_str().cmp(row.operation));
        // The row itself was listed, also if it has moved since.
        let is_itself = self.service == row.service && self.operation == row.operation;
        place == Ordering::Less && !is_itself
    }
}
