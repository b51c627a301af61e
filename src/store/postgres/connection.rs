//! One connection: the guarantees of its session, and how to end work that it left behind.
//!
//! A session may be Weir's own. With a transaction-pooling proxy (PgBouncer), every transaction may
//! run in another session. Each new connection finds out: it sends a mark in the startup options
//! and checks whether the session has it. In its own session, Weir keeps statements prepared and
//! sets time limits once. In any other, it prepares nothing that outlives a statement, and wraps
//! single statements in transactions that set their limits.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Describe, Either, Execute, Executor, Postgres, Row, SqlStr,
};
use uuid::Uuid;

use super::address::Host;
use super::transaction::{BRIEF, SINGLE};
use crate::store::fault;

/// Whether statements are kept prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreparedStatements {
    /// If the session is Weir's own.
    #[default]
    Auto,
    /// Always: for a proxy that keeps the prepared statements of its clients separate.
    On,
    /// Never.
    Off,
}

/// Work on the server that belongs to a connection, so that another connection can end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The connection's own process, and when it started.
    Backend(i32, DateTime<Utc>),
    /// A process that a proxy chose for one transaction, and when that began.
    Transaction(i32, DateTime<Utc>),
}

/// Why a host gave no connection.
#[derive(Debug)]
pub(super) enum Refused {
    /// The driver's error.
    Driver(sqlx::Error),
    /// It only accepts reads: a standby, or a server set to read-only.
    ReadOnly(&'static str),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

/// A connection to one of the hosts.
pub struct Connection {
    raw: PgConnection,
    /// The host that it is connected to.
    pub(super) host: Arc<str>,
    /// Whether the session is Weir's own.
    own: bool,
    /// Whether statements are kept prepared.
    named: bool,
    in_transaction: bool,
    /// Whether an answer is still to come.
    busy: bool,
    work: Option<Work>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

const PROBE: &str = "\
-- connection: probe
select pg_backend_pid(), backend_start, coalesce(current_setting('weir.session', true), ''),
    pg_is_in_recovery(), current_setting('transaction_read_only')
from pg_stat_get_activity(pg_backend_pid())";

impl Connection {
    /// Connects. `refuses_options` says that a proxy refuses startup options; it is updated.
    pub(super) async fn open(
        host: &Host,
        prepared: PreparedStatements,
        refuses_options: &mut bool,
    ) -> Result<Self, Refused> {
        let mark = Uuid::new_v4().to_string();
        let mut raw = None;
        if !*refuses_options {
            match with_limits(&host.options, &mark).connect().await {
                Ok(connection) => raw = Some(connection),
                Err(error) if blames_options(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut raw = match raw {
            Some(raw) => raw,
            None => {
                let raw = host.options.connect().await?;
                *refuses_options = true;
                raw
            }
        };
        let probed = sqlx::raw_sql(PROBE).fetch_one(&mut raw).await?;
        let own = probed.try_get::<String, _>(2)? == mark;
        if probed.try_get(3)? {
            return Err(Refused::ReadOnly("the server is a standby"));
        }
        if probed.try_get::<String, _>(4)? == "on" {
            return Err(Refused::ReadOnly("the server is set to read-only"));
        }
        Ok(Self {
            raw,
            host: host.name.as_str().into(),
            own,
            named: match prepared {
                PreparedStatements::Auto => own,
                PreparedStatements::On => true,
                PreparedStatements::Off => false,
            },
            in_transaction: false,
            busy: false,
            work: match own {
                true => Some(Work::Backend(probed.try_get(0)?, probed.try_get(1)?)),
                false => None,
            },
        })
    }

    /// Whether the session is Weir's own, so that its settings last.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// Whether a transaction has begun and not ended.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether it can be used again, because it waits for nothing.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.busy && !self.in_transaction
    }

    /// The work that goes on at the server if this is dropped now.
    pub(super) fn left_behind(&self) -> Option<Work> {
        self.work.filter(|_| self.busy)
    }

    /// Checks that the server answers.
    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        sqlx::Connection::ping(&mut self.raw).await
    }

    /// Closes the connection.
    pub(super) async fn close(self) {
        // The server notices in any case.
        let _ = sqlx::Connection::close(self.raw).await;
    }

    /// Begins a transaction with these statements.
    pub(super) async fn begin(&mut self, mut statements: String) -> Result<(), sqlx::Error> {
        if !self.own {
            statements += ";\nselect pg_backend_pid(), transaction_timestamp()";
        }
        let rows: Vec<PgRow> = self
            .stream(sqlx::raw_sql(AssertSqlSafe(statements)))
            .try_filter_map(|step| async { Ok(step.right()) })
            .try_collect()
            .await?;
        if let Some(row) = rows.last().filter(|_| !self.own) {
            self.work = Some(Work::Transaction(row.try_get(0)?, row.try_get(1)?));
        }
        self.in_transaction = true;
        Ok(())
    }

    /// Ends the transaction.
    pub(super) async fn end(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let mut answer = self.stream(sqlx::raw_sql(statement));
        while answer.try_next().await?.is_some() {}
        drop(answer);
        self.in_transaction = false;
        if !self.own {
            self.work = None;
        }
        Ok(())
    }

    /// Runs a statement unchanged.
    fn stream<'e, 'q: 'e, E>(&'e mut self, query: E) -> Answer<'e>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        self.busy = true;
        let inner = match self.named {
            true => self.raw.fetch_many(query),
            false => self.raw.fetch_many(Unprepared(query)),
        };
        Answer {
            inner,
            busy: &mut self.busy,
        }
    }

    /// Runs a single statement in its own transaction, which a proxy keeps in one session.
    async fn alone<'q, E>(&mut self, query: E) -> Result<Vec<Step>, sqlx::Error>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        self.begin(format!("{SINGLE}{BRIEF}")).await?;
        let steps = self.stream(query).try_collect().await?;
        self.end("-- transaction: commit\ncommit").await?;
        Ok(steps)
    }
}

/// Adds the startup options that only a session of one's own keeps: the mark, and limits for single
/// statements.
fn with_limits(options: &PgConnectOptions, mark: &str) -> PgConnectOptions {
    options.clone().options([
        ("weir.session", mark),
        ("statement_timeout", "7s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "25s"),
    ])
}

/// Whether a connection may have been refused because of its startup options. Not if the error is
/// about credentials, a database, a lack of resources, or a server that is starting or stopping.
fn blames_options(error: &sqlx::Error) -> bool {
    let code = fault::code(error);
    code.is_some_and(|code| !matches!(code.get(..2), Some("28" | "3D" | "53" | "57")))
}

type Step = Either<PgQueryResult, PgRow>;

/// The answer to a statement. The server is at work until its end, or until an error that it sent.
struct Answer<'e> {
    inner: BoxStream<'e, Result<Step, sqlx::Error>>,
    busy: &'e mut bool,
}

impl Stream for Answer<'_> {
    type Item = Result<Step, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let step = self.inner.poll_next_unpin(context);
        if matches!(
            step,
            Poll::Ready(None | Some(Err(sqlx::Error::Database(_))))
        ) {
            *self.busy = false;
        }
        step
    }
}

/// A query whose statement is not kept prepared.
struct Unprepared<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unprepared<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.own || self.in_transaction {
            return self.stream(query).boxed();
        }
        let alone = async move {
            let steps = self.alone(query).await?;
            Ok::<_, sqlx::Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        stream::once(alone).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut steps = self.fetch_many(query);
            let mut found = None;
            // Reads to the end, so that nothing is left for the next statement.
            while let Some(step) = steps.try_next().await? {
                if let Either::Right(row) = step {
                    found.get_or_insert(row);
                }
            }
            Ok(found)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.raw.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.raw.describe(sql)
    }
}
