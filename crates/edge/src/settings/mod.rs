//! The settings of `weir edge`: flags and environment variables, each defined once.

mod backend;
mod parse;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use weir_tls::TlsFiles;

pub use self::backend::{Backend, Protocol, WrongBackend};
use self::parse::{HOUR, MINUTE, SECOND, address, bytes, count, duration, host_and_port, number};

/// The smallest bound of memory that leaves room for bodies and segments.
const MEMORY_LEAST: usize = 16 << 20;

/// A TiB.
const MEMORY_MOST: usize = 1 << 40;

/// Takes traces in OTLP, decides about whole traces, and sends on what is kept.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Settings {
    /// The listener of Weir for SDKs and agents. Without it, probabilities come from --plan-file, or are
    /// --initial-probability
    #[arg(long, env = "WEIR_EDGE_WEIR", value_name = "URL")]
    pub weir: Option<String>,
    /// File with the token that Weir asks of agents
    #[arg(long, env = "WEIR_EDGE_WEIR_TOKEN_FILE", value_name = "FILE")]
    pub weir_token_file: Option<PathBuf>,
    /// Send metrics that pass to Weir, too, which counts requests from them. Those of tail-governed services are left
    /// out: this edge counts these
    #[arg(long, env = "WEIR_EDGE_METRICS_TO_WEIR", requires = "weir")]
    pub metrics_to_weir: bool,
    /// Where kept spans go, and metrics and logs: http:// or https:// for OTLP over HTTP, grpc:// or grpcs:// for
    /// gRPC. May be repeated: each backend gets everything
    #[arg(
        long,
        env = "WEIR_EDGE_BACKEND",
        value_name = "URL",
        value_delimiter = ',',
        required = true
    )]
    pub backend: Vec<String>,
    /// File with headers for backends, one a line: "NAME: VALUE", or "N NAME: VALUE" for the Nth backend
    /// if there are several
    #[arg(long, env = "WEIR_EDGE_BACKEND_HEADERS_FILE", value_name = "FILE")]
    pub backend_headers_file: Option<PathBuf>,
    /// How bodies for backends are compressed
    #[arg(
        long,
        env = "WEIR_EDGE_BACKEND_COMPRESSION",
        value_enum,
        default_value = "gzip",
        value_name = "HOW"
    )]
    pub backend_compression: Compression,
    /// File with the authorities, in PEM, that sign the certificates of Weir and of backends [default: the system's]
    #[arg(long, env = "WEIR_EDGE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Address for OTLP over gRPC. It also answers OTLP over HTTP
    #[arg(
        long,
        env = "WEIR_EDGE_GRPC_LISTEN",
        default_value = "127.0.0.1:4317",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub grpc_listen: SocketAddr,
    /// Address for OTLP over HTTP. It also answers OTLP over gRPC
    #[arg(
        long,
        env = "WEIR_EDGE_HTTP_LISTEN",
        default_value = "127.0.0.1:4318",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub http_listen: SocketAddr,
    /// Address for /metrics, /healthz and /readyz
    #[arg(
        long,
        env = "WEIR_EDGE_ADMIN_LISTEN",
        default_value = "127.0.0.1:8780",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub admin_listen: SocketAddr,
    /// File with the certificate of the listeners for senders and other edges, and those between it and its authority, in
    /// PEM. With it, these listeners speak TLS alone. Read again when it changes
    #[arg(
        long,
        env = "WEIR_EDGE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// File with the key of this certificate, in PEM
    #[arg(
        long,
        env = "WEIR_EDGE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// File with the authorities, in PEM, one of which must have signed the certificate of every sender
    #[arg(
        long,
        env = "WEIR_EDGE_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub client_ca: Option<PathBuf>,
    /// The edges that decide together, host:port of the --peer-listen of each: one for each edge, or a name that stands for
    /// all of them. Looked up again every 2s. This edge may be among them
    #[arg(
        long,
        env = "WEIR_EDGE_PEERS",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        value_parser = host_and_port
    )]
    pub peers: Vec<String>,
    /// Address for the other edges, if there are --peers
    #[arg(
        long,
        env = "WEIR_EDGE_PEER_LISTEN",
        default_value = "127.0.0.1:4319",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub peer_listen: SocketAddr,
    /// File with the secret that edges share, required with --peers. One a line: each is accepted, the first one is sent
    #[arg(long, env = "WEIR_EDGE_PEER_SECRET_FILE", value_name = "FILE")]
    pub peer_secret_file: Option<PathBuf>,
    /// This edge's name in Weir's list of agents [default: weir-edge- and the host's name]
    #[arg(long, env = "WEIR_EDGE_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// File where the last plan is kept for the next start
    #[arg(long, env = "WEIR_EDGE_PLAN_FILE", value_name = "FILE")]
    pub plan_file: Option<PathBuf>,
    /// The probability of every trace before the first plan, 0 to 1
    #[arg(
        long,
        env = "WEIR_EDGE_INITIAL_PROBABILITY",
        default_value = "0.1",
        value_name = "P",
        value_parser = number(0.0, 1.0)
    )]
    pub initial_probability: f64,
    /// The most memory for what grows with traffic, 16MiB to 1TiB: held spans, bodies, queues
    #[arg(
        long,
        env = "WEIR_EDGE_MEMORY",
        default_value = "512MiB",
        value_name = "SIZE",
        value_parser = bytes(MEMORY_LEAST, MEMORY_MOST)
    )]
    pub memory: usize,
    /// How long after its root has come a trace is decided, 0s to 1m
    #[arg(
        long,
        env = "WEIR_EDGE_DECISION_DELAY",
        default_value = "2s",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, MINUTE)
    )]
    pub decision_delay: Duration,
    /// How long a trace waits for its root, 1s to 5m
    #[arg(
        long,
        env = "WEIR_EDGE_TRACE_TIMEOUT",
        default_value = "30s",
        value_name = "DURATION",
        value_parser = duration(SECOND, 5 * MINUTE)
    )]
    pub trace_timeout: Duration,
    /// The most spans of a trace that are held; and as many that come late are sent on, 1 to 1000000
    #[arg(
        long,
        env = "WEIR_EDGE_TRACE_SPANS_MAX",
        default_value = "10000",
        value_name = "N",
        value_parser = count(1_u32, 1_000_000)
    )]
    pub trace_spans_max: u32,
    /// The longest span that is taken, 1KiB to 512KiB
    #[arg(
        long,
        env = "WEIR_EDGE_SPAN_BYTES_MAX",
        default_value = "256KiB",
        value_name = "SIZE",
        value_parser = bytes(1 << 10, 512 << 10)
    )]
    pub span_bytes_max: usize,
    /// The most attributes of a kept span, 1 to 10000: further ones are dropped [default: no limit]
    #[arg(
        long,
        env = "WEIR_EDGE_ATTRIBUTES_MAX",
        value_name = "N",
        value_parser = count(1_u32, 10_000)
    )]
    pub attributes_max: Option<u32>,
    /// The longest value of an attribute of a kept span, 64 to 524288 bytes: texts and bytes are cut, lists dropped
    /// [default: no limit]
    #[arg(
        long,
        env = "WEIR_EDGE_ATTRIBUTE_BYTES_MAX",
        value_name = "BYTES",
        value_parser = count(64_usize, 512 << 10)
    )]
    pub attribute_bytes_max: Option<usize>,
    /// The longest body, before and after decompression, 64KiB to 64MiB
    #[arg(
        long,
        env = "WEIR_EDGE_BODY_BYTES_MAX",
        default_value = "16MiB",
        value_name = "SIZE",
        value_parser = bytes(64 << 10, 64 << 20)
    )]
    pub body_bytes_max: usize,
    /// Services and operations that are told apart, 10 to 1000000
    #[arg(
        long,
        env = "WEIR_EDGE_OPERATIONS_MAX",
        default_value = "5000",
        value_name = "N",
        value_parser = count(10_usize, 1_000_000)
    )]
    pub operations_max: usize,
    /// Most open connections of senders on each listener, 1 to 100000
    #[arg(
        long,
        env = "WEIR_EDGE_MAX_CONNECTIONS",
        default_value = "2000",
        value_name = "N",
        value_parser = count(1_usize, 100_000)
    )]
    pub max_connections: usize,
    /// How long bodies for a backend are collected, 0s to 10s
    #[arg(
        long,
        env = "WEIR_EDGE_BATCH_DELAY",
        default_value = "200ms",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, 10 * SECOND)
    )]
    pub batch_delay: Duration,
    /// How long a batch that a backend does not take is tried again, 0s to 1h
    #[arg(
        long,
        env = "WEIR_EDGE_RETRY_FOR",
        default_value = "60s",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, HOUR)
    )]
    pub retry_for: Duration,
    /// How often counts are reported to Weir, 1s to 1m
    #[arg(
        long,
        env = "WEIR_EDGE_REPORT_INTERVAL",
        default_value = "10s",
        value_name = "DURATION",
        value_parser = duration(SECOND, MINUTE)
    )]
    pub report_interval: Duration,
    /// Give kept spans the attributes sampler.type and sampler.param of Jaeger's clients, too
    #[arg(long, env = "WEIR_EDGE_JAEGER_ATTRIBUTES")]
    pub jaeger_attributes: bool,
    /// How long to go on taking spans after SIGTERM while /readyz answers 503, 0s to 1h
    #[arg(
        long,
        env = "WEIR_EDGE_STOP_DELAY",
        default_value = "0s",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, HOUR)
    )]
    pub stop_delay: Duration,
    /// How long the stop may take after that, 1s to 1h: requests, queues, the last report
    #[arg(
        long,
        env = "WEIR_EDGE_STOP_TIMEOUT",
        default_value = "20s",
        value_name = "DURATION",
        value_parser = duration(SECOND, HOUR)
    )]
    pub stop_timeout: Duration,
}

