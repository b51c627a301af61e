//! TLS on the listeners: who may connect, what each side sees, and files that change.

mod bounds;
mod clients;
mod files;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::support::app::TestApp;
use crate::support::grpc::poll;
use crate::support::process::WeirProcess;
use crate::support::scrape::Scrape;
use crate::support::tls::{Authority, Secret, TlsClient, Valid, address};

const DEADLINE: Duration = Duration::from_secs(60);

/// A Weir whose listeners for SDKs speak TLS, and its admin listener does not.
async fn start(secret: &Secret, flags: &[&str]) -> (TestApp, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let mut all: Vec<&str> = own.iter().map(String::as_str).collect();
    all.extend(["--tls-listeners", "sdk,grpc,xray"]);
    all.extend(["--xray-listen", "127.0.0.1:0"]);
    all.extend(flags);
    (TestApp::start(directory.path(), &all).await, directory)
}

/// A gRPC channel that accepts servers of an authority.
fn channel(url: &str, trust: ClientTlsConfig) -> Channel {
    let url = url.replace("http://127.0.0.1", "https://localhost");
    let endpoint = Channel::from_shared(url).unwrap();
    endpoint.tls_config(trust).unwrap().connect_lazy()
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

async fn handshakes(app: &TestApp, listener: &str, outcome: &str) -> f64 {
    let series =
        format!("weir_tls_handshakes_total{{listener=\"{listener}\",outcome=\"{outcome}\"}}");
    Scrape::of(app).await.value(&series)
}

#[tokio::test]
async fn every_listener_speaks_both_versions_and_says_what_it_speaks_inside() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let mut flags: Vec<&str> = own.iter().map(String::as_str).collect();
    flags.extend(["--xray-listen", "127.0.0.1:0"]);
    flags.extend(["--observe-listen", "127.0.0.1:0"]);
    flags.extend(["--tls-listeners", "sdk,grpc,xray,admin,observe"]);
    let app = TestApp::start(directory.path(), &flags).await;
    let client = TlsClient::trusting(&authority.pem());
    for (url, inside) in [
        (app.sdk.as_str(), "http/1.1"),
        (app.grpc(), "h2"),
        (app.xray(), "http/1.1"),
        (&app.admin, "http/1.1"),
        (app.observe.as_deref().unwrap(), "http/1.1"),
    ] {
        for version in [&TLS12, &TLS13] {
            let of_version = client.clone().only(version);
            let answer = of_version.get(url, "/livez").await.unwrap();
            assert_eq!(answer.status, 200, "{url}: {}", answer.text);
        }
        let both = client.clone().speaking(&["h2", "http/1.1"]);
        let stream = both.connect(url).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol();
        assert_eq!(chosen, Some(inside.as_bytes()), "{url}");
        let older = client.clone().speaking(&["http/1.1"]);
        let answer = older.get(url, "/readyz").await.unwrap();
        assert_eq!(answer.status, 200, "{url}");
    }
    let polled = client.get(&app.sdk, "/sampling?service=a").await.unwrap();
    assert!(polled.text.contains("\"strategyType\""), "{}", polled.text);
    let channel = channel(app.grpc(), trusting(&authority));
    poll(&channel, "a", None).await.expect("a poll over gRPC");
    drop(channel);
    app.stop().await;
}

#[tokio::test]
async fn clients_that_do_not_speak_tls_hear_so_and_fill_no_log() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let directory = tempfile::tempdir().unwrap();
    let weir = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .flag("--tls-cert", secret.file("tls.crt"))
        .flag("--tls-key", secret.file("tls.key"))
        .flag("--tls-listeners", "sdk,grpc")
        .start()
        .await;
    for url in [weir.sdk_url(), weir.grpc_url()] {
        for _ in 0..20 {
            let answer = reqwest::get(format!("{url}/sampling?service=a")).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 400);
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert!(answer.text().await.unwrap().contains("use https"));
        }
        let said = exchange(url, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert_eq!(said[3], 4, "SETTINGS come first: {said:?}");
        assert_eq!(said[9 + 3], 7, "then GOAWAY: {said:?}");
        assert!(said.ends_with(b"use https"), "{said:?}");
        assert_eq!(exchange(url, b"\0\0\0\0").await, b"");
    }
    let plain = |listener: &str| {
        format!("weir_tls_handshakes_total{{listener=\"{listener}\",outcome=\"plain\"}}")
    };
    let counted = Scrape::of_process(&weir).await.unwrap();
    assert_eq!(counted.value(&plain("sdk")), 22.0);
    assert_eq!(counted.value(&plain("grpc")), 22.0);
    for level in ["ERROR", "WARN"] {
        assert_eq!(weir.logged(level), Vec::<String>::new());
    }
    let mut said = weir.logged("http");
    said.retain(|line| !line.contains(" listening "));
    assert!(
        said.is_empty(),
        "nor below, but for where it listens: {said:?}"
    );
}

/// Sends bytes, and reads until the server closes.
async fn exchange(url: &str, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address(url)).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    let read = tokio::time::timeout(DEADLINE, read).await;
    // A reset also ends it.
    let _ = read.expect("it is closed in time");
    said
}

#[tokio::test]
async fn health_is_asked_for_over_tls() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let flags: Vec<&str> = own.iter().map(String::as_str).collect();
    let app = TestApp::start(directory.path(), &flags).await;
    let url = app.admin.replace("http://127.0.0.1", "https://localhost");
    let file = |name: &str, pem: String| {
        let file = directory.path().join(name);
        std::fs::write(&file, pem).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let ours = file("ours.pem", authority.pem());
    let other = file("other.pem", Authority::new("another").pem());
    for (flags, well) in [
        (vec!["--url", &url], true),
        (vec!["--url", &url, "--ca", &ours], true),
        (vec!["--url", &url, "--ca", &other], false),
        (vec!["--url", &app.admin], false),
    ] {
        let asked = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("health")
            .args(&flags)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(asked.status.success(), well, "{flags:?}: {said}");
    }
    app.stop().await;
}
