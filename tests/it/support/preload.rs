//! Libraries in C that are preloaded into a Weir to simulate faults of the operating system.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::WeirCommand;

/// Compiles `tests/it/support/<name>.c` into a folder. Needs a C compiler, as building Weir does.
pub fn compile(name: &str, folder: &Path) -> PathBuf {
    let library = folder.join(name).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support");
    let source = source.join(name).with_extension("c");
    let compiled = Command::new("cc")
        .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("there is a C compiler");
    assert!(compiled.success(), "{} compiles", source.display());
    library
}

/// Starts a command with a library preloaded.
pub fn preload(command: WeirCommand, library: &Path) -> WeirCommand {
    command.environment("LD_PRELOAD", library)
}
