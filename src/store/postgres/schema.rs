//! Checks that the database is as Weir needs it: its tables, their keys, and the role's rights.
//!
//! A restore creates tables first and keys last; an interrupted one never creates the keys. Without
//! its key a table accepts rows twice, so nothing is written then. Begin with [`inspect`]. It only
//! queries the catalog, and takes milliseconds.

pub(super) mod expected;
mod server;

use super::connection::Connection;
use super::partitions;
use super::pool::Pool;
use super::transaction::{Limits, Transaction};
use crate::store::fault::Fault;
use expected::{TABLES, TRIGGERS, Table};

pub(super) use server::schema;

/// How many faults are listed. If a whole schema is missing, the first ones say enough.
const NAMED: usize = 4;

/// The rights that the role needs on each table.
const READ_TABLES: &str = "\
-- schema: read tables
select c.relname::text as name,
    c.relpersistence = 'p' as permanent,
    row_security_active(c.oid) as filtered,
    (
        select a.attname::text
        from pg_partitioned_table as p
        join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
        where p.partrelid = c.oid and p.partstrat = 'r' and p.partnatts = 1
    ) as partitioned_by,
    array(
        select a.attname || ' ' || t.typname
        from pg_attribute as a
        join pg_type as t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as columns,
    array(
        select (case when i.indisunique and i.indimmediate then 'unique ' else 'index ' end)
            || string_agg(a.attname, ', ' order by k.place)
        from pg_index as i
        cross join unnest(i.indkey::int2[]) with ordinality as k (number, place)
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.number
        where i.indrelid = c.oid and i.indisvalid and i.indisready and i.indpred is null
            and i.indexprs is null
        group by i.indexrelid, i.indisunique, i.indimmediate
    ) as indexes,
    array(
        select t.tgname::text
        from pg_trigger as t
        where t.tgrelid = c.oid and not t.tgisinternal
            and t.tgenabled::text in ('A', case current_setting('session_replication_role')
                when 'replica' then 'R' else 'O' end)
    ) as triggers,
    array(
        select wanted.right_name
        from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as wanted (right_name)
        where not has_table_privilege(c.oid, wanted.right_name)
    ) as missing_rights
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p')";

/// Partitions that were created but not attached, that a crash would empty, or that the function
/// for dropping partitions may not drop.
const READ_PARTITIONS: &str = "\
-- schema: read partitions
select c.relname::text as name,
    i.inhrelid is not null as attached,
    c.relpersistence = 'p' as permanent,
    pg_get_userbyid(c.relowner)::text as owner
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_inherits as i on i.inhrelid = c.oid
left join pg_proc as f on f.proname = 'weir_drop_partition' and f.pronamespace = n.oid
where n.nspname = $1 and c.relkind = 'r' and c.relname ~ $2
    and (i.inhrelid is null or c.relpersistence <> 'p'
        or not pg_has_role(f.proowner, c.relowner, 'usage'))
order by c.relname";

/// The functions that create and drop partitions: whether they run as the owner of the tables,
/// whether that role may create tables here, and whether our role may call them.
const READ_FUNCTIONS: &str = "\
-- schema: read functions
select f.proname::text as name,
    pg_get_userbyid(f.proowner)::text as owner,
    f.prosecdef and has_schema_privilege(f.proowner, n.oid, 'create') and not exists (
        select from pg_class as c
        where c.relnamespace = n.oid and c.relname = any($2)
            and not pg_has_role(f.proowner, c.relowner, 'usage')
    ) as able,
    has_function_privilege(f.oid, 'execute') as callable
from pg_proc as f
join pg_namespace as n on n.oid = f.pronamespace
where n.nspname = $1 and f.proname = any($3)";

const READ_ROWS: &str = "\
-- schema: read rows
select 'dictionary' as name, count(*) as rows from dictionary
union all select 'plan_head', count(*) from plan_head";

#[derive(sqlx::FromRow)]
struct TableRow {
    name: String,
    permanent: bool,
    filtered: bool,
    partitioned_by: Option<String>,
    columns: Vec<String>,
    indexes: Vec<String>,
    triggers: Vec<String>,
    missing_rights: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct PartitionRow {
    name: String,
    attached: bool,
    permanent: bool,
    owner: String,
}

#[derive(sqlx::FromRow)]
struct FunctionRow {
    name: String,
    owner: String,
    able: bool,
    callable: bool,
}

/// What is wrong, by what repairs it.
#[derive(Default)]
struct Defects {
    /// A restore, or waiting for its end.
    structure: Vec<String>,
    /// A grant.
    rights: Vec<String>,
}

/// Checks everything that Weir relies on in its schema.
///
/// # Errors
/// [`Fault::Unsound`], with what is missing and how to repair it.
pub(super) async fn inspect(pool: &Pool, schema: &str) -> Result<(), Fault> {
    let mut transaction = Transaction::begin(pool, Limits::Snapshot).await?;
    let faults = look(&mut transaction, schema).await?;
    transaction.commit().await?;
    faults.told(schema)
}

async fn look(connection: &mut Connection, schema: &str) -> Result<Defects, Fault> {
    let mut faults = Defects::default();
    let now: Option<String> = sqlx::query_scalar("select current_schema()::text")
        .fetch_one(&mut *connection)
        .await?;
    if now.as_deref() != Some(schema) {
        let now = now.as_deref().unwrap_or("none");
        let fault = format!("the search_path now leads to schema {now}, not to {schema}");
        faults.structure.push(fault);
        return Ok(faults);
    }
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let rows: Vec<TableRow> = sqlx::query_as(READ_TABLES)
        .bind(schema)
        .bind(names)
        .fetch_all(&mut *connection)
        .await?;
    for table in TABLES {
        match rows.iter().find(|row| row.name == table.name) {
            Some(row) => faults.compare(table, row),
            None => faults
                .structure
                .push(format!("table {} is missing", table.name)),
        }
    }
    look_at_partitions(connection, schema, &mut faults).await?;
    if faults.structure.is_empty() && faults.rights.is_empty() {
        look_at_rows(connection, &mut faults).await?;
    }
    Ok(faults)
}

async fn look_at_partitions(
    connection: &mut Connection,
    schema: &str,
    faults: &mut Defects,
) -> Result<(), Fault> {
    let parents: Vec<&str> = TABLES
        .iter()
        .filter(|table| table.partitioned_by.is_some())
        .map(|table| table.name)
        .collect();
    let functions: Vec<FunctionRow> = sqlx::query_as(READ_FUNCTIONS)
        .bind(schema)
        .bind(&parents)
        .bind(partitions::FUNCTIONS.as_slice())
        .fetch_all(&mut *connection)
        .await?;
    for wanted in partitions::FUNCTIONS {
        match functions.iter().find(|row| row.name == wanted) {
            None => faults
                .structure
                .push(format!("function {wanted} is missing")),
            Some(row) if !row.able => faults.rights.push(format!(
                "role {}, which owns function {wanted}, does not own the tables, or may not create \
                 tables in the schema",
                row.owner
            )),
            Some(row) if !row.callable => faults
                .rights
                .push(format!("the role may not execute function {wanted}")),
            Some(_) => {}
        }
    }
    let partitions: Vec<PartitionRow> = sqlx::query_as(READ_PARTITIONS)
        .bind(schema)
        .bind(format!("^({})_p-?[0-9]+$", parents.join("|")))
        .fetch_all(connection)
        .await?;
    for PartitionRow {
        name,
        attached,
        permanent,
        owner,
    } in partitions
    {
        if !attached {
            let fault = format!("table {name} is not attached as a partition");
            faults.structure.push(fault);
        } else if !permanent {
            faults.structure.push(format!("table {name} is unlogged"));
        } else {
            let fault = format!("partition {name} belongs to role {owner}, not to the table's");
            faults.rights.push(fault);
        }
    }
    Ok(())
}

async fn look_at_rows(connection: &mut Connection, faults: &mut Defects) -> Result<(), Fault> {
    let counts: Vec<(String, i64)> = sqlx::query_as(READ_ROWS).fetch_all(connection).await?;
    for (name, rows) in counts {
        if rows != 1 {
            let fault = format!("table {name} has {rows} rows, not one");
            faults.structure.push(fault);
        }
    }
    Ok(())
}

impl Defects {
    fn compare(&mut self, table: &Table, row: &TableRow) {
        let name = table.name;
        let mut missing = |what: String| self.structure.push(what);
        if table.partitioned_by != row.partitioned_by.as_deref() {
            let by = table.partitioned_by.unwrap_or("nothing");
            missing(format!("table {name} is not partitioned by {by}"));
        }
        if !row.permanent {
            missing(format!("table {name} is unlogged or temporary"));
        }
        for column in table.columns {
            if !row.columns.iter().any(|found| found == column) {
                missing(format!("table {name} has no column {column}"));
            }
        }
        for index in table.indexes {
            // A unique index also serves as an ordinary one.
            let unique = index.replace("index ", "unique ");
            if !row
                .indexes
                .iter()
                .any(|found| found == index || *found == unique)
            {
                missing(format!("table {name} has no valid {}", described(index)));
            }
        }
        for (_, trigger) in TRIGGERS.iter().filter(|(of, _)| *of == name) {
            if !row.triggers.iter().any(|found| found == trigger) {
                missing(format!(
                    "trigger {trigger} on table {name} is missing or disabled"
                ));
            }
        }
        if !row.missing_rights.is_empty() {
            let rights = row.missing_rights.join(", ");
            self.rights
                .push(format!("the role lacks {rights} on table {name}"));
        }
        if row.filtered {
            let fault = format!("row-level security hides rows of table {name} from the role");
            self.rights.push(fault);
        }
    }

    /// All of this in one sentence.
    fn told(self, schema: &str) -> Result<(), Fault> {
        let (faults, way_out) = if !self.structure.is_empty() {
            (
                self.structure,
                "wait for a restore that is running, repeat one that was cut short \
                 (docs/postgresql.md, Backup and restore)",
            )
        } else if !self.rights.is_empty() {
            (
                self.rights,
                "grant the rights that are missing (docs/postgresql.md, Rights)",
            )
        } else {
            return Ok(());
        };
        let named = faults.iter().take(NAMED).cloned().collect::<Vec<_>>();
        let more = match faults.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Fault::Unsound(format!(
            "in schema {schema}, {}{more}; {way_out}",
            named.join(", ")
        )))
    }
}

/// An index in words.
fn described(index: &str) -> String {
    match index.split_once(' ') {
        Some(("unique", columns)) => format!("primary key or unique index on ({columns})"),
        Some((_, columns)) => format!("index on ({columns})"),
        None => index.to_owned(),
    }
}
