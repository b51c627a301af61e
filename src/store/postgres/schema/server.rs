//! Checks the server, the database and the schema, before the tables.

use std::io;

use crate::store::fault::Fault;
use crate::store::postgres::pool::Pool;
use crate::store::postgres::transaction::{Limits, Transaction};

/// The oldest major version that Weir is tested on.
const OLDEST: i32 = 15;

const READ: &str = "\
-- schema: read the server
select current_setting('server_version_num')::int as version_number,
    current_setting('server_version') as version,
    current_setting('server_encoding') as encoding,
    current_database()::text as database,
    current_user::text as role,
    current_schema()::text as schema,
    current_setting('transaction_read_only')::boolean as read_only,
    current_setting('fsync')::boolean as fsync,
    current_setting('full_page_writes')::boolean as full_page_writes";

/// The properties of a server.
#[derive(sqlx::FromRow)]
struct Server {
    version_number: i32,
    version: String,
    encoding: String,
    database: String,
    role: String,
    schema: Option<String>,
    read_only: bool,
    fsync: bool,
    full_page_writes: bool,
}

/// Checks the server and the database. Returns the schema that contains, or will contain, Weir's
/// tables.
///
/// # Errors
/// [`Fault::Unsound`], with how to repair it; a temporary error on a server that is read-only, as a
/// standby is until it is promoted.
pub(in crate::store::postgres) async fn schema(pool: &Pool) -> Result<String, Fault> {
    let mut glance = Transaction::begin(pool, Limits::Glance).await?;
    let server: Server = sqlx::query_as(READ).fetch_one(&mut *glance).await?;
    glance.commit().await?;
    server.warn();
    server.schema()
}

impl Server {
    fn schema(self) -> Result<String, Fault> {
        let Self {
            version_number,
            version,
            encoding,
            database,
            role,
            schema,
            read_only,
            ..
        } = self;
        if version_number < OLDEST * 10_000 {
            return Err(Fault::Unsound(format!(
                "PostgreSQL {version} is too old; Weir needs {OLDEST} or newer"
            )));
        }
        if encoding != "UTF8" {
            return Err(Fault::Unsound(format!(
                "database {database} is encoded in {encoding} and cannot store every name; create \
                 one in UTF-8: create database weir encoding 'UTF8' template template0"
            )));
        }
        if read_only {
            let why = "the server is read-only: it is a standby, or default_transaction_read_only \
                       is on";
            return Err(Fault::Driver(io::Error::other(why).into()));
        }
        schema.ok_or_else(|| {
            Fault::Unsound(format!(
                "role {role} may use no schema of its search_path; give it one: \
                 create schema {role} authorization {role}"
            ))
        })
    }

    /// Both are for throw-away databases, as in tests, and easily forgotten.
    fn warn(&self) {
        for (setting, on) in [
            ("fsync", self.fsync),
            ("full_page_writes", self.full_page_writes),
        ] {
            if !on {
                tracing::warn!(
                    setting,
                    "PostgreSQL runs with this setting off: a crash of its machine can lose or \
                     damage what was acknowledged"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            version_number: 150_004,
            version: "15.4".into(),
            encoding: "UTF8".into(),
            database: "weir".into(),
            role: "app".into(),
            schema: Some("public".into()),
            read_only: false,
            fsync: true,
            full_page_writes: true,
        }
    }

    fn refused(server: Server) -> String {
        match server.schema() {
            Err(Fault::Unsound(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_that_suits_gives_the_schema() {
        assert_eq!(server().schema().unwrap(), "public");
    }

    #[test]
    fn an_old_server_is_refused_by_its_version() {
        let old = Server {
            version_number: 120_020,
            version: "12.20".into(),
            ..server()
        };
        let expected = "PostgreSQL 12.20 is too old; Weir needs 15 or newer";
        assert_eq!(refused(old), expected);
    }

    #[test]
    fn a_role_without_a_schema_is_refused() {
        let lost = Server {
            schema: None,
            ..server()
        };
        assert!(refused(lost).contains("create schema app authorization app"));
    }

    #[test]
    fn a_standby_is_waited_for() {
        let standby = Server {
            read_only: true,
            ..server()
        };
        assert!(matches!(standby.schema(), Err(Fault::Driver(_))));
    }
}
