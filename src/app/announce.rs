//! The line in the log that says where everything listens: URLs that a terminal lets people click.

use std::net::SocketAddr;

use super::Parts;
use crate::net::listener::Listener;
use crate::telemetry::metrics::ListenerName;

impl Parts {
    pub(super) fn log_start(
        &self,
        sdk: &Listener,
        [grpc, xray, observe]: [&Option<Listener>; 3],
        admin: &Listener,
    ) {
        let encrypted = |of| self.encrypted.speaks_tls(of);
        let optional = |listener: &Option<Listener>, of| match listener {
            Some(listener) => url(listener.address(), encrypted(of)),
            None => "off".to_owned(),
        };
        tracing::info!(
            sdk = %url(sdk.address(), encrypted(ListenerName::Sdk)),
            grpc = %optional(grpc, ListenerName::Grpc),
            xray = %optional(xray, ListenerName::Xray),
            admin = %url(admin.address(), encrypted(ListenerName::Admin)),
            observe = %optional(observe, ListenerName::Observe),
            admin_access = self.admin_access(),
            tls = self.encrypted.names(),
            database = self.settings.database.place().describe(),
            interval = %humantime::format_duration(self.shared.interval),
            plan = self.shared.served.load().plan().number,
            "listening"
        );
    }
}

/// The address as a URL. One that stands for all addresses of the machine is one of them here.
fn url(address: SocketAddr, encrypted: bool) -> String {
    let scheme = if encrypted { "https" } else { "http" };
    match address.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_a_url_that_can_be_opened() {
        for (address, encrypted, expected) in [
            ("127.0.0.1:8778", false, "http://127.0.0.1:8778"),
            ("[::1]:8778", true, "https://[::1]:8778"),
            ("0.0.0.0:5778", false, "http://localhost:5778"),
            ("[::]:14250", false, "http://localhost:14250"),
        ] {
            assert_eq!(url(address.parse().unwrap(), encrypted), expected);
        }
    }
}
