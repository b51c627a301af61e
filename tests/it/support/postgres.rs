//! Real PostgreSQL for tests.
//!
//! [`TestDatabase::create`] gives a test an empty database of its own: in the server that
//! `DATABASE_URL` names, else in a throw-away cluster that this process starts once from the
//! installed binaries. A test that must stop or kill its server owns a [`Cluster`].
//!
//! A cluster is removed when this process ends, however it ends: a watchdog waits on a pipe that
//! only this process holds open, then stops the server and deletes its directory.

mod standby;
pub(super) mod system;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::watchdog::Watchdog;
pub use system::free_port;
use system::{binaries, children, is_root, is_running, make_root, unprivileged, wait_until};

const INSTALL: &str = "PostgreSQL is not installed: set DATABASE_URL to a server on which \
    databases may be created, or install one (apt-get install postgresql)";

/// The superuser of throw-away clusters.
const USER: &str = "weir";

/// Stops the servers once the pipe's other end is closed.
const WATCHDOG: &str = r#"
cat > /dev/null
if [ -f "$1/data/postmaster.pid" ]; then
    server=$(head -n 1 "$1/data/postmaster.pid")
    # The number of a server that was killed may belong to another process by now.
    if [ "$(readlink "/proc/$server/cwd")" = "$1/data" ]; then kill -QUIT "$server"; fi
fi
tries=0
rm -rf "$1"
while [ -e "$1" ] && [ $tries -lt 100 ]; do sleep 0.1; rm -rf "$1"; tries=$((tries + 1)); done
"#;

/// An empty database, which is dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    /// What has to be dropped, and where: nothing in a cluster that is removed as a whole.
    drop: Option<(String, String)>,
}

impl TestDatabase {
    /// Creates a database with a unique name.
    pub async fn create() -> Self {
        let name = format!("weir_test_{}", Uuid::new_v4().simple());
        match std::env::var("DATABASE_URL") {
            Ok(server) => {
                create_database(&server, &name).await;
                Self {
                    url: with_database(&server, &name),
                    drop: Some((server, name)),
                }
            }
            Err(_) => {
                static SHARED: OnceLock<Cluster> = OnceLock::new();
                let cluster = SHARED.get_or_init(Cluster::start);
                create_database(&cluster.url("postgres"), &name).await;
                Self {
                    url: cluster.url(&name),
                    drop: None,
                }
            }
        }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some((server, name)) = self.drop.take() else {
            return;
        };
        // A separate runtime: the test's own may be running on the thread that drops this.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                let statement = format!("drop database if exists \"{name}\" with (force)");
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            });
        });
        let dropped = dropping.join();
        assert!(
            dropped.is_ok() || std::thread::panicking(),
            "the test database stays behind"
        );
    }
}

async fn create_database(server: &str, name: &str) {
    let mut connection = PgConnection::connect(server)
        .await
        .expect("the test server answers");
    let statement = format!("create database \"{name}\" template template0");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Puts another database's name in a URL: the path after the host, up to the query.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let path = address[host..]
        .find('/')
        .map_or(address.len(), |path| host + path);
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    format!("{}/{name}{query}", &address[..path])
}

/// A server for one test alone.
#[derive(Debug)]
pub struct Cluster {
    binaries: PathBuf,
    root: PathBuf,
    /// The port: on the loopback interface, or only part of the socket's name.
    port: u16,
    tcp: bool,
    _watchdog: Watchdog,
}

impl Cluster {
    /// Starts a server that listens on a Unix socket only.
    pub fn start() -> Self {
        Self::start_listening(false)
    }

    /// Starts a server that listens on the loopback interface, too.
    pub fn start_with_tcp() -> Self {
        Self::start_listening(true)
    }

