//! Table `replica`: the replicas that run, or ran until lately.

use uuid::Uuid;

use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::{self, Fault};
use crate::store::{ReplicaBeat, StoredReplica};

/// The time is the database's: it is the column's default.
const NOTE: &str = "\
-- replica: note
insert into replica (replica, host, version, started_ms, plan) values ($1, $2, $3, $4, $5)
on conflict (replica) do update set seen_ms = excluded.seen_ms, plan = excluded.plan";

const REMOVE: &str = "\
-- replica: remove
delete from replica where replica = $1";

/// The newest beat stands for the present: this needs no clock.
const LIST: &str = "\
-- replica: list
select replica, host, version, started_ms, seen_ms, plan,
    (select count(*) from lease where lease.name = $1 and lease.holder = replica.replica) as leads
from replica
where seen_ms >= (select max(seen_ms) from replica) - 3600000
order by started_ms, replica limit 1000";

const DELETE_OLD: &str = "\
-- replica: delete old
delete from replica where seen_ms < (select max(seen_ms) from replica) - 3600000";

fn replica(row: &impl Row) -> Result<StoredReplica, Fault> {
    let id = row.id("replica")?;
    let cell = |column: &str| format!("replica.{column} of replica {id}");
    Ok(StoredReplica {
        beat: ReplicaBeat {
            replica: id,
            host: row.text("host")?.to_owned(),
            version: row.text("version")?.to_owned(),
            started_at: fault::instant(row.integer("started_ms")?, || cell("started_ms"))?,
            plan: fault::number(row.integer("plan")?, || cell("plan"))?,
        },
        seen_at: fault::instant(row.integer("seen_ms")?, || cell("seen_ms"))?,
        leads: row.integer("leads")? > 0,
    })
}

/// Says that a replica is there.
pub async fn note<B: Backend>(backend: &B, beat: &ReplicaBeat) -> Result<(), Fault> {
    let values = [
        beat.replica.into(),
        (*beat.host).into(),
        (*beat.version).into(),
        beat.started_at.timestamp_millis().into(),
        fault::signed(beat.plan, "the plan's number")?.into(),
    ];
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(NOTE, &values).await?;
    transaction.commit().await
}

/// Says that a replica is there no longer.
pub async fn remove<B: Backend>(backend: &B, replica: Uuid) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(REMOVE, &[replica.into()]).await?;
    transaction.commit().await
}

/// The replicas that were there within the last hour.
pub async fn list<B: Backend>(backend: &B, lease: &str) -> Result<Vec<StoredReplica>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let rows = transaction.rows(LIST, &[lease.into()]).await?;
    transaction.commit().await?;
    rows.iter().map(replica).collect()
}

/// Deletes those that were not there for an hour.
pub async fn prune<B: Backend>(backend: &B) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE_OLD, &[]).await?;
    transaction.commit().await
}
