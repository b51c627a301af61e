//! TLS: of the listeners, with files that change; to backends; between edges.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::Request;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::*;

/// Signs certificates, and writes them into a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self {
            issuer,
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().into()
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) {
        let names = ["localhost", "127.0.0.1"].map(String::from);
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), signed.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    fn client(&self, certificate: Option<&str>) -> ClientConfig {
        self.trusting("ca.pem", certificate)
    }

    fn trusting(&self, ca: &str, certificate: Option<&str>) -> ClientConfig {
        let mut trusted = RootCertStore::empty();
        trusted
            .add(CertificateDer::from_pem_file(self.file(ca)).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted);
        match certificate {
            None => config.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.file(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")));
                let shown = config.with_client_auth_cert(vec![chain.unwrap()], key.unwrap());
                shown.unwrap()
            }
        }
    }
}

/// The status of an export over TLS, or why there is none.
async fn export_over(config: ClientConfig, to: SocketAddr) -> Result<u16, String> {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only();
    let client = Client::builder(TokioExecutor::new()).build(https.enable_http1().build());
    let request = Request::post(format!("https://{to}/v1/traces"))
        .header(PROTOBUF.0, PROTOBUF.1)
        .body(Full::new(Bytes::from(bytes("shop", vec![span(1, 0)]))))
        .unwrap();
    let answered = client.request(request).await;
    let status = answered.map(|response| response.status().as_u16());
    status.map_err(|error| format!("{error:?}"))
}

fn flags(authority: &Authority) -> Vec<String> {
    let files = [("--tls-cert", "server.pem"), ("--tls-key", "server.key")];
    let flags = files
        .into_iter()
        .flat_map(|(flag, file)| [flag.to_owned(), authority.path(file)]);
    flags.collect()
}

async fn start(flags: &[String], more: &[&str]) -> Running {
    let mut line: Vec<&str> = flags.iter().map(|flag| &**flag).collect();
    line.extend(more);
    Running::start(&line).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listeners_speak_tls_ask_for_certificates_and_follow_their_files() {
    let authority = Authority::new();
    authority.sign("sender", ExtendedKeyUsagePurpose::ClientAuth);
    let ca = authority.path("ca.pem");
    let backend = Server::start(|_| status(200)).await;
    let edge = start(
        &flags(&authority),
        &["--backend", &backend.url(), "--client-ca", &ca],
    )
    .await;
    for to in [edge.addresses.http, edge.addresses.grpc] {
        assert_eq!(
            export_over(authority.client(Some("sender")), to).await,
            Ok(200)
        );
        assert!(export_over(authority.client(None), to).await.is_err());
    }
    // A client without TLS is told so.
    let (refused, answer) = edge
        .post("/v1/traces", &[PROTOBUF], bytes("shop", vec![span(1, 0)]))
        .await;
    assert_eq!(
        (refused, &answer[..]),
        (400, &b"this port speaks TLS: use https://"[..])
    );
    assert_eq!(
        edge.metric("weir_edge_tls_handshakes_total", &["plain"])
            .await,
        1.0
    );
    // Another authority signs from now on. First there is its certificate without its key.
    let next = Authority::new();
    std::fs::copy(next.file("server.pem"), authority.file("server.pem")).unwrap();
    edge.until_metric("weir_edge_tls_reloads_total", &["failed"], |failed| {
        failed == 1.0
    })
    .await;
    assert_eq!(
        export_over(authority.client(Some("sender")), edge.addresses.http).await,
        Ok(200)
    );
    std::fs::copy(next.file("server.key"), authority.file("server.key")).unwrap();
    edge.until_metric("weir_edge_tls_reloads_total", &["succeeded"], |reloads| {
        reloads >= 1.0
    })
    .await;
    let old = authority.client(Some("sender"));
    assert!(export_over(old, edge.addresses.http).await.is_err());
    // The senders' authority stays the same.
    std::fs::rename(next.file("ca.pem"), authority.file("servers.pem")).unwrap();
    let new = authority.trusting("servers.pem", Some("sender"));
    assert_eq!(export_over(new, edge.addresses.http).await, Ok(200));
    edge.stop().await;
}

/// An edge is a backend that speaks TLS: over HTTP, and over gRPC.
#[tokio::test(flavor = "multi_thread")]
async fn backends_are_spoken_to_over_tls_and_a_stranger_is_not_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let last = Server::start(|_| status(200)).await;
    let all = ["--initial-probability", "1", "--backend"];
    let behind = start(&flags(&authority), &[&all[..], &[&*last.url()]].concat()).await;
    let (http, grpc) = (
        format!("https://localhost:{}", behind.addresses.http.port()),
        format!("grpcs://127.0.0.1:{}", behind.addresses.grpc.port()),
    );
    let (ca, other_ca) = (authority.path("ca.pem"), stranger.path("ca.pem"));
    let mut sent = 0.0;
    for backend in [&http, &grpc] {
        let edge = start(&[], &[&all[..], &[backend, "--ca", &ca]].concat()).await;
        edge.traces(bytes("shop", vec![span(sent as u64, 0)])).await;
        sent += 1.0;
        edge.until_metric("weir_edge_spans_sent_total", &[], |spans| spans == 1.0)
            .await;
        edge.stop().await;
        behind
            .until_metric("weir_edge_spans_sent_total", &[], |spans| spans == sent)
            .await;
        let edge = start(
            &[],
            &[&all[..], &[backend, "--ca", &other_ca, "--retry-for", "0s"]].concat(),
        )
        .await;
        edge.traces(bytes("shop", vec![span(10, 0)])).await;
        edge.until_metric("weir_edge_spans_lost_total", &["retries"], |lost| {
            lost == 1.0
        })
        .await;
        edge.stop().await;
    }
    assert_eq!(taken_spans(&last).len(), 2);
    behind.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_speak_to_each_other_over_tls() {
    let authority = Authority::new();
    let (ca, secret) = (authority.path("ca.pem"), authority.path("secret"));
    std::fs::write(&secret, "0123456789abcdef").unwrap();
    let ports = [(); 2].map(|()| peers::free_port());
    let all = ports.map(|port| format!("localhost:{port}")).join(",");
    let mut edges = Vec::new();
    for port in ports {
        let listen = format!("127.0.0.1:{port}");
        let more = [
            "--backend",
            "http://127.0.0.1:9",
            "--ca",
            &ca,
            "--peers",
            &all,
        ];
        let peers = ["--peer-listen", &listen, "--peer-secret-file", &secret];
        edges.push(start(&flags(&authority), &[&more[..], &peers[..]].concat()).await);
    }
    for edge in &edges {
        edge.until_metric("weir_edge_edges", &[], |edges| edges == 2.0)
            .await;
    }
    for edge in edges {
        edge.stop().await;
    }
}
