//! Transactions, and the representation of values and rows in SQLite. It has no type for
//! identities: they are stored as 32 hexadecimal digits.

use std::ops::{Deref, DerefMut};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::store::backend::{self, Value};
use crate::store::fault::Fault;

/// A transaction. If it is dropped before its end, it is rolled back.
pub struct Transaction(pub(super) sqlx::Transaction<'static, Sqlite>);

impl Transaction {
    /// Commits.
    pub async fn commit(self) -> Result<(), Fault> {
        Ok(self.0.commit().await?)
    }
}

impl Deref for Transaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// An identity as it is stored in a cell.
pub(super) fn cell(id: Uuid) -> String {
    id.simple().to_string()
}

/// The identity in a cell.
pub(super) fn id(column: &str, cell: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(cell).map_err(|error| Fault::corrupt(column, error))
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

fn bound(statement: &'static str, values: &[Value<'_>]) -> Query {
    values
        .iter()
        .fold(sqlx::query(statement), |query, value| match *value {
            Value::Integer(integer) => query.bind(integer),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Id(id) => query.bind(id.map(cell)),
        })
}

#[async_trait]
impl backend::Transaction for Transaction {
    type Row = SqliteRow;

    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Fault> {
        let done = bound(statement, values).execute(&mut **self).await?;
        Ok(done.rows_affected())
    }

    fn stream<'t>(
        &'t mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> BoxStream<'t, Result<SqliteRow, Fault>> {
        let rows = bound(statement, values).fetch(&mut **self);
        rows.map_err(Fault::from).boxed()
    }

    async fn commit(self) -> Result<(), Fault> {
        Transaction::commit(self).await
    }

    async fn rollback(self) -> Result<(), Fault> {
        Ok(self.0.rollback().await?)
    }
}

impl backend::Row for SqliteRow {
    fn integer_or_null(&self, column: &'static str) -> Result<Option<i64>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn text_or_null(&self, column: &'static str) -> Result<Option<&str>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn bytes_or_null(&self, column: &'static str) -> Result<Option<&[u8]>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn id_or_null(&self, column: &'static str) -> Result<Option<Uuid>, Fault> {
        let cell = self.text_or_null(column)?;
        cell.map(|cell| id(column, cell)).transpose()
    }
}
