//! Files and sockets that this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for everything but the SDK listener's connections: the database, the admin
/// listener, the workers' own.
const KEPT: u64 = 512;

/// How many connections may be open at once, of those wanted: as many as there are descriptors
/// for, after raising the process's limit as far as it may raise it itself.
///
/// Accepting one more than that would take the descriptors that the database needs.
pub(super) fn connections(wanted: usize) -> usize {
    let asked = Rlimit {
        current: getrlimit(Resource::Nofile).maximum,
        ..getrlimit(Resource::Nofile)
    };
    if let Err(error) = setrlimit(Resource::Nofile, asked) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let room = limit.saturating_sub(KEPT).max(limit / 2).max(1);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::warn!(
            limit,
            wanted,
            connections = room,
            "fewer connections than --max-connections: raise the limit of open files (ulimit -n)"
        );
    }
    room.min(wanted)
}
