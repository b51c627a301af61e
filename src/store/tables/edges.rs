//! Table `edge`: the edges that ask for the plan, or did lately.

use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::{self, Fault};
use crate::store::{EdgeBeat, StoredEdge};

/// The time is the database's: it is the column's default.
const NOTE: &str = "\
-- edge: note
insert into edge (edge, version, plan) values ($1, $2, $3)
on conflict (edge) do update
set version = excluded.version, plan = excluded.plan, seen_ms = excluded.seen_ms";

/// The newest beat of a replica or an edge stands for the present: this needs no clock.
const LIST: &str = "\
-- edge: list
select edge, version, plan, seen_ms
from edge
where seen_ms >= coalesce((select max(seen_ms) from replica), 0) - 3600000
order by edge limit 10000";

const DELETE_OLD: &str = "\
-- edge: delete old
delete from edge where seen_ms < coalesce((select max(seen_ms) from replica), 0) - 3600000";

fn edge(row: &impl Row) -> Result<StoredEdge, Fault> {
    let name = row.text("edge")?;
    let cell = |column: &str| format!("edge.{column} of edge {name:?}");
    Ok(StoredEdge {
        beat: EdgeBeat {
            edge: name.to_owned(),
            version: row.text("version")?.to_owned(),
            plan: fault::number(row.integer("plan")?, || cell("plan"))?,
        },
        seen_at: fault::instant(row.integer("seen_ms")?, || cell("seen_ms"))?,
    })
}

/// Says that edges ask, in the order of their names, so that two replicas do not wait for each other.
pub async fn note<B: Backend>(backend: &B, beats: &[EdgeBeat]) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    for beat in beats {
        let values = [
            (*beat.edge).into(),
            (*beat.version).into(),
            fault::signed(beat.plan, "the plan's number")?.into(),
        ];
        transaction.execute(NOTE, &values).await?;
    }
    transaction.commit().await
}

/// The edges that asked within the last hour.
pub async fn list<B: Backend>(backend: &B) -> Result<Vec<StoredEdge>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let rows = transaction.rows(LIST, &[]).await?;
    transaction.commit().await?;
    rows.iter().map(edge).collect()
}

/// Deletes those that did not ask for an hour.
pub async fn prune<B: Backend>(backend: &B) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE_OLD, &[]).await?;
    transaction.commit().await
}
