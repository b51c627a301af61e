//! Adds names.

use sqlx::SqliteConnection;

use crate::allocation::{OperationName, ServiceName};
use crate::store::fault::{self, Fault};
use crate::store::naming::{self, Additions, Counters, Known, KnownService};
use crate::store::sqlite::SqliteStore;
use crate::store::{DictionaryLimits, Placement};

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

pub(super) const COUNT_OPERATIONS: &str = "\
-- dictionary: count operations
update service
set operations = counted.value ->> 1
from json_each($1) as counted
where service.service_id = counted.value ->> 0";

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
    store: &SqliteStore,
    names: &[(ServiceName, OperationName)],
    limits: DictionaryLimits,
) -> Result<Vec<Placement>, Fault> {
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
    Ok(additions.placements)
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
