//! The number of files and sockets that this process may open, and who gets how many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors reserved for everything except connections to the SDK listener: the database, the
/// admin listener, the workers.
const KEPT: u64 = 512;

/// The most connections to the admin listener: operators, probes and a few Prometheus servers.
const ADMIN_MOST: u64 = 128;

/// One in this many of the reserved descriptors may be an admin connection. The database needs the
/// others.
const ADMIN_PART: u64 = 4;

/// The most connections of each listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// The SDK listener.
    pub sdk: usize,
    /// The admin listener.
    pub admin: usize,
}

/// Shares the descriptors out, after raising the process's limit to its hard limit. The SDK
/// listener gets `wanted` connections if there are enough descriptors.
///
/// More connections would take the descriptors that the database needs.
#[must_use]
pub fn shares(wanted: usize) -> Shares {
    let asked = Rlimit {
        current: getrlimit(Resource::Nofile).maximum,
        ..getrlimit(Resource::Nofile)
    };
    if let Err(error) = setrlimit(Resource::Nofile, asked) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let shares = of(limit, wanted);
    if shares.sdk < wanted {
        tracing::warn!(
            limit,
            wanted,
            connections = shares.sdk,
            "fewer connections than --max-connections: raise the limit of open files (ulimit -n)"
        );
    }
    shares
}

/// The shares under a limit; `None` means no limit.
fn of(limit: Option<u64>, wanted: usize) -> Shares {
    let limit = limit.unwrap_or(u64::MAX);
    let room = limit.saturating_sub(KEPT).max(limit / 2).max(1);
    let admin = ((limit - room.min(limit)) / ADMIN_PART).clamp(1, ADMIN_MOST);
    Shares {
        sdk: usize::try_from(room).unwrap_or(usize::MAX).min(wanted),
        admin: usize::try_from(admin).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_what_is_kept_stays_for_the_database() {
        for limit in [Some(64), Some(256), Some(1024), Some(65_536), None] {
            let shares = of(limit, 10_000);
            let kept = limit.unwrap_or(u64::MAX) - shares.sdk as u64;
            assert!((shares.admin as u64) * 2 < kept, "{limit:?}: {shares:?}");
        }
        assert_eq!(
            of(Some(1024), 10_000),
            Shares {
                sdk: 512,
                admin: 128
            }
        );
        assert_eq!(
            of(Some(65_536), 10_000),
            Shares {
                sdk: 10_000,
                admin: 128
            }
        );
        assert_eq!(
            of(Some(256), 10_000),
            Shares {
                sdk: 128,
                admin: 32
            }
        );
    }
}
