//! Tables `dictionary`, `service` and `operation`: names and their numbers.

use futures_util::TryStreamExt;
use sqlx::SqliteConnection;

use super::SqliteStore;
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

const READ_COUNTERS: &str = "\
-- dictionary: read counters
select next_service_id, next_operation_id, services, operations from dictionary";

const FIND_SERVICES: &str = "\
-- dictionary: find services
select service_id, name, operations
from service
where name in (select value from json_each($1))";

const FIND_OPERATIONS: &str = "\
-- dictionary: find operations
select operation.service_id, operation.name
from json_each($1) as wanted
cross join operation on operation.service_id = wanted.value ->> 0
    and operation.name = wanted.value ->> 1";

const INSERT_SERVICES: &str = "\
-- dictionary: insert services
insert into service (service_id, name, operations)
select value ->> 0, value ->> 1, 0 from json_each($1)";

const INSERT_OPERATIONS: &str = "\
-- dictionary: insert operations
insert into operation (operation_id, service_id, name)
select value ->> 0, value ->> 1, value ->> 2 from json_each($1)";

const COUNT_OPERATIONS: &str = "\
-- dictionary: count operations
update service
set operations = counted.value ->> 1
from json_each($1) as counted
where service.service_id = counted.value ->> 0";

const WRITE_COUNTERS: &str = "\
-- dictionary: write counters
update dictionary
set next_service_id = $1, next_operation_id = $2, services = $3, operations = $4";

const FIND_SHRINKING: &str = "\
-- dictionary: find shrinking services
select operation.service_id, service.operations - count(*) as left_over, count(*) as gone
from operation
join service using (service_id)
where operation.operation_id in (select value from json_each($1)) and operation.name <> $2
group by operation.service_id";

const FIND_EMPTY: &str = "\
-- dictionary: find empty services
select service.service_id
from operation
join service using (service_id)
where operation.operation_id in (select value from json_each($1)) and operation.name = $2
    and service.operations = 0 and service.service_id <> 0";

const DELETE_OPERATIONS: &str = "\
-- dictionary: delete operations
delete from operation
where operation_id in (select value from json_each($1)) and name <> $2";

const DELETE_OVERFLOW: &str = "\
-- dictionary: delete overflow entries
delete from operation where service_id in (select value from json_each($1))";

const DELETE_SERVICES: &str = "\
-- dictionary: delete services
delete from service where service_id in (select value from json_each($1))";

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

/// Reads the entries after a cursor; one small statement more than the state if there are some.
pub(super) async fn read(
    store: &SqliteStore,
    after: DictionaryCursor,
) -> Result<DictionaryPage, Fault> {
    let mut transaction = store.connections.snapshot().await?;
    let (generation, next): (i64, i64) = sqlx::query_as(READ_STATE)
        .fetch_one(&mut *transaction)
        .await?;
    let generation = fault::number(generation, || "dictionary.generation".to_owned())?;
    let newest: u32 = fault::number(next - 1, || "dictionary.next_operation_id".to_owned())?;
    let replaces = generation != after.generation;
    let last = after.last.filter(|_| !replaces);
    let mut entries = Vec::new();
    if last.is_none_or(|last| last.0 < newest) {
        entries = read_entries(&mut transaction, last).await?;
    }
    transaction.commit().await?;
    // The newest numbers may have gone again: they are read past, not waited for.
    Ok(DictionaryPage {
        replaces,
        cursor: DictionaryCursor {
            generation,
            last: last.max(Some(OperationId(newest))),
        },
        entries,
    })
}

async fn read_entries(
    connection: &mut SqliteConnection,
    last: Option<OperationId>,
) -> Result<Vec<DictionaryEntry>, Fault> {
    let mut rows = sqlx::query(READ_ENTRIES)
        .bind(last.map_or(-1, |last| i64::from(last.0)))
        .fetch(connection);
    let mut entries = Vec::new();
    while let Some(row) = rows.try_next().await? {
        entries.push(<EntryRow as sqlx::FromRow<_>>::from_row(&row)?.entry()?);
    }
    Ok(entries)
}

