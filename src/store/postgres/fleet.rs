//! Table `fleet`: the settings that all replicas share.

use super::PostgresStore;
use super::connection::Connection;
use super::session::Session;
use crate::store::FleetSettings;
use crate::store::fault::Fault;
use crate::store::model::FleetRow;

const READ: &str = "\
-- fleet: read
select interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations
from fleet";

const INSERT_FIRST: &str = "\
-- fleet: insert first
insert into fleet (
    only_row, interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations
) values (true, $1, $2, $3, $4, $5, $6, $7, $8)
on conflict (only_row) do nothing";

const WRITE: &str = "\
-- fleet: write
insert into fleet (
    only_row, interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations
) values (true, $1, $2, $3, $4, $5, $6, $7, $8)
on conflict (only_row) do update set
    interval_ms = excluded.interval_ms,
    report_age_max_ms = excluded.report_age_max_ms,
    grace_ms = excluded.grace_ms,
    history_ms = excluded.history_ms,
    retire_after_ms = excluded.retire_after_ms,
    max_services = excluded.max_services,
    max_operations_per_service = excluded.max_operations_per_service,
    max_operations = excluded.max_operations";

async fn stored(connection: &mut Connection) -> Result<Option<FleetSettings>, Fault> {
    let row: Option<FleetRow> = sqlx::query_as(READ).fetch_optional(connection).await?;
    row.map(FleetSettings::of_row).transpose()
}

/// The shared settings, if there are any.
pub(super) async fn read(store: &PostgresStore) -> Result<Option<FleetSettings>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let found = stored(session.connection()).await?;
    session.keep();
    Ok(found)
}

/// Writes the shared settings and returns those that are stored then.
pub(super) async fn write(
    store: &PostgresStore,
    settings: FleetSettings,
    replace: bool,
) -> Result<FleetSettings, Fault> {
    let (interval, age, grace, history, retire, services, of_service, operations) = settings.row();
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin_brief().await?;
    sqlx::query(if replace { WRITE } else { INSERT_FIRST })
        .bind(interval)
        .bind(age)
        .bind(grace)
        .bind(history)
        .bind(retire)
        .bind(services)
        .bind(of_service)
        .bind(operations)
        .execute(&mut *transaction)
        .await?;
    let found = stored(&mut transaction).await?;
    transaction.commit().await?;
    session.keep();
    found.ok_or(Fault::Driver(sqlx::Error::RowNotFound))
}
