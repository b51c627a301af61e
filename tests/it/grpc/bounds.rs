//! The bounds of the gRPC listener: connections, requests on each, heads, and time.

use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::FutureExt;
use hyper::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{DEADLINE, start};
use crate::support::grpc::{POLL, Raw, channel, framed, poll};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .expect("a listener")
}

fn call() -> Request<()> {
    let call = Request::builder()
        .method(Method::POST)
        .uri(format!("http://weir{POLL}"));
    call.header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_connection_may_have_few_requests_in_progress_and_their_heads_are_short() {
    let (app, _directory) = start(&[]).await;
    let stream = connect(app.grpc()).await;
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    // The server's settings have arrived once it has answered.
    let (answered, mut body) = send.send_request(call(), false).unwrap();
    body.send_data(framed(0, b"").into(), true).unwrap();
    answered.await.unwrap();
    assert_eq!(send.current_max_send_streams(), 64);
    let mut raw = Raw::connect(app.grpc()).await;
    let long = "a".repeat(8 * 1024);
    let refused = raw
        .call(POLL, &[("weir-test", &long)], framed(0, b""))
        .await;
    assert_eq!(refused.status, 431);
    assert_eq!(
        raw.call(POLL, &[], framed(0, b"")).await.code(),
        Some(0),
        "it goes on"
    );
    connection.abort();
    app.stop().await;
}

#[tokio::test]
async fn a_new_client_takes_the_place_of_an_idle_one() {
    let (app, _directory) = start(&["--grpc-max-connections", "4", "--idle-timeout", "1h"]).await;
    let most = Scrape::of(&app).await.value("weir_grpc_connections_max") as usize;
    let mut kept = Vec::new();
    for _ in 0..2 * most + 2 {
        let channel = channel(app.grpc()).await;
        poll(&channel, "a", None)
            .await
            .expect("a place and an answer");
        kept.push(channel);
    }
    let counted = Scrape::of(&app).await;
    assert!(counted.value("weir_grpc_connections_evicted_total") >= 1.0);
    assert!(counted.value("weir_grpc_connections") <= most as f64 + 1.0);
    // A client whose connection was closed opens another one.
    assert!(poll(&kept[0], "a", None).await.is_ok());
    drop(kept);
    app.stop().await;
}

/// Reads frames until the server closes; returns whether it said goodbye (GOAWAY).
async fn closed(mut stream: TcpStream) -> bool {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("it is closed in time");
    let mut rest = &answer[..];
    let mut goodbye = false;
    while let Some((&[a, b, c, kind, ..], _)) = rest.split_first_chunk::<9>() {
        goodbye |= kind == 7;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    goodbye
}

#[tokio::test]
async fn an_idle_connection_is_told_to_leave() {
    let (app, _directory) = start(&["--idle-timeout", "1s"]).await;
    let idle = async {
        let mut stream = connect(app.grpc()).await;
        stream
            .write_all(&[PREFACE, SETTINGS].concat())
            .await
            .unwrap();
        closed(stream).await
    };
    let half_a_preface = async {
        let mut stream = connect(app.grpc()).await;
        stream.write_all(&PREFACE[..10]).await.unwrap();
        closed(stream).await
    };
    let no_settings = async {
        let mut stream = connect(app.grpc()).await;
        stream.write_all(PREFACE).await.unwrap();
        closed(stream).await
    };
    let (idle, half, _) = tokio::join!(idle, half_a_preface, no_settings);
    assert!(idle, "with a frame that says so");
    assert!(!half, "it was not HTTP/2 yet");
    // A gRPC client takes that as it should: the next call opens a connection.
    let channel = channel(app.grpc()).await;
    poll(&channel, "a", None).await.unwrap();
    eventually(DEADLINE, "it is idle for long", async || {
        (Scrape::of(&app).await.value("weir_grpc_connections") == 0.0).then_some(())
    })
    .await;
    poll(&channel, "a", None)
        .await
        .expect("over a new connection");
    app.stop().await;
}

/// They take several times the memory of those of HTTP/1.1, and there are many places.
#[tokio::test]
async fn few_clients_at_the_wrong_port_may_speak_http_2() {
    let (app, _directory) = start(&["--idle-timeout", "1h"]).await;
    let workers = std::thread::available_parallelism().unwrap().get();
    let mut refused = 0;
    let mut kept = Vec::new();
    for _ in 0..2 * 50 * workers {
        let mut stream = connect(&app.sdk).await;
        stream
            .write_all(&[PREFACE, SETTINGS].concat())
            .await
            .unwrap();
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await.expect("an answer");
        refused += usize::from(answer.starts_with(b"HTTP/1.1 "));
        kept.push(stream);
    }
    // A worker may have had more of them than the others.
    assert!(refused >= 50 * workers, "{refused}");
    app.stop().await;
}

/// Requests that never end, and answers that are never read.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_get_nowhere_are_ended_within_bounded_memory() {
    const CONNECTIONS: usize = 100;
    const EACH: usize = 64;
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.start().await;
    let mut holding = JoinSet::new();
    for number in 0..CONNECTIONS {
        let url = weir.grpc_url().to_owned();
        holding.spawn(async move { hold(&url, EACH, number % 2 == 0).await });
    }
    let scrape = async || Scrape::of_process(&weir).await;
    eventually(DEADLINE, "all are connected", async || {
        let open = scrape().await?.value("weir_grpc_connections");
        (open >= CONNECTIONS as f64).then_some(())
    })
    .await;
    let other = channel(weir.grpc_url()).await;
    poll(&other, "a", None).await.expect("others are answered");
    eventually(DEADLINE, "all have been ended", async || {
        while holding.try_join_next().is_some() {}
        holding.is_empty().then_some(())
    })
    .await;
    let peak = weir.peak_memory_kib() / 1024;
    eprintln!("{CONNECTIONS} connections with {EACH} requests each: {peak} MiB");
    assert!(peak < 128, "{peak} MiB");
}

/// Begins requests with long heads and sends no more, or reads no answers. Returns once the server
/// has ended all of it.
async fn hold(url: &str, requests: usize, sends: bool) {
    // A client that reads nothing has a window of nothing.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(if sends { 65_535 } else { 0 });
    let handshake = builder.handshake::<_, Bytes>(connect(url).await);
    let (send, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let long = "a".repeat(7_000);
    let mut held = Vec::new();
    for _ in 0..requests {
        let Ok(mut send) = send.clone().ready().await else {
            break;
        };
        let mut call = call();
        call.headers_mut()
            .insert("weir-test", long.parse().unwrap());
        let (answered, mut body) = send.send_request(call, false).unwrap();
        if !sends {
            body.send_data(framed(0, b"").into(), true).unwrap();
        }
        held.push((answered, body));
    }
    for (answered, body) in held {
        let answered = tokio::time::timeout(DEADLINE, answered)
            .await
            .expect("an end in time");
        drop(body);
        if let Ok(answer) = answered {
            let mut body = answer.into_body();
            let end = tokio::time::timeout(DEADLINE, async {
                while let Some(Ok(_)) = body.data().await {}
            });
            end.await.expect("an end in time");
        }
    }
    drop(send);
    let _ = tokio::time::timeout(DEADLINE, connection)
        .await
        .expect("the connection ends");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_then_ends_connections() {
    let (app, _directory) = start(&["--idle-timeout", "1h"]).await;
    let idle = connect(app.grpc()).await;
    let mut busy = connect(app.grpc()).await;
    busy.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let stream = connect(app.grpc()).await;
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let (answered, mut body) = send.send_request(call(), false).unwrap();
    let mut answered = Box::pin(answered);
    let first = framed(0, b"\x0a\x01a");
    body.send_data(Bytes::copy_from_slice(&first[..3]), false)
        .unwrap();
    eventually(DEADLINE, "the request has begun", async || {
        assert!(answered.as_mut().now_or_never().is_none());
        (Scrape::of(&app).await.value("weir_grpc_connections") == 3.0).then_some(())
    })
    .await;
    app.begin_stop();
    assert!(
        closed(busy).await,
        "an idle connection hears that it should leave"
    );
    drop(idle);
    body.send_data(Bytes::copy_from_slice(&first[3..]), true)
        .unwrap();
    let answer = answered.await.expect("an answer to what had begun");
    assert_eq!(answer.status(), 200);
    drop((answer, body, send));
    let ended = tokio::time::timeout(Duration::from_secs(30), connection).await;
    ended
        .expect("the connection ends")
        .unwrap()
        .expect("in order");
    app.ended().await.expect("a clean end");
}