/// Adds names as far as the limits allow.
pub(super) async fn add(
    store: &SqliteStore,
    names: &[(ServiceName, OperationName)],
    limits: DictionaryLimits,
) -> Result<(), Fault> {
    let mut transaction = store.connections.write().await?;
    let counters: CountersRow = sqlx::query_as(READ_COUNTERS)
        .fetch_one(&mut *transaction)
        .await?;
    let known = find(&mut transaction, names).await?;
    let additions = naming::additions(names, limits, counters.counters()?, &known);
    if !additions.is_empty() {
        write(&mut transaction, &additions).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn find(
    connection: &mut SqliteConnection,
    names: &[(ServiceName, OperationName)],
) -> Result<Known, Fault> {
    let mut known = Known::default();
    let mut services: Vec<&str> = names.iter().map(|(service, _)| service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(FIND_SERVICES)
        .bind(serde_json::json!(services).to_string())
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
        Some((
            known.services.get(service.as_str())?.service,
            operation.as_str(),
        ))
    });
    let wanted: Vec<(u32, &str)> = wanted.collect();
    let rows: Vec<(i64, String)> = sqlx::query_as(FIND_OPERATIONS)
        .bind(serde_json::json!(wanted).to_string())
        .fetch_all(connection)
        .await?;
    for (service, name) in rows {
        let service = fault::number(service, || "operation.service_id".to_owned())?;
        known.operations.insert((service, name));
    }
    Ok(known)
}

async fn write(
    connection: &mut SqliteConnection,
    additions: &Additions<'_>,
) -> Result<(), sqlx::Error> {
    let rows = [
        (INSERT_SERVICES, serde_json::json!(additions.services)),
        (INSERT_OPERATIONS, serde_json::json!(additions.operations)),
        (
            COUNT_OPERATIONS,
            serde_json::json!(additions.service_operations),
        ),
    ];
    for (statement, rows) in rows {
        sqlx::query(statement)
            .bind(rows.to_string())
            .execute(&mut *connection)
            .await?;
    }
    let counters = additions.counters;
    sqlx::query(WRITE_COUNTERS)
        .bind(i64::from(counters.next_service))
        .bind(i64::from(counters.next_operation))
        .bind(i64::from(counters.services))
        .bind(i64::from(counters.operations))
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes operations, and services left with none.
pub(super) async fn remove(store: &SqliteStore, operations: &[OperationId]) -> Result<u64, Fault> {
    let ids: Vec<u32> = operations.iter().map(|operation| operation.0).collect();
    let ids = serde_json::json!(ids).to_string();
    let mut transaction = store.connections.write().await?;
    let mut empty: Vec<i64> = sqlx::query_scalar(FIND_EMPTY)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *transaction)
        .await?;
    let shrinking: Vec<(i64, i64, i64)> = sqlx::query_as(FIND_SHRINKING)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *transaction)
        .await?;
    empty.extend(
        shrinking
            .iter()
            .filter(|(_, left, _)| *left == 0)
            .map(|(id, _, _)| id),
    );
    let gone: i64 = shrinking.iter().map(|(_, _, gone)| gone).sum();
    if gone > 0 || !empty.is_empty() {
        delete(&mut transaction, &ids, &shrinking, &empty).await?;
        sqlx::query(NEW_GENERATION)
            .bind(i64::try_from(empty.len()).unwrap_or(i64::MAX))
            .bind(gone)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    fault::number(gone, || "operation".to_owned())
}

async fn delete(
    connection: &mut SqliteConnection,
    ids: &str,
    shrinking: &[(i64, i64, i64)],
    empty: &[i64],
) -> Result<(), sqlx::Error> {
    let counts: Vec<(i64, i64)> = shrinking.iter().map(|(id, left, _)| (*id, *left)).collect();
    let (counts, empty) = (
        serde_json::json!(counts).to_string(),
        serde_json::json!(empty).to_string(),
    );
    let deletion = sqlx::query(DELETE_OPERATIONS).bind(ids).bind(OVERFLOW_NAME);
    deletion.execute(&mut *connection).await?;
    sqlx::query(COUNT_OPERATIONS)
        .bind(counts)
        .execute(&mut *connection)
        .await?;
    sqlx::query(DELETE_OVERFLOW)
        .bind(&empty)
        .execute(&mut *connection)
        .await?;
    sqlx::query(DELETE_SERVICES)
        .bind(&empty)
        .execute(connection)
        .await?;
    Ok(())
}
