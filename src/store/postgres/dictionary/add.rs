//! Adds names.

use sqlx::postgres::PgQueryResult;

use super::LOCK;
use crate::allocation::{OperationName, ServiceName};
use crate::store::fault::{self, Fault};
use crate::store::naming::{self, Additions, Counters, Known, KnownService};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::session::Session;
use crate::store::{DictionaryLimits, Placement};

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

/// Adds names as far as the limits allow.
pub async fn add(
    store: &PostgresStore,
    names: &[(ServiceName, OperationName)],
    limits: DictionaryLimits,
) -> Result<Vec<Placement>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin_brief().await?;
    let counters: CountersRow = sqlx::query_as(LOCK).fetch_one(&mut *transaction).await?;
    let known = find(&mut transaction, names).await?;
    let additions = naming::additions(names, limits, counters.counters()?, &known);
    if !additions.is_empty() {
        write(&mut transaction, &additions).await?;
    }
    transaction.commit().await?;
    session.keep();
    Ok(additions.placements)
}

async fn find(
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

async fn write(connection: &mut Connection, additions: &Additions<'_>) -> Result<(), Fault> {
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
