//! Table `configuration`: every revision of what the operators ask for.

use chrono::{DateTime, Utc};
use sqlx::SqliteExecutor;

use super::SqliteStore;
use crate::store::fault::{self, Fault};
use crate::store::{ConfigurationRevision, ConfigurationWrite, RevisionMark, Revisions};

const READ_NEWEST: &str = "\
-- configuration: read newest
select revision, document, written_ms from configuration order by revision desc limit 1";

const INSERT_FIRST: &str = "\
-- configuration: insert first
insert into configuration (revision, document, written_ms)
select 1, $1, $2 where not exists (select 1 from configuration)
on conflict (revision) do nothing";

/// Revisions have no gaps, so the newest is the one whose successor is missing.
const INSERT_NEXT: &str = "\
-- configuration: insert next
insert into configuration (revision, document, written_ms)
select $1 + 1, $2, $3 where exists (select 1 from configuration where revision = $1)
on conflict (revision) do nothing";

const READ_ONE: &str = "\
-- configuration: read one
select revision, document, written_ms from configuration where revision = $1";

const LIST: &str = "\
-- configuration: list
select revision, written_ms from configuration where revision < $1
order by revision desc limit $2";

/// Only the oldest go, so that there are no gaps between the others.
const DELETE_OLD: &str = "\
-- configuration: delete old
delete from configuration where revision in (
    select revision from (
        select revision,
            row_number() over newest as place,
            sum(octet_length(document)) over newest as bytes
        from configuration
        window newest as (order by revision desc)
    )
    where place > 1 and (place > $1 or bytes > $2)
)";

const COUNT: &str = "\
-- configuration: count
select count(*) from configuration";

#[derive(sqlx::FromRow)]
struct Row {
    revision: i64,
    document: String,
    written_ms: i64,
}

impl Row {
    fn revision(self) -> Result<ConfigurationRevision, Fault> {
        let revision = self.revision;
        let cell = |column: &str| format!("configuration.{column} of revision {revision}");
        Ok(ConfigurationRevision {
            revision: fault::number(revision, || cell("revision"))?,
            document: self.document,
            written_at: DateTime::from_timestamp_millis(self.written_ms)
                .ok_or_else(|| Fault::corrupt(cell("written_ms"), "it is out of range"))?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct MarkRow {
    revision: i64,
    written_ms: i64,
}

impl MarkRow {
    fn mark(self) -> Result<RevisionMark, Fault> {
        let revision = self.revision;
        let cell = |column: &str| format!("configuration.{column} of revision {revision}");
        Ok(RevisionMark {
            revision: fault::number(revision, || cell("revision"))?,
            written_at: DateTime::from_timestamp_millis(self.written_ms)
                .ok_or_else(|| Fault::corrupt(cell("written_ms"), "it is out of range"))?,
        })
    }
}

async fn newest(reader: impl SqliteExecutor<'_>) -> Result<Option<ConfigurationRevision>, Fault> {
    let row: Option<Row> = sqlx::query_as(READ_NEWEST).fetch_optional(reader).await?;
    row.map(Row::revision).transpose()
}

/// The newest revision.
pub(super) async fn read(store: &SqliteStore) -> Result<ConfigurationRevision, Fault> {
    fault::configured(newest(store.connections.readers()).await?)
}

/// The newest revision, or the first.
pub(super) async fn create(
    store: &SqliteStore,
    initial: &str,
    now: DateTime<Utc>,
) -> Result<ConfigurationRevision, Fault> {
    let mut transaction = store.connections.write().await?;
    sqlx::query(INSERT_FIRST)
        .bind(initial)
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
    let found = newest(&mut *transaction).await?;
    transaction.commit().await?;
    fault::configured(found)
}

/// Writes the next revision if `from` is the newest.
pub(super) async fn write(
    store: &SqliteStore,
    from: u64,
    document: &str,
    now: DateTime<Utc>,
) -> Result<ConfigurationWrite, Fault> {
    let mut transaction = store.connections.write().await?;
    // No revision is that high: a conflict like any other.
    let from = i64::try_from(from).unwrap_or(i64::MAX - 1);
    let written = sqlx::query(INSERT_NEXT)
        .bind(from)
        .bind(document)
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
    let answer = if written.rows_affected() == 1 {
        let row = Row {
            revision: from + 1,
            document: document.to_owned(),
            written_ms: now.timestamp_millis(),
        };
        ConfigurationWrite::Written(row.revision()?)
    } else {
        ConfigurationWrite::Conflict(fault::configured(newest(&mut *transaction).await?)?)
    };
    transaction.commit().await?;
    Ok(answer)
}

/// One revision.
pub(super) async fn revision(
    store: &SqliteStore,
    revision: u64,
) -> Result<Option<ConfigurationRevision>, Fault> {
    let row: Option<Row> = sqlx::query_as(READ_ONE)
        .bind(i64::try_from(revision).unwrap_or(i64::MAX))
        .fetch_optional(store.connections.readers())
        .await?;
    row.map(Row::revision).transpose()
}

/// The newest revisions before one.
pub(super) async fn list(
    store: &SqliteStore,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<RevisionMark>, Fault> {
    let before = before.and_then(|before| i64::try_from(before).ok());
    let rows: Vec<MarkRow> = sqlx::query_as(LIST)
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(store.connections.readers())
        .await?;
    rows.into_iter().map(MarkRow::mark).collect()
}

/// Deletes the oldest revisions beyond what is kept; returns how many are left.
pub(super) async fn prune(store: &SqliteStore, kept: Revisions) -> Result<u64, Fault> {
    let mut transaction = store.connections.write().await?;
    sqlx::query(DELETE_OLD)
        .bind(i64::from(kept.most))
        .bind(i64::try_from(kept.bytes).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    let left: i64 = sqlx::query_scalar(COUNT)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(left.unsigned_abs())
}
