//! Checks that the file's tables have the keys that Weir relies on.
//!
//! Keys get lost when somebody loads a file from a dump or repairs one by hand. Without its key,
//! SQLite refuses an upsert, but accepts any other row twice.

use super::Sqlite;
use crate::store::fault::Fault;

/// Tables and the columns of their keys, as the migrations make them.
const KEYS: &[(&str, &str)] = &[
    ("configuration", "revision"),
    ("dictionary", "only_row"),
    ("dictionary_chain", "incarnation"),
    ("edge", "edge"),
    ("final_names", "bucket_start_ms, replica, part"),
    ("fleet", "only_row"),
    ("history", "window_start_ms"),
    ("lease", "name"),
    ("mark", "agent, epoch"),
    ("observation", "bucket_start_ms, replica, kind"),
    ("operation", "operation_id"),
    ("operation", "service_id, name"),
    ("plan", "number"),
    ("plan_body", "number"),
    ("plan_head", "only_row"),
    ("polls", "bucket_start_ms, replica"),
    ("series", "step_ms, start_ms, part"),
    ("series_mark", "only_row"),
    ("series_window", "start_ms, part"),
    ("service", "service_id"),
    ("service", "name"),
    ("token", "id"),
    ("token", "digest"),
];

const READ_KEYS: &str = "\
-- schema: read keys
select m.name as table_name, coalesce((
    select group_concat(name, ', ')
    from (select name from pragma_table_info(m.name) where pk > 0 order by pk)
), '') as columns
from sqlite_schema as m
where m.type = 'table'
union all
select m.name, coalesce((
    select group_concat(name, ', ')
    from (select name from pragma_index_info(l.name) order by seqno)
), '')
from sqlite_schema as m
join pragma_index_list(m.name) as l
where m.type = 'table' and l.\"unique\" and not l.partial";

/// Checks every key.
///
/// # Errors
/// [`Fault::Unsound`], with the first one that is missing.
pub(super) async fn inspect(sqlite: &Sqlite) -> Result<(), Fault> {
    let mut transaction = sqlite.connections.read().await?;
    let found: Vec<(String, String)> = sqlx::query_as(READ_KEYS)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let missing = KEYS.iter().find(|(table, columns)| {
        !found
            .iter()
            .any(|(found, key)| found == table && key == columns)
    });
    match missing {
        None => Ok(()),
        Some((table, columns)) => Err(Fault::Unsound(format!(
            "table {table} is missing or has no primary key or unique index on ({columns}); put a \
             whole copy of the file back (docs/operations.md, WeirDatabaseUnsound)"
        ))),
    }
}
