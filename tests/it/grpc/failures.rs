//! What cannot be read gets the status that gRPC has for it, and costs nothing but itself.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{DEADLINE, start};
use crate::support::grpc::{POLL, Raw, framed};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const OK: i32 = 0;
const UNIMPLEMENTED: i32 = 12;
const RESOURCE_EXHAUSTED: i32 = 8;
const INTERNAL: i32 = 13;

/// The largest message of a poll.
const LARGEST: usize = 16 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A `SamplingStrategyParameters` of this many bytes.
fn asked(length: usize) -> Vec<u8> {
    let name = length - 4;
    let varint = [
        (name & 0x7f) as u8 | 0x80,
        (name >> 7 & 0x7f) as u8 | 0x80,
        (name >> 14) as u8,
    ];
    [&[0x0a], &varint[..], &vec![b'a'; name]].concat()
}

/// What is sent with which headers, and the code that it gets.
type Case<'a> = (&'a str, i32, &'a [(&'a str, &'a str)], Vec<u8>);

#[tokio::test]
async fn a_message_that_cannot_be_read_gets_grpcs_own_status() {
    let (app, _directory) = start(&[]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    let packed = [("grpc-encoding", "gzip")];
    let unknown = [("grpc-encoding", "snappy")];
    let bomb = gzip(&vec![0; 10 << 20]);
    let cases: [Case; 18] = [
        ("the longest", OK, &[], framed(0, &asked(LARGEST))),
        (
            "unknown fields",
            OK,
            &[],
            framed(0, &[0x12, 1, b'a', 0x18, 1]),
        ),
        ("compressed", OK, &packed, framed(1, &gzip(&asked(100)))),
        (
            "several gzip members",
            OK,
            &packed,
            framed(1, &[gzip(&[0x0a, 1]), gzip(b"a")].concat()),
        ),
        (
            "not compressed after all",
            OK,
            &packed,
            framed(0, &asked(100)),
        ),
        (
            "one byte more",
            RESOURCE_EXHAUSTED,
            &[],
            framed(0, &asked(LARGEST + 1)),
        ),
        (
            "announced too long",
            RESOURCE_EXHAUSTED,
            &[],
            vec![0, 0xff, 0xff, 0xff, 0xff],
        ),
        ("a bomb", RESOURCE_EXHAUSTED, &packed, framed(1, &bomb)),
        (
            "too long once unpacked",
            RESOURCE_EXHAUSTED,
            &packed,
            framed(1, &gzip(&asked(LARGEST + 1))),
        ),
        ("nothing", UNIMPLEMENTED, &[], Vec::new()),
        ("half a header", UNIMPLEMENTED, &[], vec![0, 0, 0]),
        (
            "two messages",
            UNIMPLEMENTED,
            &[],
            [framed(0, b""), framed(0, b"")].concat(),
        ),
        (
            "unknown compression",
            UNIMPLEMENTED,
            &unknown,
            framed(1, b""),
        ),
        (
            "ends early",
            INTERNAL,
            &[],
            framed(0, &asked(100))[..50].to_vec(),
        ),
        ("no compression named", INTERNAL, &[], framed(1, &gzip(b""))),
        ("not gzip", INTERNAL, &packed, framed(1, b"not gzip")),
        ("another flag", INTERNAL, &[], framed(2, b"")),
        ("not protobuf", INTERNAL, &[], framed(0, &[0x0a, 0xff])),
    ];
    assert!(
        bomb.len() < LARGEST,
        "it is small on the wire: {}",
        bomb.len()
    );
    let mut malformed = 0.0;
    for (what, expected, headers, body) in cases {
        let answer = raw.call(POLL, headers, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, Some(expected)),
            "{what}: {answer:?}"
        );
        assert!(
            expected == OK || !answer.message().is_empty(),
            "{what} is explained"
        );
        malformed += if expected == OK { 0.0 } else { 1.0 };
    }
    let invalid = raw.call(POLL, &[], framed(0, &[0x0a, 2, 0xc3, 0x28])).await;
    assert_eq!(invalid.code(), Some(INTERNAL), "a name that is not UTF-8");
    let counted = Scrape::of(&app).await;
    let series = "weir_polls_total{outcome=\"malformed\",protocol=\"grpc\"}";
    assert_eq!(counted.value(series), malformed + 1.0);
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_said_so() {
    let (app, _directory) = start(&[]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    for path in [
        "/",
        "/sampling",
        "/jaeger.api_v2.SamplingManager",
        "/jaeger.api_v2.SamplingManager/",
        "/jaeger.api_v2.SamplingManager/GetSamplingStrategy/",
        "/jaeger.api_v2.SamplingManager/getSamplingStrategy",
        "/jaeger.api_v2.CollectorService/PostSpans",
        "/grpc.health.v1.Health/Checks",
    ] {
        let answer = raw.call(path, &[], framed(0, b"")).await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, Some(UNIMPLEMENTED)),
            "{path}"
        );
    }
    for (kind, status) in [
        ("application/grpc", 200),
        ("application/grpc+proto", 200),
        ("application/grpc;charset=utf-8", 200),
        ("application/grpc+json", 421),
        ("application/grpc-web", 421),
        ("application/json", 421),
        ("", 421),
    ] {
        let answer = raw
            .call(POLL, &[("content-type", kind)], framed(0, b""))
            .await;
        assert_eq!(answer.status, status, "{kind}: {answer:?}");
    }
    let get = hyper::Request::get(format!("http://weir{POLL}"));
    let get = get.header("content-type", "application/grpc");
    let answer = raw.send(get.body(()).unwrap(), Vec::new()).await;
    assert_eq!(answer.status, 405);
    app.stop().await;
}

