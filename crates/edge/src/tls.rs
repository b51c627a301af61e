//! Clients of HTTP, for Weir and backends, with TLS where the URL says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::send::Http;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections that nothing was sent on for this long are closed.
const IDLE: Duration = Duration::from_secs(60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum WrongAuthorities {
    /// The file cannot be read, or is no PEM.
    #[error("--ca {}: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The library refuses its own defaults.
    #[error("cannot set up TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// A client for each version of HTTP.
pub(crate) struct Clients {
    config: ClientConfig,
    /// HTTP/1.1.
    pub http: Http,
    /// HTTP/2, also without TLS, for gRPC.
    pub http2: Http,
}

impl Clients {
    /// Trusts the authorities in a file, or the system's.
    pub fn new(ca: Option<&Path>) -> Result<Self, WrongAuthorities> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities(ca)?)
            .with_no_client_auth();
        let builder = || {
            HttpsConnectorBuilder::new()
                .with_tls_config(config.clone())
                .https_or_http()
        };
        let http = builder().enable_http1().wrap_connector(tcp());
        let http2 = builder().enable_http2().wrap_connector(tcp());
        Ok(Self {
            http: pooled().build(http),
            http2: pooled().http2_only(true).build(http2),
            config,
        })
    }

    /// HTTP/1.1 to addresses of a host: its certificate must have this name.
    pub fn of_host(&self, host: &str) -> Option<Http> {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned()).ok()?;
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(self.config.clone())
            .https_or_http()
            .with_server_name_resolver(FixedServerNameResolver::new(name))
            .enable_http1()
            .wrap_connector(tcp());
        Some(pooled().build(https))
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp
}

fn pooled() -> legacy::Builder {
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
    client
}

fn authorities(ca: Option<&Path>) -> Result<RootCertStore, WrongAuthorities> {
    let mut trusted = RootCertStore::empty();
    let Some(file) = ca else {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(trusted);
    };
    let wrong = |why: String| WrongAuthorities::File {
        file: file.to_owned(),
        why,
    };
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(format!("{error:?}")))?;
        trusted
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if trusted.is_empty() {
        return Err(wrong("holds no certificate".into()));
    }
    Ok(trusted)
}
