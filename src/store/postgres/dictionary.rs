//! Adds and removes names in batches.

use sqlx::postgres::PgQueryResult;

use super::connection::Connection;
use crate::allocation::{OVERFLOW_NAME, OperationId, OperationName, ServiceName};
use crate::store::fault::Fault;
use crate::store::naming::{Additions, Known};
use crate::store::tables::dictionary;

pub(super) const LOCK: &str = "\
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

/// Names the key, as every insert does, so a missing key is an error. Otherwise names could be
/// added a second time while a restore is loading the table.
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

/// Finds what is there already of names.
pub(super) async fn find(
    connection: &mut Connection,
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
    for row in rows {
        dictionary::note_service(&mut known, row)?;
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
    for row in rows {
        dictionary::note_operation(&mut known, row)?;
    }
    Ok(known)
}

/// Checks that every assigned number was new.
fn check_new(counter: &str, rows: usize, inserted: &PgQueryResult) -> Result<(), Fault> {
    if inserted.rows_affected() == rows as u64 {
        return Ok(());
    }
    let cell = format!("dictionary.{counter}");
    Err(Fault::corrupt(cell, "a number that it gives is taken"))
}

/// Writes new names.
pub(super) async fn write(
    connection: &mut Connection,
    additions: &Additions<'_>,
) -> Result<(), Fault> {
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
    check_new("next_service_id", additions.services.len(), &inserted)?;
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
    check_new("next_operation_id", additions.operations.len(), &inserted)?;
    let (ids, counts): (Vec<i64>, Vec<i64>) = additions
        .service_operations
        .iter()
        .map(|(id, operations)| (wide(*id), wide(*operations)))
        .unzip();
    sqlx::query(COUNT_OPERATIONS)
        .bind(ids)
        .bind(counts)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes names, and services left with none. Returns how many services and operations went.
pub(super) async fn delete(
    connection: &mut Connection,
    operations: &[OperationId],
) -> Result<(u64, u64), Fault> {
    let ids: Vec<i64> = operations.iter().map(|it| i64::from(it.0)).collect();
    let shrunk: Vec<(i64, i64, i64)> = sqlx::query_as(DELETE_OPERATIONS)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *connection)
        .await?;
    let mut empty: Vec<i64> = sqlx::query_scalar(FIND_EMPTY)
        .bind(&ids)
        .bind(OVERFLOW_NAME)
        .fetch_all(&mut *connection)
        .await?;
    let emptied = shrunk.iter().filter(|(_, left, _)| *left == 0);
    empty.extend(emptied.map(|(service, _, _)| service));
    empty.sort_unstable();
    empty.dedup();
    for statement in [DELETE_OVERFLOW, DELETE_SERVICES] {
        sqlx::query(statement)
            .bind(&empty)
            .execute(&mut *connection)
            .await?;
    }
    let gone: i64 = shrunk.iter().map(|(_, _, gone)| gone).sum();
    Ok((empty.len() as u64, gone.unsigned_abs()))
}
