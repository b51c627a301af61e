//! Table `audit`: who changed what, why, and what came of it.
//!
//! A row is written in the transaction of the change. Nothing but its measured effect is ever filled in, once.

use chrono::{DateTime, Utc};

use super::lease;
use crate::allocation::Timestamp;
use crate::store::backend::{Backend, Kind, Row, Transaction, Value};
use crate::store::fault::{self, Fault};
use crate::store::{
    AUDIT_ENTRIES_MAX, AuditAction, AuditAsked, AuditEntry, Claim, NewAuditEntry, Origin,
};

/// The time is the database's: it is the column's default. An empty text stands for null.
const INSERT: &str = "\
-- audit: insert
insert into audit (by_name, by_kind, by_role, address, origin, action, subject, reason,
    revision_before, revision_after, change, predicted)
values ($1, $2, nullif($3, ''), nullif($4, ''), $5, $6, nullif($7, ''), nullif($8, ''),
    $9, $10, $11, nullif($12, ''))
on conflict (id) do nothing";

const LIST: &str = "\
-- audit: list
select id, at_ms, by_name, by_kind, by_role, address, origin, action, subject, reason,
    revision_before, revision_after, change, predicted, measured
from audit
where id < $1 and at_ms >= $2 and at_ms < $3
    and ($4 = '' or by_name = $4) and ($5 = '' or action = $5) and ($6 = '' or subject = $6)
order by id desc limit $7";

const UNMEASURED: &str = "\
-- audit: unmeasured
select id, at_ms, by_name, by_kind, by_role, address, origin, action, subject, reason,
    revision_before, revision_after, change, predicted, measured
from audit where measured is null and revision_after is not null
order by id limit $1";

const MEASURE: &str = "\
-- audit: measure
update audit set measured = $2 where id = $1 and measured is null";

const DELETE_OLD: &str = "\
-- audit: delete old
delete from audit where at_ms < $1 or id <= (select max(id) from audit) - $2";

fn entry(row: &impl Row) -> Result<AuditEntry, Fault> {
    let id = row.integer("id")?;
    let cell = |column: &str| format!("audit.{column} of id {id}");
    let wrong = |column: &str| Fault::corrupt(cell(column), "it is not known");
    let text = |column| Ok::<_, Fault>(row.text_or_null(column)?.map(str::to_owned));
    let revision = |column: &'static str| {
        let stored = row.integer_or_null(column)?;
        stored
            .map(|stored| fault::number(stored, || cell(column)))
            .transpose()
    };
    let before = revision("revision_before")?;
    Ok(AuditEntry {
        id: fault::number(id, || cell("id"))?,
        at: fault::instant(row.integer("at_ms")?, || cell("at_ms"))?,
        entry: NewAuditEntry {
            by: row.text("by_name")?.to_owned(),
            kind: row.text("by_kind")?.to_owned(),
            role: text("by_role")?,
            address: text("address")?,
            origin: Origin::named(row.text("origin")?).ok_or_else(|| wrong("origin"))?,
            action: AuditAction::named(row.text("action")?).ok_or_else(|| wrong("action"))?,
            subject: text("subject")?,
            reason: text("reason")?,
            revisions: before.zip(revision("revision_after")?),
            change: row.text("change")?.to_owned(),
            predicted: text("predicted")?,
        },
        measured: text("measured")?,
    })
}

/// Writes what is recorded of a change, in the transaction of the change.
pub async fn insert(
    transaction: &mut impl Transaction,
    record: Option<&NewAuditEntry>,
) -> Result<(), Fault> {
    let Some(new) = record else { return Ok(()) };
    let signed = |revision| i64::try_from(revision).unwrap_or(i64::MAX);
    let (before, after) = new.revisions.unzip();
    let values: [Value<'_>; 12] = [
        (*new.by).into(),
        (*new.kind).into(),
        new.role.as_deref().unwrap_or_default().into(),
        new.address.as_deref().unwrap_or_default().into(),
        new.origin.name().into(),
        new.action.name().into(),
        new.subject.as_deref().unwrap_or_default().into(),
        new.reason.as_deref().unwrap_or_default().into(),
        before.map(signed).into(),
        after.map(signed).into(),
        (*new.change).into(),
        new.predicted.as_deref().unwrap_or_default().into(),
    ];
    transaction.execute(INSERT, &values).await.map(drop)
}

/// What was recorded, newest first.
pub async fn list<B: Backend>(backend: &B, asked: &AuditAsked) -> Result<Vec<AuditEntry>, Fault> {
    let before = asked.before.map(i64::try_from);
    let milliseconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    let values: [Value<'_>; 7] = [
        before.and_then(Result::ok).unwrap_or(i64::MAX).into(),
        milliseconds(asked.start).unwrap_or(i64::MIN).into(),
        milliseconds(asked.end).unwrap_or(i64::MAX).into(),
        asked.by.as_deref().unwrap_or_default().into(),
        asked
            .action
            .map(AuditAction::name)
            .unwrap_or_default()
            .into(),
        asked.subject.as_deref().unwrap_or_default().into(),
        i64::from(asked.limit).into(),
    ];
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(LIST, &values).await?;
    transaction.commit().await?;
    rows.iter().map(entry).collect()
}

/// The oldest changes of the configuration whose effect is not known yet.
pub async fn unmeasured<B: Backend>(backend: &B, limit: u32) -> Result<Vec<AuditEntry>, Fault> {
    let mut transaction = backend.begin(Kind::Read).await?;
    let values = [i64::from(limit).into()];
    let rows = transaction.rows(UNMEASURED, &values).await?;
    transaction.commit().await?;
    rows.iter().map(entry).collect()
}

/// Fills in the effect of a change, if the caller still leads and nobody did.
pub async fn measure<B: Backend>(
    backend: &B,
    claim: Claim,
    id: u64,
    measured: &str,
) -> Result<bool, Fault> {
    let values = [fault::signed(id, "the entry's id")?.into(), measured.into()];
    let mut transaction = backend.begin(Kind::Write).await?;
    if !lease::hold::<B>(&mut transaction, claim).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    let filled = transaction.execute(MEASURE, &values).await?;
    transaction.commit().await?;
    Ok(filled > 0)
}

/// Deletes the oldest entries beyond the limits.
pub async fn prune<B: Backend>(backend: &B, before: Timestamp) -> Result<(), Fault> {
    let values = [before.0.into(), AUDIT_ENTRIES_MAX.into()];
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE_OLD, &values).await?;
    transaction.commit().await
}
