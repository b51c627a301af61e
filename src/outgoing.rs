//! The client for what Weir asks or tells others: the provider of OpenID Connect, the receiver of alerts.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A client over HTTP/1.1, with TLS where the URL says so. It follows no redirects.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts the system's authorities (`SSL_CERT_FILE` names others). It keeps no connection: what it sends
/// is minutes apart.
#[must_use]
pub fn client(connect: Duration) -> Client {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(ring::default_provider().into());
    let config = config
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions");
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(connect));
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_root_certificates(trusted).with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.pool_max_idle_per_host(0).build(connector)
}
