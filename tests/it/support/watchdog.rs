//! Cleans up after programs that tests start, however the tests' process ends.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Holds a pipe that a shell waits on; dropped, it waits until the shell has cleaned up.
#[derive(Debug)]
pub struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts a shell with this script, whose `$1` is `root`. The script has to begin by reading
    /// its input to the end, which comes when this process has ended.
    pub fn new(script: &str, root: &Path) -> Self {
        let mut process = Command::new("sh")
            .args(["-c", script, "watchdog"])
            .arg(root)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // In its own process group, so that an interrupt or a kill meant for the tests does not
            // reach it.
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let pipe = process.stdin.take();
        Self { process, pipe }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.process.wait();
    }
}
