//! TLS to PostgreSQL, with a private certificate authority.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use weir::store::postgres::PostgresStore;
use weir::store::{Store, StoreError};
use weir::telemetry::logging::chain;

use crate::support::client::http_client;
use crate::support::postgres::Cluster;
use crate::support::process::WeirProcess;

/// A private authority, and a server with a certificate from it for `localhost`.
struct Trusted {
    cluster: Cluster,
    folder: TempDir,
}

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed (apt-get install openssl)");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {arguments}: {said}");
}

impl Trusted {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(
            path,
            &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        );
        openssl(
            path,
            &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
        );
        openssl(
            path,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile names -out server.crt",
        );
        let cluster = Cluster::start_with_tcp();
        let data = cluster.data();
        let owner = std::fs::metadata(&data).unwrap();
        for file in ["server.key", "server.crt"] {
            let to = data.join(file);
            std::fs::copy(path.join(file), &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let settings = data.join("postgresql.conf");
        let before = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, before + "ssl = on\n").unwrap();
        let file = data.join("pg_hba.conf");
        std::fs::write(
            &file,
            "local all all trust\nhostssl all all 127.0.0.1/32 trust\n",
        )
        .unwrap();
        cluster.stop();
        cluster.restart();
        Self { cluster, folder }
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.cluster.port();
        format!("postgres://weir@{host}:{port}/postgres?{parameters}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked_against_the_authority_and_the_host() {
    let trusted = Trusted::start();
    let file = format!(
        "sslmode=verify-full&sslrootcert={}",
        trusted.authority().display()
    );
    let store = PostgresStore::connect(&trusted.url("localhost", &file), 1)
        .await
        .unwrap();
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
    for url in [
        // A name that is not in the certificate, then an authority that the system does not trust.
        trusted.url("127.0.0.1", &file),
        trusted.url("localhost", "sslrootcert=system"),
    ] {
        let error = PostgresStore::connect(&url, 1).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Failed { .. }),
            "{url}: {error:?}"
        );
        assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_authorities_are_trusted() {
    let trusted = Trusted::start();
    // The system's own setting names its trusted authorities.
    let weir = WeirProcess::command()
        .environment("SSL_CERT_FILE", trusted.authority())
        .flag(
            "--database-url",
            trusted.url("localhost", "sslrootcert=system"),
        )
        .start()
        .await;
    let ready = format!("{}/readyz", weir.admin_url());
    let answer = http_client().get(ready).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(weir.terminate().await.success());
}
