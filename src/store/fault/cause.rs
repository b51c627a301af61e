//! The cause of a failure: what the database, or the network on the way to it, said.

use std::fmt;
use std::io::ErrorKind;

use sqlx::migrate::MigrateError;

use super::{Unreachable, blames_schema, code, is_full};
use crate::telemetry::logging::chain;

/// What the database, or the network on the way to it, said, in words.
///
/// The driver's error type ends here. No text contains a password: servers and the driver do not
/// repeat them, and values from a URL are not repeated either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    said: String,
    passing: Passing,
    /// Whether the tables may be the cause.
    blames_schema: bool,
    /// Whether the text already names the host.
    placed: bool,
}

/// The kind of a temporary failure, for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// It cannot be reached, or does not answer.
    Away,
    /// It has no room for data.
    Full,
    /// It gave up the call, because others held locks or it took too long.
    Busy,
    /// All connections are in use, here or at the server.
    NoConnection,
    /// This process is stopping.
    Stopping,
}

impl Passing {
    /// The text for clients.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Away => "the database is away",
            Self::Full => "the database has no room",
            Self::Busy => "the database did not answer in time",
            Self::NoConnection => "all connections to the database are in use",
            Self::Stopping => "this replica is stopping",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Cause {}

impl Cause {
    /// A cause in words, as if the database were away.
    pub fn of(said: impl Into<String>) -> Self {
        Self {
            said: said.into(),
            passing: Passing::Away,
            blames_schema: false,
            placed: false,
        }
    }

    /// Adds the host, unless the text names it already.
    pub(in crate::store) fn at(self, host: Option<&str>) -> Self {
        match host {
            Some(host) if !self.placed => Self {
                said: format!("{host}: {}", self.said),
                placed: true,
                ..self
            },
            _ => self,
        }
    }

    /// Whether the tables may be the cause, instead of the call.
    pub(in crate::store) fn blames_schema(&self) -> bool {
        self.blames_schema
    }

    /// The kind of failure for clients, if it is temporary.
    pub(in crate::store) fn passing(&self) -> Passing {
        self.passing
    }
}

impl From<&sqlx::Error> for Cause {
    fn from(error: &sqlx::Error) -> Self {
        Self {
            said: described(error),
            passing: passing(error),
            blames_schema: blames_schema(error),
            placed: false,
        }
    }
}

impl From<Unreachable> for Cause {
    fn from(why: Unreachable) -> Self {
        Self {
            said: why.to_string(),
            passing: why.passing,
            blames_schema: false,
            placed: true,
        }
    }
}

fn passing(error: &sqlx::Error) -> Passing {
    match error {
        error if is_full(error) => Passing::Full,
        sqlx::Error::PoolTimedOut => Passing::NoConnection,
        sqlx::Error::PoolClosed => Passing::Stopping,
        _ => code(error).map_or(Passing::Away, |code| passing_code(&code)),
    }
}

/// The kind of a temporary error, by its code.
pub(super) fn passing_code(code: &str) -> Passing {
    match code {
        // Too many connections.
        "53300" => Passing::NoConnection,
        // Cancelled by a time limit, lock not available, idle in a transaction for too long.
        "57014" | "55P03" | "25P03" => Passing::Busy,
        // Conflicts with other transactions, out of memory.
        code if code.len() == 5 && matches!(&code[..2], "40" | "53") => Passing::Busy,
        // SQLite: busy, locked.
        code if code.len() < 5
            && code
                .parse::<u32>()
                .is_ok_and(|it| matches!(it & 0xff, 5 | 6)) =>
        {
            Passing::Busy
        }
        _ => Passing::Away,
    }
}

/// An error of the driver in words: the server's message with its code, or what broke.
pub(super) fn described(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => match said.code() {
            Some(code) => format!("{} ({code}){}", said.message(), hint(&code)),
            None => said.message().to_owned(),
        },
        sqlx::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the connection was closed".to_owned()
        }
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {}", chain(&**error)),
        sqlx::Error::Protocol(problem) => format!(
            "an answer that PostgreSQL does not give, as from a proxy without a server: {problem}"
        ),
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) => described(error),
            MigrateError::ExecuteMigration(error, version) => {
                format!("migration {version}: {}", described(error))
            }
            other => chain(other),
        },
        sqlx::Error::PoolTimedOut => "all connections are in use".to_owned(),
        sqlx::Error::PoolClosed => "the store was closed".to_owned(),
        other => chain(other),
    }
}

fn hint(code: &str) -> &'static str {
    match code {
        "26000" | "42P05" => {
            ": a proxy shares sessions; leave --database-prepared-statements at auto, or set off"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_once() {
        let cause = Cause::of("closed").at(Some("db:5432"));
        assert_eq!(cause.to_string(), "db:5432: closed");
        assert_eq!(cause.at(Some("other:1")).to_string(), "db:5432: closed");
        assert_eq!(Cause::of("closed").at(None).to_string(), "closed");
    }

    #[test]
    fn what_passes_is_told_apart() {
        let told = [
            ("53300", Passing::NoConnection),
            ("57014", Passing::Busy),
            ("55P03", Passing::Busy),
            ("40P01", Passing::Busy),
            ("57P01", Passing::Away),
            ("5", Passing::Busy),
            ("10", Passing::Away),
        ];
        for (code, passing) in told {
            assert_eq!(passing_code(code), passing, "{code}");
        }
    }

    #[test]
    fn time_that_ran_out_is_never_the_reason() {
        let said = described(&sqlx::Error::PoolTimedOut);
        assert_eq!(said, "all connections are in use");
    }
}
