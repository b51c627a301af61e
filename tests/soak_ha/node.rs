//! One PostgreSQL server under Patroni.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::proxy::Proxy;
use crate::support::system::{is_root, is_running, unprivileged, wait_until};

/// A program of the soak, whose log and working directory are its own folder.
///
/// Its processes are found by that folder: PostgreSQL leaves Patroni's process tree, but runs in
/// its data directory.
pub fn spawn(program: &Path, home: &Path, arguments: &[&str]) -> Child {
    let mut command = if is_root() {
        unprivileged(program)
    } else {
        Command::new(program)
    };
    let log = File::options()
        .create(true)
        .append(true)
        .open(home.join("log"))
        .unwrap();
    command
        .args(arguments)
        .current_dir(home)
        // Not the home directory of the user who started this: Patroni keeps its passwords there.
        .env("HOME", home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()))
}

/// A server and its Patroni.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub postgres_port: u16,
    pub rest_port: u16,
    /// The proxy through which standbys connect to this server. Clients connect directly.
    pub replication: Proxy,
    home: PathBuf,
    patroni: Option<Child>,
}

impl Node {
    pub fn new(
        name: String,
        postgres_port: u16,
        rest_port: u16,
        replication: Proxy,
        home: PathBuf,
    ) -> Self {
        Self {
            name,
            postgres_port,
            rest_port,
            replication,
            home,
            patroni: None,
        }
    }

    /// Starts Patroni, which starts PostgreSQL, or takes over the one that runs.
    pub fn start(&mut self, program: &Path) {
        assert!(self.patroni.is_none(), "{} runs", self.name);
        self.patroni = Some(spawn(program, &self.home, &["patroni.yml"]));
    }

    pub fn runs(&self) -> bool {
        self.patroni.is_some()
    }

    /// Kills Patroni only; PostgreSQL keeps running.
    pub fn kill_patroni(&mut self) {
        kill9(&processes_in(&self.home));
        if let Some(mut patroni) = self.patroni.take() {
            patroni.wait().unwrap();
        }
    }

    /// Kills PostgreSQL's processes, all at once, and waits until they are gone.
    pub fn kill_postgres(&self) {
        let data = self.home.join("data");
        let processes = processes_in(&data);
        assert!(!processes.is_empty(), "no PostgreSQL runs on {}", self.name);
        kill9(&processes);
        wait_until("PostgreSQL is gone", || {
            processes.iter().all(|process| !is_running(process))
        });
        // Where nothing reaps orphans, as in many containers, the next server would mistake the
        // zombie for another server that uses these files.
        for lock in [
            data.join("postmaster.pid"),
            self.home
                .join(format!(".s.PGSQL.{}.lock", self.postgres_port)),
        ] {
            let _ = std::fs::remove_file(lock);
        }
    }

    /// Kills both, as the loss of the machine would.
    pub fn kill(&mut self) {
        self.kill_patroni();
        self.kill_postgres();
    }
}

/// The processes that run in a directory.
fn processes_in(directory: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().into_string().ok());
    numbers
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|process| {
            std::fs::read_link(format!("/proc/{process}/cwd"))
                .is_ok_and(|working| working == directory)
        })
        .collect()
}

/// Some may have ended meanwhile, so that `kill` may complain.
fn kill9(processes: &[String]) {
    if processes.is_empty() {
        return;
    }
    let _ = Command::new("kill")
        .arg("-KILL")
        .args(processes)
        .stderr(Stdio::null())
        .status()
        .unwrap();
}
