//! Adds and removes names in batches, given as JSON.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::transaction::{cell, id};
use crate::allocation::{OVERFLOW_NAME, OperationId, OperationName, ServiceName};
use crate::store::Incarnation;
use crate::store::fault::Fault;
use crate::store::naming::{Additions, Known};
use crate::store::tables::dictionary;

const KNOWN: &str = "\
-- dictionary: known states
select chain.incarnation
from json_each($1) as wanted
cross join dictionary_chain as chain on chain.incarnation = wanted.value
join dictionary using (generation)";

/// A writing transaction is alone, so there is nothing to lock.
pub(super) const LOCK: &str = "\
-- dictionary: lock
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

/// Those of these states that the dictionary is or has been in, with no name removed since.
pub(super) async fn known(
    reader: &mut SqliteConnection,
    states: &[Incarnation],
) -> Result<HashSet<Incarnation>, Fault> {
    let wanted: Vec<String> = states.iter().map(|state| cell(state.0)).collect();
    let found: Vec<String> = sqlx::query_scalar(KNOWN)
        .bind(serde_json::json!(wanted).to_string())
        .fetch_all(reader)
        .await?;
    let parsed = |cell: &String| {
        let incarnation = id("dictionary_chain.incarnation", cell)?;
        Ok(Incarnation(incarnation))
    };
    found.iter().map(parsed).collect()
}

/// Finds which of the names exist already.
pub(super) async fn find(
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
    for row in rows {
        dictionary::note_service(&mut known, row)?;
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
    for row in rows {
        dictionary::note_operation(&mut known, row)?;
    }
    Ok(known)
}

/// Writes new names.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    additions: &Additions<'_>,
) -> Result<(), Fault> {
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
    Ok(())
}

/// Deletes names, and services without remaining operations. Returns how many services and
/// operations were deleted.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    operations: &[OperationId],
) -> Result<(u64, u64), Fault> {
    let ids: Vec<u32> = operations.iter().map(|operation| operation.0).collect();
    let ids = serde_json::json!(ids).to_string();
    let mut empty: Vec<i64> = sqlx::query_scalar(FIND_EMPTY)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *connection)
        .await?;
    let shrinking: Vec<(i64, i64, i64)> = sqlx::query_as(FIND_SHRINKING)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *connection)
        .await?;
    let emptied = shrinking.iter().filter(|(_, left, _)| *left == 0);
    empty.extend(emptied.map(|(service, _, _)| service));
    empty.sort_unstable();
    empty.dedup();
    delete_rows(connection, &ids, &shrinking, &empty).await?;
    let gone: i64 = shrinking.iter().map(|(_, _, gone)| gone).sum();
    Ok((empty.len() as u64, gone.unsigned_abs()))
}

async fn delete_rows(
    connection: &mut SqliteConnection,
    ids: &str,
    shrinking: &[(i64, i64, i64)],
    empty: &[i64],
) -> Result<(), Fault> {
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