    fn start_listening(tcp: bool) -> Self {
        let binaries = binaries().expect(INSTALL);
        let root = make_root();
        let cluster = Self {
            binaries,
            port: if tcp { free_port() } else { 5432 },
            tcp,
            _watchdog: Watchdog::new(WATCHDOG, &root),
            root,
        };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &[
                "--pgdata".as_ref(),
                data.as_os_str(),
                "--username".as_ref(),
                USER.as_ref(),
                "--auth=trust".as_ref(),
                "--encoding=UTF8".as_ref(),
                "--no-locale".as_ref(),
                "--no-sync".as_ref(),
            ],
        );
        let settings = "max_connections = 300\nshared_buffers = '64MB'\nfsync = on\n";
        let file = data.join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + &cluster.listening() + settings).unwrap();
        cluster.restart();
        cluster
    }

    /// The addresses it listens on, as lines of its configuration.
    fn listening(&self) -> String {
        format!(
            "\nunix_socket_directories = '{}'\nlisten_addresses = '{}'\nport = {}\n",
            self.root.display(),
            if self.tcp { "127.0.0.1" } else { "" },
            self.port,
        )
    }

    /// The URL of one of its databases, through the Unix socket.
    pub fn url(&self, database: &str) -> String {
        let Self { root, port, .. } = self;
        format!(
            "postgres://{USER}@localhost:{port}/{database}?host={}",
            root.display()
        )
    }

    /// The URL of one of its databases for another role.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        let superuser = format!("//{USER}@");
        self.url(database)
            .replacen(&superuser, &format!("//{role}@"), 1)
    }

    /// A file that the server's programs can write.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs a program that comes with the server, such as `pg_dump`, on one of its databases.
    pub fn client(&self, program: &str, database: &str, arguments: &[&str]) {
        let dbname = format!("--dbname={}", self.url(database));
        let arguments = arguments.iter().copied().chain([dbname.as_str()]);
        let arguments: Vec<&OsStr> = arguments.map(OsStr::new).collect();
        self.run(program, &arguments);
    }

    /// Runs statements on one of its databases, each in its own transaction.
    pub async fn execute(&self, database: &str, statements: &[&str]) {
        let url = self.url(database);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for statement in statements {
            let text = AssertSqlSafe((*statement).to_owned());
            let done = sqlx::raw_sql(text).execute(&mut connection).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        connection.close().await.unwrap();
    }

    /// The URL of one of its databases, through the loopback interface.
    pub fn tcp_url(&self, database: &str) -> String {
        let host = self.host();
        format!("postgres://{USER}@{host}/{database}?sslmode=disable")
    }

    /// Its address on the loopback interface.
    pub fn host(&self) -> String {
        assert!(self.tcp, "start it with start_with_tcp()");
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port, on the loopback interface or in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket, for a proxy in front of it.
    pub fn socket(&self) -> PathBuf {
        self.root.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Starts it again after [`Cluster::kill9`] or [`Cluster::stop`], and waits until it answers.
    pub fn restart(&self) {
        let (data, log) = (self.data(), self.root.join("log"));
        self.run(
            "pg_ctl",
            &[
                "start".as_ref(),
                "--wait".as_ref(),
                "--silent".as_ref(),
                "--pgdata".as_ref(),
                data.as_os_str(),
                "--log".as_ref(),
                log.as_os_str(),
            ],
        );
    }

    /// Stops it in an orderly way, and waits until it has ended.
    pub fn stop(&self) {
        let data = self.data();
        self.run(
            "pg_ctl",
            &[
                "stop".as_ref(),
                "--wait".as_ref(),
                "--silent".as_ref(),
                "--mode=fast".as_ref(),
                "--pgdata".as_ref(),
                data.as_os_str(),
            ],
        );
    }

    /// Kills all its processes at once, as the loss of power would, and waits until they are
    /// gone.
    pub fn kill9(&self) {
        let postmaster = self.postmaster().expect("the server runs");
        let processes: Vec<String> = std::iter::once(postmaster)
            .chain(children(postmaster))
            .map(|process| process.to_string())
            .collect();
        // Fails if one of them has just ended by itself; the others still get the signal.
        let _ = Command::new("kill")
            .arg("-KILL")
            .args(&processes)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        wait_until("the server is gone", || {
            processes.iter().all(|process| !is_running(process))
        });
        // Where nothing reaps orphans, as in many containers, the server would mistake its own
        // zombie for another server that uses these files.
        let socket_lock = self.root.join(format!(".s.PGSQL.{}.lock", self.port));
        for lock in [self.data().join("postmaster.pid"), socket_lock] {
            std::fs::remove_file(lock).unwrap();
        }
    }

    /// Its data directory, which holds its settings and its access rules.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn postmaster(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Runs one of the server's programs as a user other than root, because they refuse to run as
    /// root.
    fn run(&self, program: &str, arguments: &[&OsStr]) {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            unprivileged(&program)
        } else {
            Command::new(&program)
        };
        // Not into a pipe: the server would inherit it and keep it open.
        let transcript = self.root.join("transcript");
        let output = std::fs::File::create(&transcript).unwrap();
        let status = command
            .args(arguments)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        if !status.success() {
            let said = std::fs::read_to_string(&transcript).unwrap_or_default();
            let log = std::fs::read_to_string(self.root.join("log")).unwrap_or_default();
            panic!("{} failed: {said}\n{log}", program.display());
        }
    }
}
