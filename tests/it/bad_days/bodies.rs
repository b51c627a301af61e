//! Hostile bodies: bombs, millions of entries, endless nesting, and very many at once.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinSet;

use super::{Poller, agents, assert_memory_bounded, metric, serves_a_plan};
use crate::support::process::WeirProcess;

/// A body, its encoding, and the expected answer.
pub struct Hostile {
    pub what: &'static str,
    pub encoding: &'static str,
    pub body: Vec<u8>,
    pub status: u16,
}

impl Hostile {
    pub fn plain(what: &'static str, body: impl Into<Vec<u8>>, status: u16) -> Self {
        Self::encoded(what, "identity", body.into(), status)
    }

    pub fn encoded(what: &'static str, encoding: &'static str, body: Vec<u8>, status: u16) -> Self {
        Self {
            what,
            encoding,
            body,
            status,
        }
    }
}

pub const MIB: usize = 1 << 20;

pub fn gzip(body: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..times {
        encoder.write_all(body).unwrap();
    }
    encoder.finish().unwrap()
}

fn zstd(body: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..times {
        encoder.write_all(body).unwrap();
    }
    encoder.finish().unwrap()
}

/// A report with this text as its services.
fn report(services: &str) -> String {
    let start = crate::support::client::rfc3339(crate::support::client::now());
    format!(
        r#"{{"agent":"a","epoch":"0f4e2c70-31f0-4a4e-9d40-4a8ff7b9a001","sequence":1,"window_start":"{start}","window_seconds":1,"services":[{services}]}}"#
    )
}

