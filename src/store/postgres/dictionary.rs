//! Tables `dictionary`, `dictionary_chain`, `service` and `operation`: names and their numbers.
//!
//! Whoever adds or removes names holds the one row of `dictionary`, so numbers become visible in
//! the order they were given and a reader may follow the highest it has read. A trigger gives that
//! row a new incarnation with each change, and adds it to the chain of all it has had.

mod add;
mod remove;

use futures_util::TryStreamExt;
use uuid::Uuid;

use super::PostgresStore;
use super::connection::Connection;
use super::session::Session;
use crate::allocation::{OperationId, OperationName, ServiceId, ServiceName};
use crate::store::fault::{self, Fault};
use crate::store::{DictionaryCursor, DictionaryEntry, DictionaryPage, Incarnation, Step};

pub(super) use add::add;
pub(super) use remove::remove;

const READ_STATE: &str = "\
-- dictionary: read state
select dictionary.incarnation, dictionary.generation, dictionary.next_operation_id,
    known.incarnation is not null as known,
    $2::uuid is null or included.incarnation is not null as includes,
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

const LOCK: &str = "\
-- dictionary: lock
select next_service_id, next_operation_id, services, operations from dictionary for update";

const READ_INCARNATION: &str = "\
-- dictionary: read incarnation
select incarnation from dictionary";

const IS_PAST: &str = "\
-- dictionary: is past
select exists(select from dictionary_chain where incarnation = $1)";

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
    incarnation: Uuid,
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
            incarnation: Incarnation(self.incarnation),
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

/// Reads what a reader at `at` does not know; one small statement if there is nothing.
pub(super) async fn read(
    store: &PostgresStore,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<DictionaryPage, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let state = read_state(session.connection(), at, including).await?;
    let page = if at.is_some_and(|at| at.incarnation.0 == state.incarnation) {
        DictionaryPage {
            step: Step::Forward,
            cursor: state.cursor()?,
            includes: state.includes,
            entries: Vec::new(),
        }
    } else {
        let mut transaction = session.snapshot().await?;
        let page = read_page(&mut transaction, at, including).await?;
        transaction.commit().await?;
        page
    };
    session.keep();
    Ok(page)
}

async fn read_state(
    connection: &mut Connection,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<StateRow, sqlx::Error> {
    sqlx::query_as(READ_STATE)
        .bind(at.map(|at| at.incarnation.0))
        .bind(including.map(|including| including.0))
        .fetch_one(connection)
        .await
}

async fn read_page(
    connection: &mut Connection,
    at: Option<DictionaryCursor>,
    including: Option<Incarnation>,
) -> Result<DictionaryPage, Fault> {
    let state = read_state(&mut *connection, at, including).await?;
    let step = state.step(at);
    let from = at
        .filter(|_| step == Step::Forward)
        .map_or(0, |at| at.next.0);
    let mut entries = Vec::new();
    let mut rows = sqlx::query(READ_ENTRIES)
        .bind(i64::from(from))
        .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        entries.push(<EntryRow as sqlx::FromRow<_>>::from_row(&row)?.entry()?);
    }
    Ok(DictionaryPage {
        step,
        cursor: state.cursor()?,
        includes: state.includes,
        entries,
    })
}

/// Whether a state is the dictionary's or in its past.
pub(super) async fn is_past(
    connection: &mut Connection,
    state: Incarnation,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IS_PAST)
        .bind(state.0)
        .fetch_one(connection)
        .await
}

/// The state of the dictionary.
pub(super) async fn state(connection: &mut Connection) -> Result<Incarnation, sqlx::Error> {
    let state: Uuid = sqlx::query_scalar(READ_INCARNATION)
        .fetch_one(connection)
        .await?;
    Ok(Incarnation(state))
}

/// Forgets all states but the newest.
pub(super) async fn forget(store: &PostgresStore, keep: u32) -> Result<(), Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    sqlx::query(FORGET)
        .bind(i64::from(keep.saturating_sub(1)))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    Ok(())
}
