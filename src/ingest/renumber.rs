//! Gives a report new numbers if the ones that it has are no longer valid.
//!
//! Between the look-up of the report's names and its commit, the database went back in time, or
//! names were removed. The body is gone by then, but the names in which the numbers were found are
//! not: each number leads to a name, and the name to a new number.

use std::collections::HashMap;

use super::buckets::AgentSums;
use super::{Ingest, IngestError, NumberedReport};
use crate::allocation::OperationId;
use crate::names::{NamedOperation, Names, OperationRow, agent_id};
use crate::store::ResolvedReport;

impl Ingest {
    /// Reads the names again and looks up those of a report. `before` are the names in which its
    /// numbers were found. Counts in an overflow entry stay there.
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
        let agent = agent_id(&report.agent);
        for bucket in &mut report.buckets {
            let mut sums = AgentSums::new(agent);
            for counts in &mut bucket.operations {
                let row = rows.get(&counts.operation).copied();
                let row = row.unwrap_or(OperationRow::OVERFLOW);
                counts.operation = row.operation;
                sums.add(row.service, counts.offered, counts.sampled);
            }
            bucket.agents = sums.counts();
            // Instances of a service that was removed are dropped, as for a service that was never
            // added.
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

/// The names of a report's numbers, each once.
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
