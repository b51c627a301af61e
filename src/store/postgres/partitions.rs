//! Partitions by time: created when a row needs them, dropped whole when they are old.
//!
//! A partition is named after its table and the number of its period since the Unix epoch, so its
//! range follows from its name. It is looked up among the children of its table, never by name
//! alone: another schema of the database may have another Weir. Two functions in the database
//! create and drop partitions as the owner of the tables, whoever calls them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sqlx::AssertSqlSafe;

use super::pool::Pool;
use super::transaction::{Limits, Transaction};
use crate::store::fault::{self, Fault};

const HOUR_MILLISECONDS: i64 = 3_600_000;
const DAY_MILLISECONDS: i64 = 24 * HOUR_MILLISECONDS;

/// The functions that create and drop partitions as the owner of the tables (migration 3).
pub(super) const FUNCTIONS: [&str; 2] = ["weir_create_partition", "weir_drop_partition"];

/// How long a drop may wait for readers. Everybody else queues behind it, so the time is short; the
/// next maintenance tries again.
const DROP_PATIENCE: &str = "500ms";

/// SQLSTATE «lock not available».
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// SQLSTATE «check violation»: the error for a row without a partition.
const CHECK_VIOLATION: &str = "23514";

/// A table in partitions of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Partitioned {
    /// The parent table.
    pub table: &'static str,
    /// The width of a partition, in milliseconds.
    width: i64,
}

/// Large, stored for hours.
pub(super) const DELTA: Partitioned = Partitioned {
    table: "delta",
    width: HOUR_MILLISECONDS,
};
/// Large, stored for hours.
pub(super) const PLAN_BODY: Partitioned = Partitioned {
    table: "plan_body",
    width: HOUR_MILLISECONDS,
};
/// Stored for weeks. Hourly partitions would be too many: a query locks every partition that it may
/// touch.
pub(super) const HISTORY: Partitioned = Partitioned {
    table: "history",
    width: DAY_MILLISECONDS,
};
/// Stored for as long as history.
pub(super) const SERIES_WINDOW: Partitioned = Partitioned {
    table: "series_window",
    width: DAY_MILLISECONDS,
};
/// Stored for weeks.
pub(super) const PLAN: Partitioned = Partitioned {
    table: "plan",
    width: DAY_MILLISECONDS,
};

/// One partition: its table and its number.
type Partition = (Partitioned, i64);

impl Partitioned {
    /// The partition that contains an instant in milliseconds since the Unix epoch.
    pub fn at(self, milliseconds: i64) -> Partition {
        (self, milliseconds.div_euclid(self.width))
    }

    /// The partitions that contain the instants from `first` to `last`.
    pub fn between(self, first: i64, last: i64) -> impl Iterator<Item = Partition> {
        (first.div_euclid(self.width)..=last.div_euclid(self.width)).map(move |at| (self, at))
    }

    fn start(self, number: i64) -> i64 {
        number.saturating_mul(self.width)
    }

    fn name(self, number: i64) -> String {
        format!("{}_p{number}", self.table)
    }

    fn number(self, name: &str) -> Option<i64> {
        name.strip_prefix(self.table)?
            .strip_prefix("_p")?
            .parse()
            .ok()
    }
}

/// The partitions that are known to exist.
#[derive(Debug)]
pub(super) struct Partitions {
    /// The schema that contains the tables.
    schema: String,
    known: Mutex<HashSet<Partition>>,
}

impl Partitions {
    /// Knows none yet.
    pub fn of(schema: String) -> Self {
        Self {
            schema,
            known: Mutex::default(),
        }
    }

    /// The schema that contains the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Creates the missing ones of these partitions, in its own transaction.
    pub async fn ensure(
        &self,
        pool: &Pool,
        wanted: impl IntoIterator<Item = Partition>,
    ) -> Result<(), Fault> {
        let mut missing: Vec<Partition> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            wanted
                .into_iter()
                .filter(|partition| !known.contains(partition))
                .collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable_by_key(|(table, number)| (table.table, *number));
        missing.dedup();
        self.create(pool, &missing).await?;
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(missing);
        Ok(())
    }

