//! A real PgBouncer in front of a cluster.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::postgres::Cluster;
use super::postgres::system::{free_port, is_root, make_root, unprivileged, wait_until};

/// A running PgBouncer, stopped when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    root: PathBuf,
    port: u16,
}

impl Pooler {
    /// Starts it in this mode, with this many connections to the server for each database.
    pub fn start(cluster: &Cluster, mode: &str, connections: u32) -> Self {
        let (root, port) = (make_root(), free_port());
        let settings = format!(
            "[databases]\n* = host={socket} port={server} user=weir\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {connections}\n\
             max_client_conn = 500\nserver_round_robin = 1\nlogfile = {root}/log\n{prepared}",
            socket = cluster.socket().parent().expect("a directory").display(),
            server = cluster.port(),
            root = root.display(),
            prepared = if keeps_prepared_statements() {
                "max_prepared_statements = 200\n"
            } else {
                ""
            },
        );
        let file = root.join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let program = program();
        let mut command = if is_root() {
            unprivileged(&program)
        } else {
            Command::new(&program)
        };
        let process = command
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is installed (apt-get install pgbouncer)");
        let pooler = Self {
            process,
            root,
            port,
        };
        wait_until("PgBouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        pooler
    }

    /// The URL of one of the cluster's databases through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://weir@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Whether this PgBouncer can keep prepared statements for its clients, as it can from 1.21 on.
pub fn keeps_prepared_statements() -> bool {
    let told = Command::new(program()).arg("--version").output();
    let told = told.expect("PgBouncer is installed (apt-get install pgbouncer)");
    let told = String::from_utf8_lossy(&told.stdout);
    let version = told.lines().next().and_then(|line| {
        let mut parts = line.strip_prefix("PgBouncer ")?.split('.');
        let mut number = || parts.next()?.parse::<u32>().ok();
        Some((number()?, number()?))
    });
    version.expect("PgBouncer tells its version") >= (1, 21)
}

/// The program that the variable `PGBOUNCER` names, or the installed one.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("PGBOUNCER") {
        return named.into();
    }
    let packaged = PathBuf::from("/usr/sbin/pgbouncer");
    if packaged.exists() {
        packaged
    } else {
        "pgbouncer".into()
    }
}
