//! Table `lease`: who may act alone, according to the machine's clock. All processes that open the
//! file share that clock.

use std::time::Duration;

use chrono::SubsecRound;
use uuid::Uuid;

use super::Sqlite;
use super::transaction::cell;
use crate::store::LeaseAnswer;
use crate::store::fault::{self, Fault};

/// A lease that ends later than anybody could have asked for was taken before the clock was set
/// back, so it counts as free.
const ACQUIRE: &str = "\
-- lease: acquire
insert into lease (name, holder, epoch, expires_ms) values ($1, $2, 1, $3 + $4)
on conflict (name) do update
set epoch = lease.epoch + (lease.holder is not excluded.holder),
    holder = excluded.holder,
    expires_ms = excluded.expires_ms
where lease.holder = excluded.holder or lease.expires_ms <= $3
    or lease.expires_ms > $3 + $4 + 60000
returning epoch";

pub(super) const RELEASE: &str = "\
-- lease: release
update lease set holder = null, expires_ms = 0 where name = $1 and holder = $2";

pub(super) const HOLD: &str = "\
-- lease: hold
select 1 from lease where name = $1 and holder = $2 and epoch = $3";

/// Takes or renews the lease.
pub(super) async fn acquire(
    sqlite: &Sqlite,
    name: &str,
    holder: Uuid,
    time_to_live: Duration,
) -> Result<LeaseAnswer, Fault> {
    // So long that it never ends, but far from an overflow.
    let milliseconds = i64::try_from(time_to_live.as_millis())
        .unwrap_or(i64::MAX)
        .min(1 << 50);
    let mut transaction = sqlite.connections.write().await?;
    // Read when nobody else can write: a time read before waiting for that would be old.
    let now = sqlite.clock.now().trunc_subsecs(3);
    let term: Option<i64> = sqlx::query_scalar(ACQUIRE)
        .bind(name)
        .bind(cell(holder))
        .bind(now.timestamp_millis())
        .bind(milliseconds)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let cell = || format!("lease.epoch of name {name}");
    Ok(LeaseAnswer {
        term: term.map(|term| fault::number(term, cell)).transpose()?,
        database_time: now,
    })
}
