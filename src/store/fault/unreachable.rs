//! Why there is no connection.

use std::fmt;
use std::io::ErrorKind;

use super::cause::{Passing, described};
use super::code;

/// Why there is no connection: the host, and what it or the network said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    said: String,
    /// The kind of failure for clients.
    pub(super) passing: Passing,
    /// Whether another attempt within a second may succeed.
    pub passes_soon: bool,
    /// Whether the settings are wrong, so that only changing them helps.
    pub is_misconfigured: bool,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl Unreachable {
    fn of(said: String) -> Self {
        Self {
            said,
            passing: Passing::Away,
            passes_soon: false,
            is_misconfigured: false,
        }
    }

    /// A host that refused an attempt, or broke it off.
    pub fn connecting(host: &str, error: &sqlx::Error) -> Self {
        let code = code(error);
        let code = code.as_deref();
        // For example, a certificate that is not trusted.
        let invalid = |error: &std::io::Error| error.kind() == ErrorKind::InvalidData;
        let (broken, is_misconfigured) = match error {
            sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => (false, true),
            sqlx::Error::Io(error) => (!invalid(error), invalid(error)),
            sqlx::Error::Protocol(_) => (true, false),
            _ => (false, false),
        };
        Self {
            is_misconfigured,
            // Starting, stopping or crashed; or a proxy that has no server yet.
            passes_soon: broken || matches!(code, Some("53300" | "57P01" | "57P02" | "57P03")),
            passing: match code {
                Some("53300") => Passing::NoConnection,
                _ => Passing::Away,
            },
            ..Self::of(format!("{host}: {}", described(error)))
        }
    }

    /// A host that is not suitable at the moment.
    pub fn not_yet(host: &str, why: &str) -> Self {
        Self::of(format!("{host}: {why}"))
    }

    /// Settings that are wrong.
    pub fn misconfigured(problem: &str) -> Self {
        Self {
            is_misconfigured: true,
            ..Self::of(problem.to_owned())
        }
    }

    /// All connections were in use for as long as a call waits.
    pub fn all_in_use(connections: u32) -> Self {
        Self {
            passing: Passing::NoConnection,
            ..Self::of(format!("all {connections} connections are in use"))
        }
    }

    /// The process is stopping.
    pub fn closed() -> Self {
        Self {
            passing: Passing::Stopping,
            ..Self::of("the store was closed".to_owned())
        }
    }

    /// Whether the server has reached its limit of connections.
    pub fn has_no_place(&self) -> bool {
        self.passing == Passing::NoConnection
    }

    /// None of several hosts gave a connection.
    pub fn none_of(hosts: Vec<Self>) -> Self {
        let any = |which: fn(&Self) -> bool| hosts.iter().any(which);
        let said: Vec<&str> = hosts.iter().map(|host| host.said.as_str()).collect();
        Self {
            passes_soon: any(|host| host.passes_soon),
            passing: match any(Self::has_no_place) {
                true => Passing::NoConnection,
                false => Passing::Away,
            },
            is_misconfigured: !any(|host| !host.is_misconfigured),
            ..Self::of(said.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_are_all_named() {
        let first = Unreachable::not_yet("a:1", "the server is a standby");
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let second = Unreachable::connecting("b:2", &refused.into());
        let none = Unreachable::none_of(vec![first, second]);
        assert_eq!(
            none.to_string(),
            "a:1: the server is a standby; b:2: connection refused"
        );
        assert!(none.passes_soon && !none.is_misconfigured);
    }
}
