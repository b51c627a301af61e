//! Handshakes that get nowhere, and clients that do not read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{DEADLINE, handshakes, start};
use crate::support::process::eventually;
use crate::support::tls::{Authority, Secret, TlsClient, Valid, address};

const HALF_OPEN: usize = 1_000;

const POLL: &[u8] = b"GET /sampling?service=a HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The first bytes of a handshake, and no more.
const BEGUN: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1];

/// Connects, sends bytes, and reads until the other end closes.
async fn sit(address: String, sent: &'static [u8]) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let _ = stream.write_all(sent).await;
        // A reset also ends it.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end_take_no_place_from_polls() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let flags = ["--max-connections", "64", "--idle-timeout", "1h"];
    let (app, _directory) = start(&secret, &flags).await;
    let client = TlsClient::trusting(&authority.pem());
    let mut polling = client.connect(&app.sdk).await.unwrap();
    // A client of TLS 1.3 is done before the server has read its last message. The first answer says
    // that the server is, too.
    poll(&mut polling).await;
    let mut sitting = JoinSet::new();
    for number in 0..HALF_OPEN {
        let begun = if number % 2 == 0 { BEGUN } else { b"" };
        sitting.spawn(sit(address(&app.sdk).to_owned(), begun));
    }
    eventually(DEADLINE, "most of them are gone", async || {
        poll(&mut polling).await;
        let evicted = handshakes(&app, "sdk", "evicted").await;
        (evicted >= (HALF_OPEN / 2) as f64).then_some(())
    })
    .await;
    eventually(DEADLINE, "a new client is answered", async || {
        poll(&mut polling).await;
        client.get(&app.sdk, "/livez").await.ok()
    })
    .await;
    eventually(DEADLINE, "the slow ones have been ended", async || {
        poll(&mut polling).await;
        while sitting.try_join_next().is_some() {}
        sitting.is_empty().then_some(())
    })
    .await;
    assert!(handshakes(&app, "sdk", "slow").await > 0.0);
    drop(polling);
    app.stop().await;
}

/// Polls on a connection that stays open.
async fn poll(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) {
    stream.write_all(POLL).await.expect("it is still open");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
}

/// Answers that are encrypted wait in memory, not in the kernel's buffers alone.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_their_answers_are_ended() {
    const CLIENTS: usize = 16;
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let (app, _directory) = start(&secret, &[]).await;
    let client = TlsClient::trusting(&authority.pem());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut stream = client.connect(&app.sdk).await.unwrap();
        clients.spawn(async move { while stream.write_all(&POLL.repeat(100)).await.is_ok() {} });
    }
    eventually(DEADLINE, "all have been ended", async || {
        while clients.try_join_next().is_some() {}
        clients.is_empty().then_some(())
    })
    .await;
    let answer = client.get(&app.sdk, "/sampling?service=a").await.unwrap();
    assert_eq!(answer.status, 200);
    app.stop().await;
}
