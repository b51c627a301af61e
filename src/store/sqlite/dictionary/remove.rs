//! Removes names.

use sqlx::SqliteConnection;

use super::add::COUNT_OPERATIONS;
use super::is_past;
use crate::allocation::{OVERFLOW_NAME, OperationId};
use crate::store::Incarnation;
use crate::store::fault::{self, Fault};
use crate::store::sqlite::SqliteStore;

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

/// Removes operations, and services left with none.
pub async fn remove(
    store: &SqliteStore,
    under: Incarnation,
    operations: &[OperationId],
) -> Result<u64, Fault> {
    let ids: Vec<u32> = operations.iter().map(|operation| operation.0).collect();
    let ids = serde_json::json!(ids).to_string();
    let mut transaction = store.connections.write().await?;
    if !is_past(&mut transaction, under).await? {
        transaction.rollback().await?;
        return Ok(0);
    }
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
