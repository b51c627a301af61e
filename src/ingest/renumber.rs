//! Gives a report other numbers, when those it has do not hold any more.
//!
//! The database has gone back in time, or names were removed, between the look-up of the report's
//! names and its commit. The body is gone by then, but the names that the numbers came from are
//! not: number to name to new number.

use std::collections::HashMap;

use super::{Ingest, IngestError, NumberedReport};
use crate::allocation::OperationId;
use crate::names::{NamedOperation, Names, OperationRow};
use crate::store::ResolvedReport;

impl Ingest {
    /// Reads the names again and looks up those of a report in them; `before` is what its numbers
    /// come from. What was counted in an overflow entry stays in it.
    pub(super) async fn renumber(
        &self,
        mut report: ResolvedReport,
        before: &Names,
    ) -> Result<NumberedReport, IngestError> {
        let left = self.dictionary.leave(report.names).await;
        left.map_err(|error| IngestError::Store(error.into()))?;
        let named = named(&report, before);
        let wanted = named
            .iter()
            .map(|(_, name)| (&*name.service, &*name.operation));
        let resolved = self.dictionary.resolve(wanted).await?;
        let rows: HashMap<OperationId, OperationRow> = named
            .iter()
            .map(|(number, _)| *number)
            .zip(resolved.rows)
            .collect();
        let names = resolved.names;
        for bucket in &mut report.buckets {
            for counts in &mut bucket.operations {
                let row = rows.get(&counts.operation).copied();
                counts.operation = row.unwrap_or(OperationRow::OVERFLOW).operation;
            }
            // A service that is not there any more says nothing, as one that never was.
            bucket.services.retain_mut(|counts| {
                let name = before.service(counts.service);
                let found = name.and_then(|name| names.find_service(&name));
                counts.service = found.unwrap_or(counts.service);
                found.is_some()
            });
        }
        report.names = names.incarnation();
        Ok(NumberedReport { report, names })
    }
}

/// The names that a report's numbers stand for, each once.
fn named(report: &ResolvedReport, names: &Names) -> Vec<(OperationId, NamedOperation)> {
    let counts = report.buckets.iter().flat_map(|bucket| &bucket.operations);
    let mut numbers: Vec<OperationId> = counts.map(|counts| counts.operation).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
        .into_iter()
        .filter_map(|number| Some((number, names.name(number)?)))
        .collect()
}
