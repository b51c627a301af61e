//! Tables `dictionary`, `service` and `operation`: names and their numbers.
//!
//! Whoever adds or removes names holds the one row of `dictionary`, so numbers become visible in
//! the order they were given and a reader may follow the highest it has read.

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use sqlx::postgres::PgQueryResult;

use super::PostgresStore;
use super::connection::Session;
use crate::allocation::{OVERFLOW_NAME, OperationId, OperationName, ServiceId, ServiceName};
use crate::store::fault::{self, Fault};
use crate::store::naming::{self, Additions, Counters, Known, KnownService};
use crate::store::{DictionaryCursor, DictionaryEntry, DictionaryLimits, DictionaryPage};

const READ_STATE: &str = "\
-- dictionary: read state
select generation, next_operation_id from dictionary";

const READ_ENTRIES: &str = "\
-- dictionary: read entries
select operation.operation_id, operation.service_id, service.name as service_name,
    operation.name as operation_name
from operation
join service using (service_id)
where operation.operation_id > $1
order by operation.operation_id";

const LOCK: &str = "\
-- dictionary: lock
select next_service_id, next_operation_id, services, operations from dictionary for update";

const FIND_SERVICES: &str = "\
-- dictionary: find services
select service_id, name, operations from service where name = any($1)";

const FIND_OPERATIONS: &str = "\
-- dictionary: find operations
select operation.service_id, operation.name
from operation
join unnest($1::bigint[], $2::text[]) as wanted (service_id, name) using (service_id, name)";

/// Names the key, as every insert does: without it this is an error. While a restore is loading
/// the table, its names would otherwise be added a second time.
const INSERT_SERVICES: &str = "\
-- dictionary: insert services
insert into service (service_id, name, operations)
select service_id, name, 0 from unnest($1::bigint[], $2::text[]) as new (service_id, name)
on conflict (service_id) do nothing";

const INSERT_OPERATIONS: &str = "\
-- dictionary: insert operations
insert into operation (operation_id, service_id, name)
select * from unnest($1::bigint[], $2::bigint[], $3::text[])
on conflict (operation_id) do nothing";

const COUNT_OPERATIONS: &str = "\
-- dictionary: count operations
update service
set operations = counted.operations
from unnest($1::bigint[], $2::bigint[]) as counted (service_id, operations)
where service.service_id = counted.service_id";

const WRITE_COUNTERS: &str = "\
-- dictionary: write counters
update dictionary
set next_service_id = $1, next_operation_id = $2, services = $3, operations = $4";

const DELETE_OPERATIONS: &str = "\
-- dictionary: delete operations
with gone as (
    delete from operation where operation_id = any($1) and name <> $2 returning service_id
), counted as (
    select service_id, count(*) as operations from gone group by service_id
)
update service
set operations = service.operations - counted.operations
from counted
where service.service_id = counted.service_id
returning service.service_id, service.operations as left_over, counted.operations as gone";

const FIND_EMPTY: &str = "\
-- dictionary: find empty services
select service.service_id
from service
join operation using (service_id)
where operation.operation_id = any($1) and operation.name = $2
    and service.operations = 0 and service.service_id <> 0";

const DELETE_OVERFLOW: &str = "\
-- dictionary: delete overflow entries
delete from operation where service_id = any($1)";

const DELETE_SERVICES: &str = "\
-- dictionary: delete services
delete from service where service_id = any($1)";

const NEW_GENERATION: &str = "\
-- dictionary: new generation
update dictionary
set generation = generation + 1, services = services - $1, operations = operations - $2";

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

#[derive(sqlx::FromRow)]
struct CountersRow {
    next_service_id: i64,
    next_operation_id: i64,
    services: i64,
    operations: i64,
}

impl CountersRow {
    fn counters(&self) -> Result<Counters, Fault> {
        let cell = |value, column: &str| fault::number(value, || format!("dictionary.{column}"));
        Ok(Counters {
            next_service: cell(self.next_service_id, "next_service_id")?,
            next_operation: cell(self.next_operation_id, "next_operation_id")?,
            services: cell(self.services, "services")?,
            operations: cell(self.operations, "operations")?,
        })
    }
}

/// Reads the entries after a cursor; one small statement if there are none.
pub(super) async fn read(
    store: &PostgresStore,
    after: DictionaryCursor,
) -> Result<DictionaryPage, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let state: (i64, i64) = sqlx::query_as(READ_STATE)
        .fetch_one(session.connection())
        .await?;
    let page = if is_new(state, after)? {
        let mut transaction = session.snapshot().await?;
        let page = read_entries(&mut transaction, after).await?;
        transaction.commit().await?;
        page
    } else {
        DictionaryPage {
            replaces: false,
            cursor: after,
            entries: Vec::new(),
        }
    };
    session.keep();
    Ok(page)
}

fn is_new((generation, next): (i64, i64), after: DictionaryCursor) -> Result<bool, Fault> {
    let generation: u64 = fault::number(generation, || "dictionary.generation".to_owned())?;
    let read = after.last.map_or(-1, |last| i64::from(last.0));
    Ok(generation != after.generation || next - 1 > read)
}

async fn read_entries(
    connection: &mut PgConnection,
    after: DictionaryCursor,
) -> Result<DictionaryPage, Fault> {
    let (generation, next): (i64, i64) = sqlx::query_as(READ_STATE)
        .fetch_one(&mut *connection)
        .await?;
    let generation = fault::number(generation, || "dictionary.generation".to_owned())?;
    let replaces = generation != after.generation;
    let last = after.last.filter(|_| !replaces);
    let mut entries = Vec::new();
    let mut rows = sqlx::query(READ_ENTRIES)
        .bind(last.map_or(-1, |last| i64::from(last.0)))
        .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        entries.push(<EntryRow as sqlx::FromRow<_>>::from_row(&row)?.entry()?);
    }
    // The newest numbers may have gone again: they are read past, not waited for.
    let newest = fault::number(next - 1, || "dictionary.next_operation_id".to_owned())?;
    Ok(DictionaryPage {
        replaces,
        cursor: DictionaryCursor {
            generation,
            last: Some(OperationId(newest)),
        },
        entries,
    })
}

