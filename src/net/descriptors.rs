//! The number of files and sockets that this process may open, and who gets how many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors reserved for everything except connections of SDKs and agents: the database, the admin
/// listener, the workers.
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
    /// The gRPC listener.
    pub grpc: usize,
    /// The X-Ray listener.
    pub xray: usize,
    /// The admin listener.
    pub admin: usize,
}

/// Shares the descriptors out, after raising the process's limit to its hard limit. The listeners for
/// SDKs get as many connections as are wanted of each, if there are enough descriptors; the admin
/// listener gets a part of the others.
///
/// More connections would take the descriptors that the database needs.
#[must_use]
pub fn shares(wanted: Shares) -> Shares {
    let asked = Rlimit {
        current: getrlimit(Resource::Nofile).maximum,
        ..getrlimit(Resource::Nofile)
    };
    if let Err(error) = setrlimit(Resource::Nofile, asked) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let shares = of(limit, wanted);
    let of_sdks = |of: Shares| [of.sdk, of.grpc, of.xray];
    if of_sdks(shares) != of_sdks(wanted) {
        tracing::warn!(
            limit,
            sdk = shares.sdk,
            grpc = shares.grpc,
            xray = shares.xray,
            "fewer connections than --max-connections, --grpc-max-connections and \
             --xray-max-connections: raise the limit of open files (ulimit -n)"
        );
    }
    shares
}

/// The shares under a limit; `None` means no limit.
fn of(limit: Option<u64>, wanted: Shares) -> Shares {
    let limit = limit.unwrap_or(u64::MAX);
    let room = limit.saturating_sub(KEPT).max(limit / 2).max(1);
    let admin = ((limit - room.min(limit)) / ADMIN_PART).clamp(1, ADMIN_MOST);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    // If there is too little, each gets its part of what there is.
    let all = wanted.sdk.saturating_add(wanted.grpc);
    let all = all.saturating_add(wanted.xray);
    let part = |of: usize| match all <= room {
        true => of,
        false => (room as u128 * of as u128 / all as u128) as usize,
    };
    let (grpc, xray) = (part(wanted.grpc), part(wanted.xray));
    Shares {
        sdk: wanted.sdk.min(room - grpc - xray).max(1),
        grpc: grpc.max(wanted.grpc.min(1)),
        xray: xray.max(wanted.xray.min(1)),
        admin: usize::try_from(admin).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(sdk: usize, grpc: usize, xray: usize) -> Shares {
        Shares {
            sdk,
            grpc,
            xray,
            admin: 0,
        }
    }

    #[test]
    fn most_of_what_is_kept_stays_for_the_database() {
        for limit in [Some(64), Some(256), Some(1024), Some(65_536), None] {
            let shares = of(limit, wanted(10_000, 2_000, 1_000));
            let taken = shares.sdk + shares.grpc + shares.xray;
            let kept = limit.unwrap_or(u64::MAX) - taken as u64;
            assert!((shares.admin as u64) * 2 < kept, "{limit:?}: {shares:?}");
        }
        let shares = |limit, sdk, grpc| {
            let shares = of(Some(limit), wanted(sdk, grpc, 0));
            assert_eq!(shares.xray, 0);
            [shares.sdk, shares.grpc, shares.admin]
        };
        assert_eq!(shares(1024, 10_000, 2_000), [427, 85, 128]);
        assert_eq!(shares(1024, 10_000, 0), [512, 0, 128]);
        assert_eq!(shares(1024, 100, 20), [100, 20, 128]);
        assert_eq!(shares(65_536, 10_000, 2_000), [10_000, 2_000, 128]);
        assert_eq!(shares(256, 10_000, 2_000), [107, 21, 32]);
    }
}