/// Sends bytes after the preface, and reads until the server closes.
async fn exchange(listener: &str, sent: &[u8]) -> Vec<u8> {
    let address = listener.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    // The server may close before it has read all.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_connection_that_breaks_the_protocol_is_ended_and_counted() {
    const GO_AWAY: u8 = 7;
    let (app, _directory) = start(&[]).await;
    let settings = frame(4, 0, 0, &[]);
    let broken = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        // A frame that is longer than was agreed on, a header that cannot be read, data without a
        // request, a window of nothing, and headers that never end.
        [&settings[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
        [settings.clone(), frame(1, 5, 1, &[0xff; 40])].concat(),
        [settings.clone(), frame(0, 1, 1, b"data")].concat(),
        [settings.clone(), frame(8, 0, 0, &[0; 4])].concat(),
        [
            settings.clone(),
            frame(1, 0, 1, &[0x82]),
            frame(9, 0, 1, &[0; 16_000]).repeat(40),
        ]
        .concat(),
        [settings.clone(), frame(4, 0, 1, &[])].concat(),
        // Requests that are given up at once, by the thousand.
        [settings.clone(), rapid_resets()].concat(),
    ];
    for (index, sent) in broken.iter().enumerate() {
        let answer = exchange(app.grpc(), sent).await;
        let ends = answer.chunks(1).count() > 0 && answer.windows(4).any(|at| at[3] == GO_AWAY);
        assert!(ends, "{index}: {answer:?}");
    }
    let series = "weir_malformed_requests_total{listener=\"grpc\"}";
    eventually(DEADLINE, "all are counted", async || {
        (Scrape::of(&app).await.value(series) == broken.len() as f64).then_some(())
    })
    .await;
    let mut raw = Raw::connect(app.grpc()).await;
    assert_eq!(raw.call(POLL, &[], framed(0, b"")).await.code(), Some(OK));
    let panicked = "weir_task_ends_total{outcome=\"panicked\",task=\"connection\"}";
    assert_eq!(Scrape::of(&app).await.value(panicked), 0.0);
    app.stop().await;
}

/// As Jaeger or a second replica on the same machine does.
#[tokio::test]
async fn a_default_port_that_is_taken_turns_grpc_off_and_says_so() {
    // Whoever holds it, it is taken.
    let _held = std::net::TcpListener::bind("127.0.0.1:14250");
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", directory.path())
        .environment("WEIR_GRPC_LISTEN", "127.0.0.1:14250");
    let weir = command.start().await;
    assert_eq!(
        weir.logged("gRPC is off, because its default address is in use")
            .len(),
        1
    );
}

#[tokio::test]
async fn no_client_can_fill_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.start().await;
    let settings = frame(4, 0, 0, &[]);
    for sent in [
        // Answers to pings that nobody sent, requests that are taken back, and what is not HTTP.
        [settings.clone(), frame(6, 1, 0, &[7; 8]).repeat(100)].concat(),
        [settings.clone(), rapid_resets()].concat(),
        [settings.clone(), frame(1, 5, 1, &[0xff; 40])].concat(),
    ] {
        let sent = [sent, frame(8, 0, 0, &[0; 4])].concat();
        exchange(weir.grpc_url(), &sent).await;
        exchange(weir.sdk_url(), &sent).await;
    }
    for level in ["ERROR", "WARN"] {
        assert_eq!(weir.logged(level), Vec::<String>::new());
    }
}

/// Polls whose client takes each of them back.
fn rapid_resets() -> Vec<u8> {
    // POST, http, an authority and a path, without a body: 0x83 and 0x86 are in HPACK's static table.
    let head = [&[0x83, 0x86, 0x04, POLL.len() as u8][..], POLL.as_bytes()].concat();
    (0..20_000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [
                frame(1, 4, stream, &head),
                frame(3, 0, stream, &[0, 0, 0, 8]),
            ]
            .concat()
        })
        .collect()
}
