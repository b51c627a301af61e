//! A second server that replicates the first, and can be made to lag and be promoted.

use sqlx::{Connection, PgConnection};

use super::system::{free_port, make_root};
use super::{Cluster, USER, WATCHDOG};
use crate::support::process::eventually;
use crate::support::watchdog::Watchdog;

/// The time limit for each operation on a standby.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

impl Cluster {
    /// Starts a standby that replicates this server asynchronously, and listens in the same way.
    pub fn standby(&self) -> Self {
        let root = make_root();
        let standby = Self {
            binaries: self.binaries.clone(),
            port: if self.tcp { free_port() } else { self.port },
            tcp: self.tcp,
            _watchdog: Watchdog::new(WATCHDOG, &root),
            root,
        };
        let (data, port) = (standby.data(), self.port.to_string());
        standby.run(
            "pg_basebackup",
            &[
                "--pgdata".as_ref(),
                data.as_os_str(),
                "--host".as_ref(),
                self.root.as_os_str(),
                "--port".as_ref(),
                port.as_ref(),
                "--username".as_ref(),
                USER.as_ref(),
                "--write-recovery-conf".as_ref(),
                "--wal-method=stream".as_ref(),
                "--checkpoint=fast".as_ref(),
                "--no-sync".as_ref(),
            ],
        );
        let file = data.join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + &standby.listening()).unwrap();
        standby.restart();
        standby
    }

    /// Waits until this standby has replayed what its primary has written so far.
    pub async fn catches_up_with(&self, primary: &Self) {
        let mut there = primary.superuser().await;
        let written: String = sqlx::query_scalar("select pg_current_wal_lsn()::text")
            .fetch_one(&mut there)
            .await
            .unwrap();
        let mut here = self.superuser().await;
        eventually(PATIENCE, "the standby catches up", async || {
            let replayed: bool =
                sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::pg_lsn")
                    .bind(&written)
                    .fetch_one(&mut here)
                    .await
                    .unwrap();
            replayed.then_some(())
        })
        .await;
    }

    /// Disconnects this standby from its primary, so that it lags.
    pub async fn cut_off(&self) {
        let mut here = self.superuser().await;
        for statement in [
            "alter system set primary_conninfo = ''",
            "select pg_reload_conf()",
        ] {
            sqlx::raw_sql(statement).execute(&mut here).await.unwrap();
        }
        eventually(PATIENCE, "the standby is cut off", async || {
            let receiving: i64 = sqlx::query_scalar("select count(*) from pg_stat_wal_receiver")
                .fetch_one(&mut here)
                .await
                .unwrap();
            (receiving == 0).then_some(())
        })
        .await;
    }

    /// Promotes this standby with the data it has.
    pub async fn promote(&self) {
        let mut here = self.superuser().await;
        let promoted: bool = sqlx::query_scalar("select pg_promote()")
            .fetch_one(&mut here)
            .await
            .unwrap();
        assert!(promoted);
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.unwrap()
    }
}
