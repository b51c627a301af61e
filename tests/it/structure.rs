//! Holds the sources to the structure that ARCHITECTURE.md states.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may use of the crate. `app` and `lib` wire and may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("telemetry", &[]),
    ("health", &[]),
    ("access", &["allocation", "clock", "telemetry"]),
    ("http", &["access"]),
    (
        "oidc",
        &["access", "clock", "outgoing", "telemetry", "worker"],
    ),
    ("outgoing", &[]),
    (
        "alerts",
        &[
            "allocation",
            "clock",
            "health",
            "outgoing",
            "snapshot",
            "telemetry",
            "view",
        ],
    ),
    ("net", &["http", "telemetry"]),
    ("grpc", &["access", "health", "http", "net"]),
    ("supervise", &["telemetry"]),
    ("worker", &[]),
    ("observed", &["allocation", "store"]),
    ("clock", &["allocation"]),
    (
        "store",
        &["access", "allocation", "clock", "health", "telemetry"],
    ),
    (
        "configuration",
        &["allocation", "names", "store", "telemetry"],
    ),
    ("view", &["allocation", "clock", "names", "telemetry"]),
    ("names", &["allocation", "store", "telemetry", "worker"]),
    (
        "snapshot",
        &["allocation", "configuration", "names", "store", "worker"],
    ),
    (
        "ingest",
        &[
            "access",
            "allocation",
            "clock",
            "names",
            "observed",
            "snapshot",
            "store",
            "telemetry",
        ],
    ),
    (
        "jobs",
        &[
            "access",
            "allocation",
            "clock",
            "names",
            "health",
            "configuration",
            "observed",
            "snapshot",
            "store",
            "telemetry",
            "view",
            "worker",
        ],
    ),
    (
        "api",
        &[
            "access",
            "allocation",
            "clock",
            "names",
            "health",
            "http",
            "ingest",
            "configuration",
            "oidc",
            "observed",
            "snapshot",
            "store",
            "telemetry",
            "view",
        ],
    ),
    (
        "protocols",
        &[
            "access",
            "allocation",
            "clock",
            "grpc",
            "http",
            "ingest",
            "net",
            "observed",
            "snapshot",
            "store",
            "telemetry",
        ],
    ),
    (
        "console",
        &[
            "access",
            "allocation",
            "api",
            "clock",
            "health",
            "http",
            "oidc",
            "snapshot",
            "view",
        ],
    ),
    ("limits", &["allocation", "store"]),
    ("settings", &["access", "alerts", "limits", "oidc", "store"]),
    (
        "cli",
        &[
            "access",
            "allocation",
            "api",
            "app",
            "clock",
            "configuration",
            "settings",
            "simulate",
            "store",
            "telemetry",
            "view",
        ],
    ),
    ("main", &["cli"]),
];

/// Words that stand in no other part than these.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx::", &["store"]),
    ("prometheus::", &["telemetry"]),
    (
        "StatusCode",
        &["http", "grpc", "api", "console", "protocols"],
    ),
    ("std::env", &["settings", "cli"]),
    ("Utc::now", &["clock"]),
    ("SystemTime", &["clock"]),
    // Routes are registered through tables, which the contract test compares with openapi.yaml.
    ("resource(", &["http"]),
    (".route(", &["http"]),
];

/// Where in the store the driver stands: what is shared by all backends does not know it.
const DRIVER_IN: &[&str] = &["store/postgres/", "store/sqlite/", "store/fault"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A source file: the part it belongs to, its path and its code without comments.
struct Source {
    part: String,
    path: String,
    code: String,
}

fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let read = |path: PathBuf| {
        let relative = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let part = relative.split(['/', '.']).next().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        Source {
            part,
            path: relative,
            code: lines.collect::<Vec<_>>().join("\n"),
        }
    };
    found.into_iter().map(read).collect()
}

fn used(code: &str) -> BTreeSet<String> {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    code.split("crate::")
        .skip(1)
        .map(|rest| rest.split(ends).next().unwrap().to_owned())
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in all() {
        if ["app", "lib"].contains(&source.part.as_str()) {
            continue;
        }
        let allowed = MAY_USE.iter().find(|(part, _)| *part == source.part);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("no rule for {}", source.path));
        for used in used(&source.code) {
            if used != source.part && !allowed.contains(&used.as_str()) && !used.is_empty() {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_concern_has_one_home() {
    let mut wrong = Vec::new();
    for source in all() {
        for (word, homes) in ONLY_IN {
            if source.code.contains(word) && !homes.contains(&source.part.as_str()) {
                wrong.push(format!("{} holds {word}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Parts whose code runs for every request, and so writes its log lines through `log_seldom!`. An
/// operator's change is a line of its own, at `info`.
const ANSWERING: [&str; 6] = ["access", "api", "console", "http", "ingest", "protocols"];

#[test]
fn no_client_can_fill_the_log() {
    let mut wrong = Vec::new();
    for source in all() {
        for word in ["tracing::error!", "tracing::warn!"] {
            if source.code.contains(word) && ANSWERING.contains(&source.part.as_str()) {
                wrong.push(format!("{} holds {word}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_backends_share_knows_no_driver() {
    let knows = |source: &Source| source.part == "store" && source.code.contains("sqlx");
    let at_home = |path: &str| DRIVER_IN.iter().any(|home| path.starts_with(home));
    let (at_home, elsewhere): (Vec<_>, Vec<_>) = all()
        .into_iter()
        .filter(knows)
        .map(|source| source.path)
        .partition(|path| at_home(path));
    assert_eq!(elsewhere, Vec::<String>::new());
    assert!(!at_home.is_empty());
}

/// The backends are chosen in one place; everybody else knows a store.
#[test]
fn a_backend_is_named_only_where_it_is_chosen() {
    let backends = ["PostgresStore", "SqliteStore"];
    let names = |source: &Source| backends.iter().any(|name| source.code.contains(name));
    let named: Vec<String> = all()
        .into_iter()
        .filter(|source| source.part != "store" && names(source))
        .map(|source| source.path)
        .collect();
    assert_eq!(named, ["app.rs", "cli/migrate.rs", "cli/token/database.rs"]);
}