    /// Forgets all known partitions if an error says that one was missing: another replica's
    /// maintenance has dropped it.
    pub fn mind(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Driver(error) if fault::code(&error).as_deref() == Some(CHECK_VIOLATION) => {
                self.known
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clear();
                Fault::PartitionMissing(error)
            }
            other => other,
        }
    }

    /// Drops every partition of a table that is wholly before an instant, except the one with the
    /// current plan.
    pub async fn drop_before(
        &self,
        pool: &Pool,
        table: Partitioned,
        before: i64,
    ) -> Result<(), Fault> {
        for number in self.list(pool, table).await? {
            if table.start(number.saturating_add(1)) <= before {
                self.drop_one(pool, table, number).await?;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.remove(&(table, number));
            }
        }
        Ok(())
    }

    async fn create(&self, pool: &Pool, partitions: &[Partition]) -> Result<(), Fault> {
        let statement = format!(
            "-- partitions: create\nselect {}.weir_create_partition($1, $2, $3, $4, $5)",
            quoted(&self.schema)
        );
        let mut transaction = Transaction::begin(pool, Limits::Long).await?;
        for (table, number) in partitions {
            sqlx::query(AssertSqlSafe(statement.clone()))
                .bind(&self.schema)
                .bind(table.table)
                .bind(number)
                .bind(table.start(*number))
                .bind(table.start(number.saturating_add(1)))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    async fn list(&self, pool: &Pool, table: Partitioned) -> Result<Vec<i64>, Fault> {
        const LIST: &str = "\
-- partitions: list
select child.relname::text
from pg_inherits
join pg_class as child on child.oid = inhrelid
join pg_class as parent on parent.oid = inhparent
join pg_namespace as home on home.oid = parent.relnamespace
where home.nspname = $1 and parent.relname = $2";
        let mut transaction = Transaction::begin(pool, Limits::Glance).await?;
        let names: Vec<String> = sqlx::query_scalar(LIST)
            .bind(&self.schema)
            .bind(table.table)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(names.iter().filter_map(|name| table.number(name)).collect())
    }

    /// Drops one partition, unless readers use it or it contains the current plan.
    ///
    /// The row of the head is locked meanwhile. A publication waits, and then finds its partition
    /// either there or missing; it never vanishes under it.
    async fn drop_one(&self, pool: &Pool, table: Partitioned, number: i64) -> Result<(), Fault> {
        const HEAD: &str = "\
-- partitions: lock head
select number, published_ms from plan_head for update";
        let mut transaction = Transaction::begin(pool, Limits::Long).await?;
        if table == PLAN || table == PLAN_BODY {
            let head: Option<(i64, i64)> = sqlx::query_as(HEAD)
                .fetch_optional(&mut *transaction)
                .await?;
            if head.is_some_and(|(plan, published)| plan > 0 && table.at(published).1 == number) {
                return transaction.rollback().await;
            }
        }
        let patience = format!("set local lock_timeout = '{DROP_PATIENCE}'");
        sqlx::raw_sql(AssertSqlSafe(patience))
            .execute(&mut *transaction)
            .await?;
        let statement = format!(
            "-- partitions: drop\nselect {}.weir_drop_partition($1, $2, $3)",
            quoted(&self.schema)
        );
        let dropped = sqlx::query(AssertSqlSafe(statement))
            .bind(&self.schema)
            .bind(table.table)
            .bind(number)
            .execute(&mut *transaction)
            .await;
        match dropped {
            Ok(_) => transaction.commit().await?,
            Err(error) if fault::code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => {
                tracing::debug!(
                    partition = table.name(number),
                    "readers hold an old partition; dropped next time"
                );
                transaction.rollback().await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A name, quoted for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        assert_eq!(quoted("weir"), "\"weir\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_name_tells_its_number() {
        for number in [0, 491_234, -3] {
            assert_eq!(DELTA.number(&DELTA.name(number)), Some(number));
        }
        assert_eq!(PLAN.number("plan_body_p3"), None);
        assert_eq!(DELTA.number("delta_other"), None);
    }

    #[test]
    fn an_instant_lies_in_its_partition() {
        assert_eq!(DELTA.at(-1).1, -1);
        assert_eq!(DELTA.at(HOUR_MILLISECONDS - 1).1, 0);
        assert_eq!(DELTA.between(-1, HOUR_MILLISECONDS).count(), 3);
    }
}
