//! Files that change, are damaged, or cannot be used from the start.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use weir::app::App;
use weir::telemetry::logging::chain;

use super::{DEADLINE, start};
use crate::support::app::config;
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;
use crate::support::tls::{Authority, Identity, Secret, TlsClient, Valid, set_mode};

fn leaf(identity: &Identity) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()
}

/// Waits until a listener presents this certificate.
async fn presents(client: &TlsClient, url: &str, identity: &Identity) {
    let wanted = leaf(identity);
    eventually(DEADLINE, "the certificate is presented", async || {
        let answer = client.get(url, "/livez").await.ok()?;
        (answer.certificate == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let authority = Authority::new("ours");
    let first = authority.server(Valid(-60, 3600));
    let mut secret = Secret::of(&first);
    let observe = [
        "--observe-listen",
        "127.0.0.1:0",
        "--tls-listeners",
        "observe",
    ];
    let flags = [&["--idle-timeout", "1h"][..], &observe].concat();
    let (app, _directory) = start(&secret, &flags).await;
    let client = TlsClient::trusting(&authority.pem());
    presents(&client, &app.sdk, &first).await;
    let until = "weir_tls_certificate_not_after_timestamp_seconds{listener=\"sdk\"}";
    let before = Scrape::of(&app).await.value(until);
    assert!(before > 0.0);
    let mut open = client.connect(&app.sdk).await.unwrap();

    let second = authority.server(Valid(-60, 7200));
    secret.replace(&second.certificate, &second.key, None);
    let observe = app.observe.as_deref().unwrap();
    for url in [&app.sdk, app.grpc(), app.xray(), observe] {
        presents(&client, url, &second).await;
    }
    let later = Scrape::of(&app).await.value(until) - before;
    assert!((3500.0..3700.0).contains(&later), "{later}");
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    open.write_all(request).await.unwrap();
    let read = open.read(&mut [0; 1024]).await.unwrap();
    assert!(read > 0, "a connection that is open goes on");
    app.stop().await;
}

#[tokio::test]
async fn damaged_files_leave_the_old_ones_in_use() {
    let authority = Authority::new("ours");
    let first = authority.server(Valid::NOW);
    let mut secret = Secret::of(&first);
    let directory = tempfile::tempdir().unwrap();
    let weir = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .flag("--tls-cert", secret.file("tls.crt"))
        .flag("--tls-key", secret.file("tls.key"))
        .flag("--tls-listeners", "sdk")
        .start()
        .await;
    let client = TlsClient::trusting(&authority.pem());
    let second = authority.server(Valid::NOW);
    let cut = &second.key[..second.key.len() - 40];
    let ended = authority.server(Valid::BEFORE);
    let mut failures = 0.0;
    for (certificate, key, said) in [
        (&*second.certificate, cut, "tls.key is not valid PEM"),
        (&second.certificate, &first.key, "could not use"),
        (&ended.certificate, &ended.key, "ended at"),
    ] {
        secret.replace(certificate, key, None);
        let failed = "weir_tls_reloads_total{listener=\"sdk\",outcome=\"failed\"}";
        failures += 1.0;
        let scraped = eventually(DEADLINE, said, async || {
            let scraped = Scrape::of_process(&weir).await?;
            (scraped.value(failed) == failures).then_some(scraped)
        })
        .await;
        let refused = "weir_tls_files_refused{listener=\"sdk\"}";
        assert_eq!(scraped.value(refused), 1.0, "{said}");
        assert_eq!(weir.logged(said).len(), 1, "{said} is said once");
        presents(&client, weir.sdk_url(), &first).await;
    }
    secret.replace(&second.certificate, &second.key, None);
    presents(&client, weir.sdk_url(), &second).await;
    eventually(DEADLINE, "nothing is refused", async || {
        let scraped = Scrape::of_process(&weir).await?;
        (scraped.value("weir_tls_files_refused{listener=\"sdk\"}") == 0.0).then_some(())
    })
    .await;
    for key in [&first.key, &second.key, &ended.key] {
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(weir.logged(&line[..16]).is_empty(), "no key is in the log");
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_keep_weir_from_starting() {
    let authority = Authority::new("ours");
    let good = authority.server(Valid::NOW);
    let other = authority.server(Valid::NOW);
    let mut secret = Secret::of(&good);
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let mut flags = vec!["--data-dir", directory.path().to_str().unwrap()];
    flags.extend(own.iter().map(String::as_str));
    for (certificate, key, said) in [
        (&*good.certificate, &*other.key, "tls.key with "),
        ("no PEM", &good.key, "tls.crt contains no certificate"),
        (&good.certificate, "", "tls.key contains no private key"),
    ] {
        secret.replace(certificate, key, None);
        let failed = App::build(config(&flags)).await.err().expect("no start");
        let text = chain(&failed);
        assert!(text.contains("--tls-cert"), "{text}");
        assert!(text.contains(said), "{text}");
    }
    flags.extend(["--client-ca", "/nowhere/ca.pem"]);
    secret.replace(&good.certificate, &good.key, None);
    let failed = App::build(config(&flags)).await.err().expect("no start");
    assert!(chain(&failed).contains("could not read /nowhere/ca.pem"));
}

#[tokio::test]
async fn a_key_that_everybody_may_read_is_warned_of() {
    let authority = Authority::new("ours");
    let identity = authority.server(Valid::NOW);
    let secret = Secret::of(&identity);
    for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
        set_mode(&secret.file("tls.key").into(), mode);
        let directory = tempfile::tempdir().unwrap();
        let weir = WeirProcess::command()
            .flag("--data-dir", directory.path())
            .flag("--tls-cert", secret.file("tls.crt"))
            .flag("--tls-key", secret.file("tls.key"))
            .flag("--tls-listeners", "sdk")
            .start()
            .await;
        let warned = weir.logged("may read the private key");
        assert_eq!(warned.len(), warnings, "{mode:o}: {warned:?}");
    }
}
