//! Whether this program can work with a database.

use super::connection::Connection;
use crate::store::compatibility;
use crate::store::fault::Fault;
use crate::store::tables::compatibility::READABLE_FROM;

const EXISTS: &str = "\
-- compatibility: exists
select to_regclass(quote_ident($1) || '.compatibility') is not null";

/// Refuses a schema that only newer programs can work with. A table in another schema of the search
/// path is ignored.
pub(super) async fn check(connection: &mut Connection, schema: &str) -> Result<(), Fault> {
    let exists: bool = sqlx::query_scalar(EXISTS)
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(());
    }
    let readable_from: Option<i64> = sqlx::query_scalar(READABLE_FROM)
        .fetch_optional(connection)
        .await?;
    readable_from.map_or(Ok(()), compatibility::check)
}
