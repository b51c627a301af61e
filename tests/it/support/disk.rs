//! A disk that can be full for one process, and later have space again.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::preload::{compile, preload};
use super::process::WeirCommand;

/// Whether a directory has free space, as seen by the processes started with [`Disk::of`].
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    library: PathBuf,
    directory: PathBuf,
}

impl Disk {
    /// A disk with free space that holds `directory`.
    pub fn holding(directory: &Path) -> Self {
        let folder = TempDir::new().expect("a directory");
        Self {
            library: compile("disk_full", folder.path()),
            folder,
            directory: directory.canonicalize().expect("a directory that exists"),
        }
    }

    /// Puts a process's files in the directory on this disk.
    pub fn of(&self, command: WeirCommand) -> WeirCommand {
        preload(command, &self.library)
            .environment("WEIR_FULL_DIRECTORY", &self.directory)
            .environment("WEIR_FULL_WHEN", self.mark())
    }

    /// Leaves no space: writing fails with ENOSPC.
    pub fn fill(&self) {
        std::fs::write(self.mark(), "").expect("the mark lies elsewhere");
    }

    /// Frees space again.
    pub fn make_room(&self) {
        std::fs::remove_file(self.mark()).expect("it was full");
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("full")
    }
}
