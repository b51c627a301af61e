//! Removes names.

use super::{LOCK, is_past};
use crate::allocation::{OVERFLOW_NAME, OperationId};
use crate::store::Incarnation;
use crate::store::fault::{self, Fault};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::session::Session;

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

/// Removes operations, and services left with none.
pub async fn remove(
    store: &PostgresStore,
    under: Incarnation,
    operations: &[OperationId],
) -> Result<u64, Fault> {
    let ids: Vec<i64> = operations
        .iter()
        .map(|operation| i64::from(operation.0))
        .collect();
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    sqlx::query(LOCK).fetch_one(&mut *transaction).await?;
    if !is_past(&mut transaction, under).await? {
        transaction.rollback().await?;
        session.keep();
        return Ok(0);
    }
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