// Shown below the flags.
const EXAMPLES: &str = "\
Examples:
  One Jaeger, with plans from Weir:
    weir edge --weir http://weir:5778 --backend http://jaeger:4318

  Two backends, one of them over gRPC with TLS and a key, and the last plan kept across restarts:
    weir edge --weir http://weir:5778 --backend http://jaeger:4318 --backend grpcs://otlp.example.com:443 \\
      --backend-headers-file headers.txt --plan-file /var/lib/weir-edge/plan.json
    where headers.txt has: 2 api-key: …

  Without a Weir, one trace in a hundred:
    weir edge --initial-probability 0.01 --backend http://jaeger:4318";

impl Settings {
    /// The files of TLS of a listener that asks clients for certificates, or does not; none without TLS.
    pub(crate) fn tls(&self, asks: bool) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
            client_ca: self.client_ca.clone().filter(|_| asks),
        })
    }
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// With gzip.
    Gzip,
    /// Not at all.
    None,
}

/// The parts of `--memory`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    pub ring: usize,
    pub table: usize,
    pub decisions: usize,
    pub bodies: usize,
    pub queues: usize,
    pub peers: usize,
}

impl Settings {
    pub(crate) fn shares(&self) -> Shares {
        Shares {
            ring: self.memory / 2,
            table: self.memory / 16,
            decisions: self.memory / 16,
            bodies: self.memory / 8,
            queues: self.memory / 4 - self.memory / 32,
            peers: self.memory / 32,
        }
    }
}
