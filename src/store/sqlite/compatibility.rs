//! Whether this program can work with a file.

use sqlx::SqliteConnection;

use crate::store::compatibility;
use crate::store::fault::Fault;
use crate::store::tables::compatibility::READABLE_FROM;

const EXISTS: &str = "\
-- compatibility: exists
select count(*) from sqlite_schema where type = 'table' and name = 'compatibility'";

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
