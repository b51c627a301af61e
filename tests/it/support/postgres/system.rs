//! The operating system: where the server's programs are, which user runs them, and which processes
//! run.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The directory of the newest installed server's programs.
pub fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    folders.extend(versions.into_iter().map(|path| path.join("bin")));
    let complete = |folder: &PathBuf| {
        [
            "initdb",
            "pg_basebackup",
            "pg_ctl",
            "pg_dump",
            "pg_restore",
            "postgres",
        ]
        .iter()
        .all(|program| folder.join(program).exists())
    };
    folders.into_iter().find(complete)
}

/// A directory that the server's user can reach and whose path is short enough for a socket's name.
pub fn make_root() -> PathBuf {
    let root = PathBuf::from(format!("/tmp/weir-test-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&root).unwrap();
    if is_root() {
        let owner = user_number("-u");
        let group = user_number("-g");
        std::os::unix::fs::chown(&root, Some(owner), Some(group)).unwrap();
    }
    root
}

pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| first_line(Command::new("id").arg("-u")) == "0")
}

/// A numeric id of the user that the package creates for the server.
fn user_number(which: &str) -> u32 {
    let number = first_line(Command::new("id").args([which, "postgres"]));
    number
        .parse()
        .expect("there is a user «postgres» to run the server as")
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().expect("the program is there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn unprivileged(program: &Path) -> Command {
    let there = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).exists())
    };
    let mut command;
    if there("setpriv") {
        command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "--",
        ]);
        command.arg(program);
    } else if there("runuser") {
        command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
    } else {
        command = Command::new("su");
        command
            .args(["-s", "/bin/sh", "postgres", "-c", r#"exec "$0" "$@""#])
            .arg(program);
    }
    command
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| parent_of(*process) == Some(parent))
        .collect()
}

fn parent_of(process: u32) -> Option<u32> {
    status_field(&process.to_string(), "PPid:")?.parse().ok()
}

/// A zombie counts as ended.
pub fn is_running(process: &str) -> bool {
    status_field(process, "State:").is_some_and(|state| !state.starts_with('Z'))
}

fn status_field(process: &str, field: &str) -> Option<String> {
    let mut text = String::new();
    let mut file = std::fs::File::open(format!("/proc/{process}/status")).ok()?;
    file.read_to_string(&mut text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(value.trim().to_owned())
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
