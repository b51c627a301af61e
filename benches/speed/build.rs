//! The release build, with only the sources fetched.

use std::process::Command;
use std::time::Instant;

use crate::table::{Row, seconds};

pub fn run() {
    let target = tempfile::tempdir().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let began = Instant::now();
    let built = Command::new(&cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--release", "--locked", "--quiet", "--bin", "weir"])
        .arg("--target-dir")
        .arg(target.path())
        .status()
        .unwrap();
    assert!(built.success());
    let took = began.elapsed().as_secs_f64();
    let tree = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--edges", "normal,build"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: std::collections::BTreeSet<&str> = tree.lines().collect();
    let what = format!("release build of {} crates from nothing", crates.len());
    Row::new(what, seconds(took), "").print();
}
