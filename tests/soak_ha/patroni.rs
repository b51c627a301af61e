//! Three PostgreSQL servers under Patroni, with etcd, and HAProxy in front of them.
//!
//! The configurations are those of `deploy/patroni`, with other addresses, directories and access
//! rules.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use yaml_rust2::{Yaml, YamlEmitter, YamlLoader};

use crate::Mode;
use crate::node::{Node, spawn};
use crate::support::process::eventually;
use crate::support::proxy::Proxy;
use crate::support::system::{binaries, is_root, make_root};
use crate::support::watchdog::Watchdog;

/// How long a cluster may take until all its servers are running and replicating.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long that state has to last.
const SETTLED: Duration = Duration::from_secs(4);

const NODES: usize = 3;

/// When its pipe closes, ends every process that runs in the folder, and deletes the folder.
const WATCHDOG: &str = r#"
cat > /dev/null
sweep() {
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd") in
            "$1" | "$1"/*) kill -KILL "${process#/proc/}" ;;
        esac
    done
}
sweep "$1"; sleep 0.2; sweep "$1"
rm -rf "$1"
"#;

/// The servers.
pub struct Patroni {
    pub nodes: Vec<Node>,
    port: u16,
    root: PathBuf,
    http: reqwest::Client,
    _programs: Vec<Child>,
    _watchdog: Watchdog,
}

impl Patroni {
    /// Starts everything and waits until two standbys replicate.
    pub async fn start(mode: Mode) -> Self {
        let root = make_root();
        let watchdog = Watchdog::new(WATCHDOG, &root);
        let (etcd, etcd_port) = start_etcd(&root);
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let name = format!("db{number}");
            let home = folder(&root, &name);
            let (postgres_port, rest_port) = (free_port(), free_port());
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], postgres_port));
            let replication = Proxy::to_tcp(address).await;
            let node = Node::new(name, postgres_port, rest_port, replication, home.clone());
            write(
                &home.join("patroni.yml"),
                &settings(&node, &home, etcd_port, mode),
            );
            nodes.push(node);
        }
        let port = free_port();
        let home = folder(&root, "haproxy");
        write(&home.join("haproxy.cfg"), &haproxy(port, &nodes));
        let haproxy = spawn(&program("haproxy"), &home, &["-db", "-f", "haproxy.cfg"]);
        let mut patroni = Self {
            nodes,
            port,
            root,
            http: crate::support::client::http_client(),
            _programs: vec![etcd, haproxy],
            _watchdog: watchdog,
        };
        patroni.start_all();
        patroni.whole(mode).await;
        patroni
    }

    /// A database's URL, through HAProxy.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts everything that is not running.
    pub fn start_all(&mut self) {
        let patroni = program("patroni");
        for node in &mut self.nodes {
            node.replication.restore();
            if !node.runs() {
                node.start(&patroni);
            }
        }
    }

    /// Waits until there is a primary and both others have replicated from it for long enough that
    /// no server is about to be rewound: interrupting a rewind damages a server. Returns the
    /// primary's index among the nodes.
    pub async fn whole(&self, mode: Mode) -> usize {
        let mut since: Option<Instant> = None;
        eventually(DEADLINE, "two standbys follow a primary", async || {
            let leader = match self.leader_if_whole().await {
                Some(leader) if self.standbys_follow(mode).await => leader,
                _ => {
                    since = None;
                    return None;
                }
            };
            let since = *since.get_or_insert_with(Instant::now);
            (since.elapsed() >= SETTLED).then_some(leader)
        })
        .await
    }

    /// The primary according to Patroni, if all servers are on its timeline.
    async fn leader_if_whole(&self) -> Option<usize> {
        for node in &self.nodes {
            let url = format!("http://127.0.0.1:{}/cluster", node.rest_port);
            let Ok(answer) = self.http.get(url).send().await else {
                continue;
            };
            let cluster: Value = answer.json().await.ok()?;
            let members = cluster["members"].as_array()?;
            let leader = members.iter().find(|member| member["role"] == "leader")?;
            let runs = |member: &&Value| {
                member["state"] == "running" && member["timeline"] == leader["timeline"]
            };
            let place = self
                .nodes
                .iter()
                .position(|node| leader["name"] == *node.name);
            return place.filter(|_| members.iter().filter(runs).count() == NODES);
        }
        None
    }

    async fn standbys_follow(&self, mode: Mode) -> bool {
        let (streaming, synchronous) = self.standbys().await.unwrap_or_default();
        streaming == NODES as i64 - 1 && (synchronous > 0) == (mode == Mode::Synchronous)
    }

    /// How many standbys replicate from the primary, and how many of them are synchronous.
    async fn standbys(&self) -> Option<(i64, i64)> {
        let mut connection = PgConnection::connect(&self.url("postgres", "postgres"))
            .await
            .ok()?;
        sqlx::query_as(
            "select count(*), count(*) filter (where sync_state = 'sync')
             from pg_stat_replication
             where state = 'streaming' and application_name like 'db_'",
        )
        .fetch_one(&mut connection)
        .await
        .ok()
    }

    /// Requests a switch-over; returns as soon as the request is sent.
    pub fn switch_over(&self, leader: usize) {
        let node = &self.nodes[leader];
        let url = format!("http://127.0.0.1:{}/switchover", node.rest_port);
        let order = self.http.post(url).json(&json!({ "leader": node.name }));
        // The answer arrives after the switch-over; whether that took place is checked elsewhere.
        tokio::spawn(order.timeout(DEADLINE).send());
    }

    /// Creates Weir's role and database, as docs/postgresql.md says.
    pub async fn create_database(&self) -> String {
        let mut connection = PgConnection::connect(&self.url("postgres", "postgres"))
            .await
            .unwrap();
        for statement in [
            "create role weir login",
            "create database weir owner weir encoding 'UTF8' template template0",
        ] {
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        self.url("weir", "weir")
    }
}

impl Drop for Patroni {
    /// Copies the logs, which the watchdog would delete with everything else.
    fn drop(&mut self) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak_ha");
        let _ = std::fs::create_dir_all(&kept);
        let names = self.nodes.iter().map(|node| node.name.as_str());
        for name in names.chain(["haproxy", "etcd"]) {
            let log = self.root.join(name).join("log");
            let _ = std::fs::copy(log, kept.join(format!("{name}.log")));
        }
        eprintln!("the servers' logs are in {}", kept.display());
    }
}

fn start_etcd(root: &Path) -> (Child, u16) {
    let (client, peer) = (free_port(), free_port());
    let [client_url, peer_url] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
    let cluster = format!("etcd={peer_url}");
    let home = folder(root, "etcd");
    let arguments = [
        "--name=etcd",
        "--data-dir=data",
        "--listen-client-urls",
        &client_url,
        "--advertise-client-urls",
        &client_url,
        "--listen-peer-urls",
        &peer_url,
        "--initial-advertise-peer-urls",
        &peer_url,
        "--initial-cluster",
        &cluster,
    ];
    (spawn(&program("etcd"), &home, &arguments), client)
}

/// The file of `deploy/patroni`, with the addresses and directories of this soak.
fn settings(node: &Node, home: &Path, etcd_port: u16, mode: Mode) -> String {
    let text = include_str!("../../deploy/patroni/patroni.yml");
    let mut settings = YamlLoader::load_from_str(text).unwrap().remove(0);
    let local = |port: u16| Yaml::String(format!("127.0.0.1:{port}"));
    let path = |path: &Path| Yaml::String(path.display().to_string());
    let changes = [
        ("name", Yaml::String(node.name.clone())),
        ("etcd3/hosts", local(etcd_port)),
        ("restapi/listen", local(node.rest_port)),
        ("restapi/connect_address", local(node.rest_port)),
        (
            "bootstrap/dcs/synchronous_mode",
            Yaml::Boolean(mode == Mode::Synchronous),
        ),
        ("postgresql/listen", local(node.postgres_port)),
        (
            "postgresql/connect_address",
            local(node.replication.address().port()),
        ),
        ("postgresql/data_dir", path(&home.join("data"))),
        ("postgresql/bin_dir", path(&server_programs())),
        ("postgresql/parameters/unix_socket_directories", path(home)),
        ("watchdog/mode", Yaml::String("off".into())),
    ];
    for (key, value) in changes {
        *place(&mut settings, key) = value;
    }
    // Passwords are not tested here.
    let trusted = [
        "local all all trust",
        "host all all 127.0.0.1/32 trust",
        "host replication all 127.0.0.1/32 trust",
    ];
    *place(&mut settings, "postgresql/pg_hba") =
        Yaml::Array(trusted.map(|line| Yaml::String(line.into())).into());
    let mut text = String::new();
    YamlEmitter::new(&mut text).dump(&settings).unwrap();
    text
}

/// A setting that is in the file.
fn place<'a>(settings: &'a mut Yaml, key: &str) -> &'a mut Yaml {
    key.split('/').fold(settings, |at, part| {
        let Yaml::Hash(parts) = at else {
            panic!("{key} is in no section");
        };
        parts
            .get_mut(&Yaml::String(part.into()))
            .unwrap_or_else(|| panic!("deploy/patroni/patroni.yml has no {key}"))
    })
}

/// The file of `deploy/patroni`, with the addresses and directories of this soak.
fn haproxy(port: u16, nodes: &[Node]) -> String {
    let text = include_str!("../../deploy/patroni/haproxy.cfg");
    let mut nodes = nodes.iter();
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("bind") => format!("    bind 127.0.0.1:{port}"),
            Some("server") => {
                let node = nodes.next().expect("as many servers as in the file");
                let Node {
                    name,
                    postgres_port,
                    rest_port,
                    ..
                } = node;
                format!("    server {name} 127.0.0.1:{postgres_port} check port {rest_port}")
            }
            _ => line.to_owned(),
        })
        .collect();
    assert!(nodes.next().is_none(), "the file has a server for each");
    lines.join("\n") + "\n"
}

/// A folder that the programs' user may write to.
fn folder(root: &Path, name: &str) -> PathBuf {
    let folder = root.join(name);
    std::fs::create_dir(&folder).unwrap();
    give_away(root, &folder);
    folder
}

fn give_away(model: &Path, path: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    if is_root() {
        let owner = std::fs::metadata(model).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A port that stays free while its server is down: the system does not use this range for outgoing
/// connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ports = 12_000..32_000;
    let first = rand::rng().random_range(ports.start..ports.end - 1_000);
    let _ = NEXT.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(ports.contains(&port), "no port is free");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The directory with all of the server's programs, not only those linked elsewhere.
fn server_programs() -> PathBuf {
    let found = binaries()
        .expect("PostgreSQL is installed")
        .join("postgres");
    let server = std::fs::canonicalize(found).unwrap();
    server.parent().expect("a file is in a folder").to_owned()
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: `scripts/setup ha` does it"))
}
