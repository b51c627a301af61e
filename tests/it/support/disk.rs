//! A disk that is full for one process, and has room again.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::WeirCommand;

/// Whether a directory has room, as seen by the processes started with [`Disk::of`].
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    directory: PathBuf,
}

impl Disk {
    /// A disk with room that holds `directory`. Needs a C compiler, as building Weir does.
    pub fn holding(directory: &Path) -> Self {
        let folder = TempDir::new().expect("a directory");
        let directory = directory.canonicalize().expect("a directory that exists");
        let disk = Self { folder, directory };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/disk_full.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(disk.library())
            .args([source, "-ldl"])
            .status()
            .expect("there is a C compiler");
        assert!(compiled.success(), "{source} compiles");
        disk
    }

    /// Puts a process's files in the directory on this disk.
    pub fn of(&self, command: WeirCommand) -> WeirCommand {
        command
            .environment("LD_PRELOAD", self.library())
            .environment("WEIR_FULL_DIRECTORY", &self.directory)
            .environment("WEIR_FULL_WHEN", self.mark())
    }

    /// Leaves no room: writing fails with ENOSPC.
    pub fn fill(&self) {
        std::fs::write(self.mark(), "").expect("the mark lies elsewhere");
    }

    /// Makes room.
    pub fn make_room(&self) {
        std::fs::remove_file(self.mark()).expect("it was full");
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("disk_full.so")
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("full")
    }
}