/// Adds names as far as the limits allow.
pub(super) async fn add(
    store: &PostgresStore,
    names: &[(ServiceName, OperationName)],
    limits: DictionaryLimits,
) -> Result<(), Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let counters: CountersRow = sqlx::query_as(LOCK).fetch_one(&mut *transaction).await?;
    let known = find(&mut transaction, names).await?;
    let additions = naming::additions(names, limits, counters.counters()?, &known);
    if !additions.is_empty() {
        write(&mut transaction, &additions).await?;
    }
    transaction.commit().await?;
    session.keep();
    Ok(())
}

async fn find(
    connection: &mut PgConnection,
    names: &[(ServiceName, OperationName)],
) -> Result<Known, Fault> {
    let mut known = Known::default();
    let mut services: Vec<&str> = names.iter().map(|(service, _)| service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(FIND_SERVICES)
        .bind(services)
        .fetch_all(&mut *connection)
        .await?;
    for (service, name, operations) in rows {
        let cell = |column: &str| format!("service.{column} of service_id {service}");
        let entry = KnownService {
            service: fault::number(service, || cell("service_id"))?,
            operations: fault::number(operations, || cell("operations"))?,
        };
        known.services.insert(name, entry);
    }
    let wanted = names.iter().filter_map(|(service, operation)| {
        let service = known.services.get(service.as_str())?;
        Some((i64::from(service.service), operation.as_str()))
    });
    let (services, operations): (Vec<i64>, Vec<&str>) = wanted.unzip();
    let rows: Vec<(i64, String)> = sqlx::query_as(FIND_OPERATIONS)
        .bind(services)
        .bind(operations)
        .fetch_all(connection)
        .await?;
    for (service, name) in rows {
        let service = fault::number(service, || "operation.service_id".to_owned())?;
        known.operations.insert((service, name));
    }
    Ok(known)
}

/// Checks that every number given was a new one.
fn new(counter: &str, rows: usize, inserted: &PgQueryResult) -> Result<(), Fault> {
    if inserted.rows_affected() == rows as u64 {
        return Ok(());
    }
    let cell = format!("dictionary.{counter}");
    Err(Fault::corrupt(cell, "a number that it gives is taken"))
}

async fn write(connection: &mut PgConnection, additions: &Additions<'_>) -> Result<(), Fault> {
    let wide = i64::from;
    let (ids, names): (Vec<i64>, Vec<&str>) = additions
        .services
        .iter()
        .map(|(id, name)| (wide(*id), *name))
        .unzip();
    let inserted = sqlx::query(INSERT_SERVICES)
        .bind(ids)
        .bind(names)
        .execute(&mut *connection)
        .await?;
    new("next_service_id", additions.services.len(), &inserted)?;
    let rows = || additions.operations.iter();
    let inserted = sqlx::query(INSERT_OPERATIONS)
        .bind(rows().map(|(id, _, _)| wide(*id)).collect::<Vec<i64>>())
        .bind(
            rows()
                .map(|(_, service, _)| wide(*service))
                .collect::<Vec<i64>>(),
        )
        .bind(rows().map(|(_, _, name)| *name).collect::<Vec<&str>>())
        .execute(&mut *connection)
        .await?;
    new("next_operation_id", additions.operations.len(), &inserted)?;
    let (ids, counts): (Vec<i64>, Vec<i64>) = additions
        .service_operations
        .iter()
        .map(|(id, operations)| (wide(*id), wide(*operations)))
        .unzip();
    sqlx::query(COUNT_OPERATIONS)
        .bind(ids)
        .bind(counts)
        .execute(&mut *connection)
        .await?;
    let counters = additions.counters;
    sqlx::query(WRITE_COUNTERS)
        .bind(wide(counters.next_service))
        .bind(wide(counters.next_operation))
        .bind(wide(counters.services))
        .bind(wide(counters.operations))
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes operations, and services left with none.
pub(super) async fn remove(
    store: &PostgresStore,
    operations: &[OperationId],
) -> Result<u64, Fault> {
    let ids: Vec<i64> = operations
        .iter()
        .map(|operation| i64::from(operation.0))
        .collect();
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    sqlx::query(LOCK).fetch_one(&mut *transaction).await?;
    let shrunk: Vec<(i64, i64, i64)> = sqlx::query_as(DELETE_OPERATIONS)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *transaction)
        .await?;
    let mut empty: Vec<i64> = sqlx::query_scalar(FIND_EMPTY)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *transaction)
        .await?;
    empty.extend(
        shrunk
            .iter()
            .filter(|(_, left, _)| *left == 0)
            .map(|(service, _, _)| service),
    );
    empty.sort_unstable();
    empty.dedup();
    let gone: i64 = shrunk.iter().map(|(_, _, gone)| gone).sum();
    if gone > 0 || !empty.is_empty() {
        sqlx::query(DELETE_OVERFLOW)
            .bind(&empty)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(DELETE_SERVICES)
            .bind(&empty)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(NEW_GENERATION)
            .bind(i64::try_from(empty.len()).unwrap_or(i64::MAX))
            .bind(gone)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    session.keep();
    fault::number(gone, || "operation".to_owned())
}
