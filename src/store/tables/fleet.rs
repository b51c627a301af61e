//! Table `fleet`: the settings that all replicas share.

use std::time::Duration;

use crate::store::backend::{Backend, Kind, Row, Transaction, Value};
use crate::store::fault::Fault;
use crate::store::{DictionaryLimits, FleetSettings, StepsKept};

const READ: &str = "\
-- fleet: read
select interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations, history_10m_ms, history_1h_ms, history_1d_ms
from fleet";

const INSERT_FIRST: &str = "\
-- fleet: insert first
insert into fleet (
    only_row, interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations, history_10m_ms, history_1h_ms, history_1d_ms
) values (true, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (only_row) do nothing";

const WRITE: &str = "\
-- fleet: write
insert into fleet (
    only_row, interval_ms, report_age_max_ms, grace_ms, history_ms, retire_after_ms, max_services,
    max_operations_per_service, max_operations, history_10m_ms, history_1h_ms, history_1d_ms
) values (true, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (only_row) do update set
    interval_ms = excluded.interval_ms,
    report_age_max_ms = excluded.report_age_max_ms,
    grace_ms = excluded.grace_ms,
    history_ms = excluded.history_ms,
    retire_after_ms = excluded.retire_after_ms,
    max_services = excluded.max_services,
    max_operations_per_service = excluded.max_operations_per_service,
    max_operations = excluded.max_operations,
    history_10m_ms = excluded.history_10m_ms,
    history_1h_ms = excluded.history_1h_ms,
    history_1d_ms = excluded.history_1d_ms";

fn settings(row: &impl Row) -> Result<FleetSettings, Fault> {
    let grace = row.integer_or_null("grace_ms")?;
    let grace = grace.map(|grace| match u64::try_from(grace) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => Err(Fault::corrupt("fleet.grace_ms", "it is below 0")),
    });
    Ok(FleetSettings {
        interval: duration(row, "interval_ms")?,
        report_age_max: duration(row, "report_age_max_ms")?,
        grace: grace.transpose()?,
        history: duration(row, "history_ms")?,
        steps: StepsKept {
            ten_minutes: duration(row, "history_10m_ms")?,
            hours: duration(row, "history_1h_ms")?,
            days: duration(row, "history_1d_ms")?,
        },
        retire_after: duration(row, "retire_after_ms")?,
        names: DictionaryLimits {
            services: count(row, "max_services")?,
            operations_per_service: count(row, "max_operations_per_service")?,
            operations: count(row, "max_operations")?,
        },
    })
}

fn duration(row: &impl Row, column: &'static str) -> Result<Duration, Fault> {
    match u64::try_from(row.integer(column)?) {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(Fault::corrupt(
            format!("fleet.{column}"),
            "it is not above 0",
        )),
    }
}

fn count(row: &impl Row, column: &'static str) -> Result<u32, Fault> {
    match u32::try_from(row.integer(column)?) {
        Ok(count) if count > 0 => Ok(count),
        _ => {
            let why = "it is not between 1 and 4294967295";
            Err(Fault::corrupt(format!("fleet.{column}"), why))
        }
    }
}

/// The values of a row, in the order of the columns.
fn values(settings: FleetSettings) -> [Value<'static>; 11] {
    let milliseconds = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
    let names = settings.names;
    [
        milliseconds(settings.interval).into(),
        milliseconds(settings.report_age_max).into(),
        settings.grace.map(milliseconds).into(),
        milliseconds(settings.history).into(),
        milliseconds(settings.retire_after).into(),
        i64::from(names.services).into(),
        i64::from(names.operations_per_service).into(),
        i64::from(names.operations).into(),
        milliseconds(settings.steps.ten_minutes).into(),
        milliseconds(settings.steps.hours).into(),
        milliseconds(settings.steps.days).into(),
    ]
}

async fn stored(transaction: &mut impl Transaction) -> Result<Option<FleetSettings>, Fault> {
    let row = transaction.row(READ, &[]).await?;
    row.as_ref().map(settings).transpose()
}

/// The shared settings, if there are any.
pub async fn read<B: Backend>(backend: &B) -> Result<Option<FleetSettings>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let found = stored(&mut transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Writes the shared settings, and returns those that are stored afterwards.
pub async fn write<B: Backend>(
    backend: &B,
    settings: FleetSettings,
    replace: bool,
) -> Result<FleetSettings, Fault> {
    let statement = if replace { WRITE } else { INSERT_FIRST };
    let mut transaction = backend.begin(Kind::Brief).await?;
    transaction.execute(statement, &values(settings)).await?;
    let found = stored(&mut transaction).await?;
    transaction.commit().await?;
    found.ok_or_else(Fault::no_row)
}
