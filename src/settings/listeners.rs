//! The addresses for SDKs, agents and operators, and their limits.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use clap::Args;

use super::parse::{AddressOrOff, HOUR, SECOND, address, address_or_off, count, duration};

/// Where SDKs poll over gRPC unless told otherwise: Jaeger's port.
pub const GRPC_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 14250));

/// The listeners.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Listeners")]
pub struct ListenerSettings {
    /// Address for SDKs and agents, who poll strategies and send reports. Port 0 takes a free port
    #[arg(
        long,
        env = "WEIR_LISTEN",
        default_value = "127.0.0.1:5778",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub listen: SocketAddr,
    /// Address for SDKs that poll strategies over gRPC, or off. It also answers
    /// polls over HTTP/1.1. If the default is in use, a warning says so, and gRPC is off
    #[arg(
        long,
        env = "WEIR_GRPC_LISTEN",
        default_value_t = AddressOrOff(Some(GRPC_DEFAULT)),
        value_name = "ADDRESS",
        value_parser = address_or_off
    )]
    pub grpc_listen: AddressOrOff,
    /// Address for clients of X-Ray's centralised sampling (its port is 2000), or off
    #[arg(
        long,
        env = "WEIR_XRAY_LISTEN",
        default_value_t = AddressOrOff(None),
        value_name = "ADDRESS",
        value_parser = address_or_off
    )]
    pub xray_listen: AddressOrOff,
    /// Address for operators: the admin API and health. Beyond loopback it needs TLS, and everybody a
    /// token
    #[arg(
        long,
        env = "WEIR_ADMIN_LISTEN",
        default_value = "127.0.0.1:8778",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub admin_listen: SocketAddr,
    /// Address for probes and Prometheus alone: /livez, /readyz and /metrics, without a token; or off. In plain
    /// HTTP, unless --tls-listeners names observe. They stay on the admin listener, too
    #[arg(
        long,
        env = "WEIR_OBSERVE_LISTEN",
        default_value_t = AddressOrOff(None),
        value_name = "ADDRESS",
        value_parser = address_or_off
    )]
    pub observe_listen: AddressOrOff,
    /// Let everybody who reaches the admin listener do everything, without a token and without TLS, even
    /// beyond loopback
    #[arg(long, env = "WEIR_INSECURE_ADMIN")]
    pub insecure_admin: bool,
    /// Most open connections on the SDK listener, 1 to 1000000
    #[arg(
        long,
        env = "WEIR_MAX_CONNECTIONS",
        default_value = "10000",
        value_name = "N",
        value_parser = count(1_usize, 1_000_000)
    )]
    pub max_connections: usize,
    /// Most open connections on the gRPC listener, 1 to 1000000. One takes several times the memory
    /// of one on the SDK listener
    #[arg(
        long,
        env = "WEIR_GRPC_MAX_CONNECTIONS",
        default_value = "2000",
        value_name = "N",
        value_parser = count(1_usize, 1_000_000)
    )]
    pub grpc_max_connections: usize,
    /// Most open connections on the X-Ray listener, 1 to 1000000
    #[arg(
        long,
        env = "WEIR_XRAY_MAX_CONNECTIONS",
        default_value = "2000",
        value_name = "N",
        value_parser = count(1_usize, 1_000_000)
    )]
    pub xray_max_connections: usize,
    /// How long a connection to the SDK, the gRPC or the X-Ray listener may be idle between two requests, 1s to
    /// 1h
    #[arg(
        long,
        env = "WEIR_IDLE_TIMEOUT",
        default_value = "5s",
        value_name = "DURATION",
        value_parser = duration(SECOND, HOUR)
    )]
    pub idle_timeout: Duration,
    /// Host name that the admin listener and --observe-listen answer to, besides IP addresses and
    /// localhost. May be repeated, or be a list separated by commas
    #[arg(
        long,
        env = "WEIR_ADMIN_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub admin_host: Vec<String>,
    /// How long to go on serving after SIGTERM while /readyz answers 503, so that load balancers
    /// notice, 0s to 1h
    #[arg(
        long,
        env = "WEIR_STOP_DELAY",
        default_value = "0s",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, HOUR)
    )]
    pub stop_delay: Duration,
    /// How long the stop may take after that, 1s to 1h: requests, commits, jobs, the lease
    #[arg(
        long,
        env = "WEIR_STOP_TIMEOUT",
        default_value = "20s",
        value_name = "DURATION",
        value_parser = duration(SECOND, HOUR)
    )]
    pub stop_timeout: Duration,
}
