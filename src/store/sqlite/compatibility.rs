//! Table `compatibility`: which releases can work with this file.

use sqlx::SqliteConnection;

use super::SqliteStore;
use crate::store::WriteFormat;
use crate::store::compatibility;
use crate::store::fault::Fault;

const EXISTS: &str = "\
-- compatibility: exists
select count(*) from sqlite_schema where type = 'table' and name = 'compatibility'";

const READABLE_FROM: &str = "\
-- compatibility: readable from
select readable_from from compatibility";

const READ_FORMAT: &str = "\
-- compatibility: read format
select write_format from compatibility";

const WRITE_FORMAT: &str = "\
-- compatibility: write format
update compatibility set write_format = $1";

/// Refuses a file that only newer programs can work with.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let tables: i64 = sqlx::query_scalar(EXISTS)
        .fetch_one(&mut *connection)
        .await?;
    if tables == 0 {
        return Ok(());
    }
    let readable_from = sqlx::query_scalar(READABLE_FROM)
        .fetch_one(connection)
        .await?;
    compatibility::check(readable_from)
}

/// Which formats are to be written.
pub(super) async fn format(store: &SqliteStore) -> Result<WriteFormat, Fault> {
    let number = sqlx::query_scalar(READ_FORMAT)
        .fetch_one(store.connections.readers())
        .await?;
    Ok(compatibility::format(number))
}

/// Says which formats are to be written.
pub(super) async fn set_format(store: &SqliteStore, format: WriteFormat) -> Result<(), Fault> {
    let mut transaction = store.connections.write().await?;
    sqlx::query(WRITE_FORMAT)
        .bind(compatibility::number(format))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
