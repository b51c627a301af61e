//! Certificates of clients.

use tonic::transport::{ClientTlsConfig, Identity as GrpcIdentity};

use super::{DEADLINE, channel, handshakes, start, trusting};
use crate::support::grpc::poll;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;
use crate::support::tls::{Authority, Identity, Secret, TlsClient, Valid};

/// A secret with the authority that clients need, and flags that demand it.
fn demanding(servers: &Authority, clients: &Authority) -> (Secret, [String; 4]) {
    let identity = servers.server(Valid::NOW);
    let mut secret = Secret::of(&identity);
    secret.replace(&identity.certificate, &identity.key, Some(&clients.pem()));
    let ca = secret.file("ca.crt");
    let flags = ["--client-ca", &ca, "--grpc-client-ca", &ca].map(String::from);
    (secret, flags)
}

fn grpc_with(trust: ClientTlsConfig, identity: &Identity) -> ClientTlsConfig {
    trust.identity(GrpcIdentity::from_pem(&identity.certificate, &identity.key))
}

#[tokio::test]
async fn who_has_no_good_certificate_is_refused() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (secret, flags) = demanding(&servers, &clients);
    let flags = flags.each_ref().map(String::as_str);
    let (app, _directory) = start(&secret, &flags).await;
    let nobody = TlsClient::trusting(&servers.pem());
    let of_another = Authority::new("clients").client(Valid::NOW);
    let cases = [
        ("no_client_certificate", None),
        ("client_refused", Some(clients.client(Valid::BEFORE))),
        ("client_refused", Some(of_another)),
        // A certificate of a server is not one of a client.
        ("client_refused", Some(clients.server(Valid::NOW))),
    ];
    for (outcome, identity) in &cases {
        let client = match identity {
            Some(identity) => nobody.clone().with(identity),
            None => nobody.clone(),
        };
        let grpc = match identity {
            Some(identity) => grpc_with(trusting(&servers), identity),
            None => trusting(&servers),
        };
        let before = [
            handshakes(&app, "sdk", outcome).await,
            handshakes(&app, "grpc", outcome).await,
        ];
        let refused = client.get(&app.sdk, "/sampling?service=a").await;
        assert!(refused.is_err(), "{outcome}: {refused:?}");
        let refused = poll_or_closed(app.grpc(), grpc).await;
        assert!(!refused, "{outcome}");
        eventually(DEADLINE, "both are counted", async || {
            let sdk = handshakes(&app, "sdk", outcome).await;
            let grpc = handshakes(&app, "grpc", outcome).await;
            (sdk == before[0] + 1.0 && grpc > before[1]).then_some(())
        })
        .await;
    }

    let good = clients.client(Valid::NOW);
    let somebody = nobody.clone().with(&good);
    let answer = somebody.get(&app.sdk, "/sampling?service=a").await;
    assert_eq!(answer.unwrap().status, 200);
    assert!(poll_or_closed(app.grpc(), grpc_with(trusting(&servers), &good)).await);
    // X-Ray's clients have none.
    let answer = nobody.get(app.xray(), "/livez").await.unwrap();
    assert_eq!(answer.status, 200);
    app.stop().await;
}

/// Whether a poll over gRPC is answered.
async fn poll_or_closed(url: &str, trust: ClientTlsConfig) -> bool {
    let channel = channel(url, trust);
    let asked = tokio::spawn(async move { poll(&channel, "a", None).await.is_ok() });
    // Where the connection fails, the channel is never ready, and the caller panics.
    asked.await.unwrap_or(false)
}

#[tokio::test]
async fn a_client_that_does_not_accept_the_certificate_is_counted() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let (app, _directory) = start(&secret, &[]).await;
    let suspicious = TlsClient::trusting(&Authority::new("another").pem());
    let refused = suspicious.get(&app.sdk, "/livez").await;
    assert!(refused.is_err(), "{refused:?}");
    eventually(DEADLINE, "it is counted", async || {
        (handshakes(&app, "sdk", "distrusted").await == 1.0).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn another_authority_of_clients_replaces_the_first_one() {
    let (servers, first) = (Authority::new("servers"), Authority::new("first"));
    let (mut secret, flags) = demanding(&servers, &first);
    let flags = flags.each_ref().map(String::as_str);
    let (app, _directory) = start(&secret, &flags).await;
    let client = TlsClient::trusting(&servers.pem());
    let of_first = client.clone().with(&first.client(Valid::NOW));
    assert!(of_first.get(&app.sdk, "/livez").await.is_ok());

    let second = Authority::new("second");
    let identity = servers.server(Valid::NOW);
    let (certificate, key) = (&identity.certificate, &identity.key);
    secret.replace(certificate, key, Some(&second.pem()));
    let of_second = client.with(&second.client(Valid::NOW));
    eventually(DEADLINE, "the second one counts", async || {
        of_second.get(&app.sdk, "/livez").await.ok()
    })
    .await;
    let refused = of_first.get(&app.sdk, "/livez").await;
    assert!(
        refused.is_err(),
        "it may have no ticket either: {refused:?}"
    );
    let both = Scrape::of(&app).await;
    let reloaded = "weir_tls_reloads_total{listener=\"sdk\",outcome=\"succeeded\"}";
    assert_eq!(both.value(reloaded), 1.0);
    app.stop().await;
}
