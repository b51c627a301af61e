//! Table `configuration`: the revisions of the operators' configuration.

use chrono::{DateTime, Utc};

use super::audit;
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::{self, Fault};
use crate::store::{
    ConfigurationRevision, ConfigurationWrite, NewAuditEntry, RevisionMark, Revisions,
    StoredOrigins,
};

const READ_NEWEST: &str = "\
-- configuration: read newest
select revision, document, written_ms, written_by from configuration order by revision desc limit 1";

const INSERT_FIRST: &str = "\
-- configuration: insert first
insert into configuration (revision, document, written_ms)
select 1, $1, $2 where not exists (select 1 from configuration)
on conflict (revision) do nothing";

/// Revisions have no gaps, so the newest is the one without a successor. If two writers both see
/// it, the primary key lets only one through.
const INSERT_NEXT: &str = "\
-- configuration: insert next
insert into configuration (revision, document, written_ms, written_by, origins)
select $1 + 1, $2, $3, $4, nullif($5, '') where exists (select 1 from configuration where revision = $1)
on conflict (revision) do nothing";

const READ_ORIGINS: &str = "\
-- configuration: read origins
select revision, origins from configuration where revision <= $1 and origins is not null
order by revision desc limit 1";

const WRITE_ORIGINS: &str = "\
-- configuration: write origins
update configuration set origins = $3
where revision = $1 and coalesce(origins, '') = $2
    and not exists (select 1 from configuration where revision > $1)";

const READ_ONE: &str = "\
-- configuration: read one
select revision, document, written_ms, written_by from configuration where revision = $1";

const LIST: &str = "\
-- configuration: list
select revision, written_ms, written_by from configuration where revision < $1
order by revision desc limit $2";

/// Only the oldest are deleted, so that there are no gaps.
const DELETE_OLD: &str = "\
-- configuration: delete old
delete from configuration where revision in (
    select revision from (
        select revision,
            row_number() over newest as place,
            sum(octet_length(document) + coalesce(octet_length(origins), 0)) over newest as bytes
        from configuration
        window newest as (order by revision desc)
    ) as sized
    where place > 1 and (place > $1 or bytes > $2)
)";

const COUNT: &str = "\
-- configuration: count
select count(*) as revisions from configuration";

fn mark(row: &impl Row) -> Result<RevisionMark, Fault> {
    let revision = row.integer("revision")?;
    let cell = |column: &str| format!("configuration.{column} of revision {revision}");
    Ok(RevisionMark {
        revision: fault::number(revision, || cell("revision"))?,
        written_at: fault::instant(row.integer("written_ms")?, || cell("written_ms"))?,
        written_by: row.text_or_null("written_by")?.map(str::to_owned),
    })
}

fn revision(row: &impl Row) -> Result<ConfigurationRevision, Fault> {
    let RevisionMark {
        revision,
        written_at,
        written_by,
    } = mark(row)?;
    Ok(ConfigurationRevision {
        revision,
        document: row.text("document")?.to_owned(),
        written_at,
        written_by,
    })
}

/// The newest revision. There must be one: the start writes the first.
async fn newest(transaction: &mut impl Transaction) -> Result<ConfigurationRevision, Fault> {
    let row = transaction.row(READ_NEWEST, &[]).await?;
    row.as_ref().map(revision).transpose()?.ok_or_else(|| {
        let why = "table configuration is empty; if a restore is running, wait for its end, \
                   otherwise restart Weir, which writes the first revision";
        Fault::Unsound(why.to_owned())
    })
}

/// The newest revision.
pub async fn read<B: Backend>(backend: &B) -> Result<ConfigurationRevision, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let found = newest(&mut transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// The newest revision, or the first.
pub async fn create<B: Backend>(
    backend: &B,
    initial: &str,
    now: DateTime<Utc>,
) -> Result<ConfigurationRevision, Fault> {
    let values = [initial.into(), now.timestamp_millis().into()];
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(INSERT_FIRST, &values).await?;
    let found = newest(&mut transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Writes the next revision if `from` is the newest, and what is recorded of it.
pub async fn write<B: Backend>(
    backend: &B,
    from: u64,
    document: &str,
    written_by: &str,
    now: DateTime<Utc>,
    record: Option<&NewAuditEntry>,
    origins: Option<&str>,
) -> Result<ConfigurationWrite, Fault> {
    // No revision is that high, so it is a conflict like any other.
    let from = i64::try_from(from).unwrap_or(i64::MAX - 1);
    let values = [
        from.into(),
        document.into(),
        now.timestamp_millis().into(),
        written_by.into(),
        origins.unwrap_or_default().into(),
    ];
    let mut transaction = backend.begin(Kind::Write).await?;
    let written = transaction.execute(INSERT_NEXT, &values).await?;
    if written == 1 {
        audit::insert(&mut transaction, record).await?;
    }
    let newest = newest(&mut transaction).await?;
    transaction.commit().await?;
    Ok(match written {
        1 => ConfigurationWrite::Written(newest),
        _ => ConfigurationWrite::Conflict(newest),
    })
}

/// Who last wrote each object of a revision.
pub async fn origins<B: Backend>(backend: &B, number: u64) -> Result<StoredOrigins, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.row(READ_ORIGINS, &[number.into()]).await?;
    transaction.commit().await?;
    let Some(row) = row else {
        return Ok(StoredOrigins::default());
    };
    Ok(StoredOrigins {
        document: Some(row.text("origins")?.to_owned()),
        is_own: row.integer("revision")? == number,
    })
}

/// Replaces who wrote the objects of the newest revision.
pub async fn write_origins<B: Backend>(
    backend: &B,
    number: u64,
    held: &StoredOrigins,
    origins: &str,
) -> Result<bool, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let own = held.document.as_deref().filter(|_| held.is_own);
    let values = [
        number.into(),
        own.unwrap_or_default().into(),
        origins.into(),
    ];
    let mut transaction = backend.begin(Kind::Write).await?;
    let written = transaction.execute(WRITE_ORIGINS, &values).await?;
    transaction.commit().await?;
    Ok(written == 1)
}

/// One revision.
pub async fn one<B: Backend>(
    backend: &B,
    number: u64,
) -> Result<Option<ConfigurationRevision>, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.row(READ_ONE, &[number.into()]).await?;
    transaction.commit().await?;
    row.as_ref().map(revision).transpose()
}

/// The newest revisions before one.
pub async fn list<B: Backend>(
    backend: &B,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<RevisionMark>, Fault> {
    let before = before.and_then(|before| i64::try_from(before).ok());
    let values = [before.unwrap_or(i64::MAX).into(), i64::from(limit).into()];
    let mut transaction = backend.begin(Kind::Glance).await?;
    let rows = transaction.rows(LIST, &values).await?;
    transaction.commit().await?;
    rows.iter().map(mark).collect()
}

/// Deletes the oldest revisions beyond the limits; returns how many are left.
pub async fn prune<B: Backend>(backend: &B, kept: Revisions) -> Result<u64, Fault> {
    let bytes = i64::try_from(kept.bytes).unwrap_or(i64::MAX);
    let values = [i64::from(kept.most).into(), bytes.into()];
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE_OLD, &values).await?;
    let left = transaction.only_row(COUNT, &[]).await?;
    transaction.commit().await?;
    Ok(left.integer("revisions")?.unsigned_abs())
}
