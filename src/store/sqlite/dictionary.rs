//! Tables `dictionary`, `dictionary_chain`, `service` and `operation`: names and their numbers.
//!
//! A trigger gives the row of `dictionary` a new incarnation with each change, and adds it to the
//! chain of all it has had.

mod add;
mod remove;

use std::collections::HashSet;

use futures_util::TryStreamExt;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use crate::allocation::{OperationId, OperationName, ServiceId, ServiceName};
use crate::store::fault::{self, Fault};
use crate::store::{DictionaryCursor, DictionaryEntry, DictionaryPage, Incarnation, Step};

pub(super) use add::add;
pub(super) use remove::remove;

const READ_STATE: &str = "\
-- dictionary: read state
select dictionary.incarnation, dictionary.generation, dictionary.next_operation_id,
    known.incarnation is not null as known,
    $2 is null or included.incarnation is not null as includes,
    oldest.generation as oldest_generation, oldest.next_operation_id as oldest_next
from dictionary
cross join (
    select generation, next_operation_id from dictionary_chain
    order by generation, next_operation_id limit 1
) as oldest
left join dictionary_chain as known on known.incarnation = $1
left join dictionary_chain as included on included.incarnation = $2";

const READ_ENTRIES: &str = "\
-- dictionary: read entries
select operation.operation_id, operation.service_id, service.name as service_name,
    operation.name as operation_name
from operation
join service using (service_id)
where operation.operation_id >= $1
order by operation.operation_id";

const KNOWN: &str = "\
-- dictionary: known states
select chain.incarnation
from json_each($1) as wanted
cross join dictionary_chain as chain on chain.incarnation = wanted.value
join dictionary using (generation)";

const READ_INCARNATION: &str = "\
-- dictionary: read incarnation
select incarnation from dictionary";

const IS_PAST: &str = "\
-- dictionary: is past
select exists(select 1 from dictionary_chain where incarnation = $1)";

const FORGET: &str = "\
-- dictionary: forget old states
delete from dictionary_chain
where (generation, next_operation_id) < (
    select generation, next_operation_id from dictionary_chain
    order by generation desc, next_operation_id desc
    limit 1 offset $1
)";

#[derive(sqlx::FromRow)]
struct StateRow {
    incarnation: String,
    generation: i64,
    next_operation_id: i64,
    known: bool,
    includes: bool,
    oldest_generation: i64,
    oldest_next: i64,
}

impl StateRow {
    fn cursor(&self) -> Result<DictionaryCursor, Fault> {
        Ok(DictionaryCursor {
            incarnation: incarnation(&self.incarnation)?,
            generation: fault::number(self.generation, || "dictionary.generation".to_owned())?,
            next: OperationId(fault::number(self.next_operation_id, || {
                "dictionary.next_operation_id".to_owned()
            })?),
        })
    }

    /// How the state follows from what a reader has read.
    fn step(&self, at: Option<DictionaryCursor>) -> Step {
        let Some(at) = at else {
            return Step::Anew;
        };
        if self.known {
            let removed = u64::try_from(self.generation) != Ok(at.generation);
            return if removed { Step::Anew } else { Step::Forward };
        }
        // What the chain has been cut off from was in its past once.
        let oldest = (i128::from(self.oldest_generation), self.oldest_next);
        let stands = (i128::from(at.generation), i64::from(at.next.0));
        if stands < oldest {
            Step::Anew
        } else {
            Step::Back
        }
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow<'r> {
    operation_id: i64,
    service_id: i64,
    service_name: &'r str,
    operation_name: &'r str,
}

impl EntryRow<'_> {
    fn entry(&self) -> Result<DictionaryEntry, Fault> {
        let id = self.operation_id;
        let row = |column: &str| format!("{column} of operation_id {id}");
        Ok(DictionaryEntry {
            service: ServiceId(fault::number(self.service_id, || {
                row("operation.service_id")
            })?),
            operation: OperationId(fault::number(id, || row("operation.operation_id"))?),
            service_name: ServiceName::parse(self.service_name)
                .map_err(|error| Fault::corrupt(row("service.name"), error))?,
            operation_name: OperationName::parse(self.operation_name)
                .map_err(|error| Fault::corrupt(row("operation.name"), error))?,
        })
    }
}

/// Reads what a reader at `at` does not know; one small statement more than the state if there is
/// something.
pub(super) async fn read(
    store: &SqliteStore,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<DictionaryPage, Fault> {
    let mut transaction = store.connections.snapshot().await?;
    let state: StateRow = sqlx::query_as(READ_STATE)
        .bind(at.map(|at| cell(at.incarnation)))
        .bind(including.map(cell))
        .fetch_one(&mut *transaction)
        .await?;
    let cursor = state.cursor()?;
    let step = state.step(at);
    let from = at.filter(|_| step == Step::Forward).map(|at| at.next);
    let mut entries = Vec::new();
    if from.is_none_or(|from| from < cursor.next) {
        entries = read_entries(&mut transaction, from.unwrap_or_default()).await?;
    }
    transaction.commit().await?;
    Ok(DictionaryPage {
        step,
        cursor,
        includes: state.includes,
        entries,
    })
}

/// An incarnation as a cell has it.
fn cell(incarnation: Incarnation) -> String {
    incarnation.0.simple().to_string()
}

/// The incarnation in a cell.
pub(super) fn incarnation(cell: &str) -> Result<Incarnation, Fault> {
    let read = Uuid::try_parse(cell).map(Incarnation);
    read.map_err(|error| Fault::corrupt("dictionary.incarnation", error))
}

async fn read_entries(
    connection: &mut SqliteConnection,
    from: OperationId,
) -> Result<Vec<DictionaryEntry>, Fault> {
    let mut rows = sqlx::query(READ_ENTRIES)
        .bind(i64::from(from.0))
        .fetch(connection);
    let mut entries = Vec::new();
    while let Some(row) = rows.try_next().await? {
        entries.push(<EntryRow as sqlx::FromRow<_>>::from_row(&row)?.entry()?);
    }
    Ok(entries)
}

/// Of these states, those that the dictionary is or has been in, with no name removed since.
pub(super) async fn known(
    connection: &mut SqliteConnection,
    states: &[Incarnation],
) -> Result<HashSet<Incarnation>, Fault> {
    let wanted: Vec<String> = states.iter().copied().map(cell).collect();
    let found: Vec<String> = sqlx::query_scalar(KNOWN)
        .bind(serde_json::json!(wanted).to_string())
        .fetch_all(connection)
        .await?;
    found.iter().map(|found| incarnation(found)).collect()
}

/// Whether a state is the dictionary's or in its past.
pub(super) async fn is_past(
    connection: &mut SqliteConnection,
    state: Incarnation,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IS_PAST)
        .bind(cell(state))
        .fetch_one(connection)
        .await
}

/// The state of the dictionary.
pub(super) async fn state(connection: &mut SqliteConnection) -> Result<Incarnation, Fault> {
    let state: String = sqlx::query_scalar(READ_INCARNATION)
        .fetch_one(connection)
        .await?;
    incarnation(&state)
}

/// Forgets all states but the newest.
pub(super) async fn forget(store: &SqliteStore, keep: u32) -> Result<(), Fault> {
    let mut transaction = store.connections.write().await?;
    sqlx::query(FORGET)
        .bind(i64::from(keep.saturating_sub(1)))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
