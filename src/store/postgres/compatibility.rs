//! Table `compatibility`: which releases can work with this database.

use super::PostgresStore;
use super::connection::Connection;
use super::session::Session;
use crate::store::WriteFormat;
use crate::store::compatibility;
use crate::store::fault::Fault;

const EXISTS: &str = "\
-- compatibility: exists
select to_regclass(quote_ident($1) || '.compatibility') is not null";

const READABLE_FROM: &str = "\
-- compatibility: readable from
select readable_from from compatibility";

const READ_FORMAT: &str = "\
-- compatibility: read format
select write_format from compatibility";

const WRITE_FORMAT: &str = "\
-- compatibility: write format
update compatibility set write_format = $1";

/// Refuses a schema that only newer programs can work with. Another one's, further down the search
/// path, says nothing of it.
pub(super) async fn check(connection: &mut Connection, schema: &str) -> Result<(), Fault> {
    let exists: bool = sqlx::query_scalar(EXISTS)
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(());
    }
    // In the middle of a restore the table is empty.
    let readable_from: Option<i64> = sqlx::query_scalar(READABLE_FROM)
        .fetch_optional(connection)
        .await?;
    readable_from.map_or(Ok(()), compatibility::check)
}

/// Which formats are to be written.
pub(super) async fn format(store: &PostgresStore) -> Result<WriteFormat, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let number = sqlx::query_scalar(READ_FORMAT)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    Ok(compatibility::format(number))
}

/// Says which formats are to be written.
pub(super) async fn set_format(store: &PostgresStore, format: WriteFormat) -> Result<(), Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    sqlx::query(WRITE_FORMAT)
        .bind(compatibility::number(format))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    Ok(())
}