fn service(operations: &str) -> String {
    report(&format!(r#"{{"service":"s","operations":[{operations}]}}"#))
}

/// This many operations of one service, by name.
fn operations(number: usize, name: impl Fn(usize) -> String) -> String {
    let one = |index| {
        format!(
            r#"{{"operation":"{}","offered":1,"sampled":0}}"#,
            name(index)
        )
    };
    service(&(0..number).map(one).collect::<Vec<_>>().join(","))
}

fn bombs() -> Vec<Hostile> {
    let zeros = vec![0; MIB];
    let members = gzip(b" ", 1).repeat(100_000);
    vec![
        Hostile::encoded("a gzip bomb of 256 MiB", "gzip", gzip(&zeros, 256), 413),
        Hostile::encoded("a zstd bomb of 1 GiB", "zstd", zstd(&zeros, 1024), 413),
        Hostile::encoded("gzip in gzip", "gzip", gzip(&gzip(&zeros, 16), 1), 400),
        Hostile::encoded(
            "two encodings",
            "gzip, gzip",
            gzip(&gzip(&zeros, 16), 1),
            415,
        ),
        Hostile::encoded("100,000 gzip members", "gzip", members, 400),
        Hostile::encoded("half a gzip", "gzip", gzip(&zeros, 2)[..500].to_vec(), 400),
        Hostile::encoded("no gzip at all", "gzip", b"{}".to_vec(), 400),
        Hostile::encoded("zstd with a huge window", "zstd", huge_window(), 400),
    ]
}

/// A zstd frame that asks its reader for 2 GiB of memory.
///
/// # Source
/// RFC 8878, 3.1.1: magic number, a descriptor without a content size, a window of 2^31 bytes,
/// an empty last block.
fn huge_window() -> Vec<u8> {
    vec![
        0x28,
        0xb5,
        0x2f,
        0xfd,
        0x00,
        (31 - 10) << 3,
        0x01,
        0x00,
        0x00,
    ]
}

fn texts() -> Vec<Hostile> {
    let million = operations(1_000_000, |index| index.to_string());
    let same = operations(90_000, |_| "a".into());
    let many = operations(90_000, |index| index.to_string());
    let long = operations(1, |_| "n".repeat(MIB));
    let number = |value: &str| {
        service(&format!(
            r#"{{"operation":"o","offered":{value},"sampled":0}}"#
        ))
    };
    let twice = service(r#"{"operation":"o","operation":"o","offered":1,"sampled":0}"#);
    vec![
        Hostile::plain("a million operations", million, 413),
        Hostile::plain("90,000 operations", many, 200),
        Hostile::plain("90,000 times one name", same, 200),
        Hostile::plain("a name of 1 MiB", long, 200),
        Hostile::plain("arrays in arrays", "[".repeat(4 * MIB), 422),
        Hostile::plain("arrays in a report", report(&"[".repeat(MIB)), 422),
        Hostile::plain("objects in objects", r#"{"agent":"#.repeat(100_000), 422),
        Hostile::plain("1e400", number("1e400"), 400),
        Hostile::plain("a number of 1 MiB", number(&"9".repeat(MIB)), 400),
        Hostile::plain("less than nothing", number("-1"), 200),
        Hostile::plain("a key twice", twice, 422),
        Hostile::plain("nothing but spaces", " ".repeat(4 * MIB), 400),
        Hostile::plain(
            "no UTF-8",
            [b"{\"agent\":\"".as_slice(), &[0xff; 9], b"\"}"].concat(),
            400,
        ),
    ]
}

pub async fn start(flags: &[(&str, &str)]) -> (WeirProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--interval", "1s");
    let command = flags
        .iter()
        .fold(command, |command, (flag, value)| command.flag(flag, value));
    (command.start().await, folder)
}

async fn send(weir: &WeirProcess, hostile: &Hostile) -> u16 {
    let client = reqwest::Client::builder()
        .timeout(super::DEADLINE)
        .build()
        .unwrap();
    let request = client
        .post(format!("{}/v1/reports", weir.sdk_url()))
        .header("Content-Type", "application/json")
        .header("Content-Encoding", hostile.encoding)
        // A refused body is read to its end nevertheless. Otherwise the connection would be reset
        // and the answer lost.
        .body(hostile.body.clone());
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let kind = match status {
        200 => "application/json",
        _ => "application/problem+json",
    };
    assert_eq!(answer.headers()["content-type"], kind);
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_answered_in_bounded_memory() {
    let (weir, _folder) = start(&[]).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let mut wrong = Vec::new();
    for hostile in bombs().into_iter().chain(texts()) {
        let status = send(&weir, &hostile).await;
        if status != hostile.status {
            wrong.push(format!(
                "{}: {status}, not {}",
                hostile.what, hostile.status
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let too_large = "weir_reports_total{outcome=\"too_large\"}";
    metric(&weir, too_large, |bodies| bodies == 3.0).await;
    agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "hostile bodies");
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_at_once_are_refused_in_bounded_memory() {
    let (weir, _folder) = start(&[]).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let zeros = vec![0; MIB];
    let (gzip, zstd) = (gzip(&zeros, 64), zstd(&zeros, 64));
    let client = reqwest::Client::builder()
        .timeout(super::DEADLINE)
        .build()
        .unwrap();
    let mut sending = JoinSet::new();
    for number in 0..400 {
        let (encoding, body) = if number % 2 == 0 {
            ("gzip", &gzip)
        } else {
            ("zstd", &zstd)
        };
        let request = client
            .post(format!("{}/v1/reports", weir.sdk_url()))
            .header("Content-Type", "application/json")
            .header("Content-Encoding", encoding)
            .body(body.clone());
        sending.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    while let Some(status) = sending.join_next().await {
        assert!([413, 503].contains(&status.unwrap()));
    }
    agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "400 bombs at once");
}

/// Bodies that stop one byte before their end: each holds 4 MiB until it is too slow.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_stall_share_a_bounded_room() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const BODIES: usize = 64;
    let (weir, _folder) = start(&[]).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let address = weir.sdk_url().strip_prefix("http://").unwrap().to_owned();
    let mut stalling = JoinSet::new();
    for _ in 0..BODIES {
        let address = address.clone();
        stalling.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST /v1/reports HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                4 * MIB
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // A refused client is cut off while it is still sending.
            let _ = stream.write_all(&vec![b' '; 4 * MIB - 1]).await;
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
        });
    }
    let refused = "weir_reports_total{outcome=\"overloaded\"}";
    metric(&weir, refused, |bodies| bodies >= 8.0).await;
    poller.goes_on().await;
    let too_slow = "weir_reports_total{outcome=\"too_slow\"}";
    metric(&weir, too_slow, |bodies| bodies >= 8.0).await;
    while stalling.join_next().await.is_some() {}
    agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "large bodies that stall");
}

/// A million entries are read under a raised limit, and counted under a bounded number of names.
#[tokio::test(flavor = "multi_thread")]
async fn a_million_entries_are_counted_under_a_raised_limit() {
    let (weir, _folder) = start(&[("--max-report-bytes", "67108864")]).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let million = operations(1_000_000, |index| index.to_string());
    let packed = gzip(million.as_bytes(), 1);
    let hostile = [
        Hostile::plain("a million operations", million, 200),
        Hostile::encoded("a million operations, packed", "gzip", packed, 200),
    ];
    for hostile in hostile {
        assert_eq!(
            send(&weir, &hostile).await,
            hostile.status,
            "{}",
            hostile.what
        );
    }
    tokio::time::timeout(Duration::from_secs(60), agents.finish())
        .await
        .unwrap();
    poller.all_answered().await;
    let memory = weir.peak_memory_kib();
    eprintln!("a million entries: {} MiB at most", memory / 1024);
    assert!(memory < 2 * super::MEMORY_MAX_KIB, "{memory} KiB");
}
