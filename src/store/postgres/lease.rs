//! Table `lease`: who may act alone, according to the database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Postgres;
use super::transaction::{Limits, Transaction};
use crate::store::LeaseAnswer;
use crate::store::fault::{self, Fault};

/// The clock is read after waiting for the row, not at the start of the statement. A lease that
/// ends later than anybody could have asked for was taken before the database's clock was set back,
/// so it counts as free.
///
/// One statement, and so one round trip: with a slow network, a lease would otherwise expire before
/// it is renewed. So the settings of a transaction are made within the statement.
const ACQUIRE: &str = "\
-- lease: acquire
with durable as materialized (
    select set_config('synchronous_commit', 'on', true)
    where current_setting('synchronous_commit') = 'off'
), attempt as (
    insert into lease (name, holder, epoch, expires_at)
    values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
    on conflict (name) do update
    set epoch = lease.epoch + (lease.holder is distinct from excluded.holder)::int,
        holder = excluded.holder,
        expires_at = clock_timestamp() + $3 * interval '1 millisecond'
    where lease.holder = excluded.holder or lease.expires_at <= clock_timestamp()
        or lease.expires_at > clock_timestamp() + ($3 + 60000) * interval '1 millisecond'
    returning epoch
)
select (select epoch from attempt) as term, clock_timestamp() as database_time,
    (select count(*) from durable) as made_durable";

pub(super) const RELEASE: &str = "\
-- lease: release
update lease set holder = null, expires_at = clock_timestamp() where name = $1 and holder = $2";

pub(super) const HOLD: &str = "\
-- lease: hold
select 1 from lease where name = $1 and holder = $2 and epoch = $3 for share";

#[derive(sqlx::FromRow)]
struct AnswerRow {
    term: Option<i64>,
    database_time: DateTime<Utc>,
}

/// Takes or renews the lease.
pub(super) async fn acquire(
    postgres: &Postgres,
    name: &str,
    holder: Uuid,
    time_to_live: Duration,
) -> Result<LeaseAnswer, Fault> {
    let milliseconds = i64::try_from(time_to_live.as_millis()).unwrap_or(i64::MAX);
    let mut transaction = Transaction::begin(&postgres.pool, Limits::Glance).await?;
    let row: AnswerRow = sqlx::query_as(ACQUIRE)
        .bind(name)
        .bind(holder)
        .bind(milliseconds)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let cell = || format!("lease.epoch of name {name}");
    Ok(LeaseAnswer {
        term: row.term.map(|term| fault::number(term, cell)).transpose()?,
        database_time: row.database_time,
    })
}
