//! Which listeners speak TLS, and with which files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// TLS of the listeners.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsSettings {
    /// File with the certificate that the listeners present, in PEM, followed by those between it
    /// and its authority. With it and --tls-key, the listeners speak TLS 1.2 and 1.3. Both files are
    /// read again when they change
    #[arg(long, env = "WEIR_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, in PEM and not encrypted. A warning says so if
    /// everybody on the machine may read it
    #[arg(long, env = "WEIR_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listeners that speak TLS if there is a --tls-cert; the others stay plain: sdk, grpc, xray, admin and
    /// observe (--observe-listen). May be repeated, or be a list separated by commas
    #[arg(
        long,
        env = "WEIR_TLS_LISTENERS",
        default_value = "sdk,grpc,xray,admin",
        value_name = "LISTENER",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub tls_listeners: Vec<TlsListener>,
    /// File with the authorities, in PEM, one of which must have signed the certificate that every
    /// client of the SDK listener presents. Read again when it changes. Without it, clients need no
    /// certificate
    #[arg(
        long,
        env = "WEIR_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub client_ca: Option<PathBuf>,
    /// The same for clients of the gRPC listener
    #[arg(
        long,
        env = "WEIR_GRPC_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub grpc_client_ca: Option<PathBuf>,
}

/// A listener that can speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsListener {
    /// For SDKs and agents.
    Sdk,
    /// For SDKs that speak gRPC.
    Grpc,
    /// For clients of X-Ray's protocol.
    Xray,
    /// For operators.
    Admin,
    /// For probes and Prometheus.
    Observe,
}

impl TlsSettings {
    pub(super) fn check(&self, problems: &mut Vec<String>) {
        for (flag, file, listener, name) in [
            ("--client-ca", &self.client_ca, TlsListener::Sdk, "sdk"),
            (
                "--grpc-client-ca",
                &self.grpc_client_ca,
                TlsListener::Grpc,
                "grpc",
            ),
        ] {
            if file.is_some() && !self.tls_listeners.contains(&listener) {
                problems.push(format!(
                    "{flag}: clients present certificates in TLS only; add {name} to \
                     --tls-listeners"
                ));
            }
        }
    }
}
