//! More connections than allowed, and connections that do nothing, or next to nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{DEADLINE, Poller, agents, assert_memory_bounded, metric, plans_go_on, serves_a_plan};
use crate::support::process::{WeirProcess, eventually};

const OPEN: &str = "weir_sdk_connections";

/// Connections to open; `WEIR_CONNECTIONS=50000` opens as many as the limit of open files allows.
const ASKED: usize = 3_000;

/// Descriptors that the tests need for everything else.
const KEPT: u64 = 1_000;

/// Complete requests, and incomplete ones after them.
const POLL: &[u8] = b"GET /sampling?service=shop HTTP/1.1\r\nHost: weir\r\n\r\n";
const HEAD: &[u8] =
    b"POST /v1/reports HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\n\
    Content-Length: 1000\r\n\r\n{";

async fn start(most: usize) -> (WeirProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--max-connections", most.to_string())
        .flag("--interval", "1s");
    (command.start().await, folder)
}

fn address(weir: &WeirProcess) -> SocketAddr {
    weir.sdk_url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap()
}

/// As many as asked for, if this process may open them.
fn affordable(asked: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If this fails, the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    asked.min(usize::try_from(limit.saturating_sub(KEPT)).unwrap_or(usize::MAX))
}

/// Connects from one of several addresses, because one address has only 28,000 ports.
async fn connect(to: SocketAddr, number: usize) -> Option<TcpStream> {
    let from = Ipv4Addr::new(127, 0, 0, 1 + (number / 10_000) as u8);
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).ok()?;
    tokio::time::timeout(DEADLINE, socket.connect(to))
        .await
        .ok()?
        .ok()
}

/// Opens a connection and reads until the other end closes it.
async fn sit(to: SocketAddr, number: usize) {
    if let Some(mut stream) = connect(to, number).await {
        let mut said = Vec::new();
        // A reset also ends it.
        let _ = stream.read_to_end(&mut said).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_beyond_the_limit_lock_nobody_out() {
    let asked = std::env::var("WEIR_CONNECTIONS").ok();
    let asked = asked.map_or(ASKED, |number| number.parse().expect("a number"));
    let asked = affordable(asked);
    let (weir, _folder) = start(1_000).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let most = metric(&weir, "weir_sdk_connections_max", |most| most >= 1_000.0).await;
    assert!(most < 1_100.0, "the workers share the limit: {most}");
    let poller = Poller::start(&weir);
    poller.goes_on().await;

    let mut sitting = JoinSet::new();
    for number in 0..asked {
        sitting.spawn(sit(address(&weir), number));
    }
    // One place may be between two connections at any time.
    metric(&weir, OPEN, |open| open >= most - 10.0).await;
    poller.goes_on().await;
    newcomer_is_answered(&weir).await;
    let evicted = "weir_sdk_connections_evicted_total";
    metric(&weir, evicted, |evicted| evicted >= 1.0).await;
    agents.finish().await;
    metric(&weir, OPEN, |open| open < 100.0).await;
    poller.all_answered().await;
    eprintln!("{asked} connections asked of a listener that takes {most}");
    assert_memory_bounded(&weir, "idle connections");
    sitting.shutdown().await;
}

/// The admin listener has few places, and none of them takes a descriptor of the database.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_to_the_admin_listener_lock_no_operator_out() {
    let (weir, _folder) = start(64).await;
    let to = weir.admin_url().strip_prefix("http://").unwrap();
    let to: SocketAddr = to.parse().unwrap();
    let most = metric(&weir, "weir_admin_connections_max", |most| most >= 1.0).await;
    let mut sitting = JoinSet::new();
    for number in 0..affordable(1_100) {
        sitting.spawn(sit(to, number));
    }
    let evicted = "weir_admin_connections_evicted_total";
    metric(&weir, evicted, |evicted| evicted >= most).await;
    let open = metric(&weir, "weir_admin_connections", |_| true).await;
    assert!(open <= most + 10.0, "{open} of {most}");
    plans_go_on(&weir).await;
    assert_memory_bounded(&weir, "idle connections to the admin listener");
    sitting.shutdown().await;
}

/// A new client gets a connection and an answer.
async fn newcomer_is_answered(weir: &WeirProcess) {
    let client = reqwest::Client::builder()
        .timeout(DEADLINE)
        .build()
        .unwrap();
    let url = format!("{}/sampling?service={}", weir.sdk_url(), super::SERVICE);
    let answer = client.get(url).send().await.expect("an answer in time");
    assert_eq!(answer.status(), 200);
}

/// Holds every connection in a way that no limit on heads or idle time ends.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_get_nowhere_are_ended() {
    const MOST: usize = 64;
    let (weir, _folder) = start(MOST).await;
    let mut holding = JoinSet::new();
    for number in 0..MOST {
        let to = address(&weir);
        holding.spawn(async move {
            let mut stream = connect(to, number).await.expect("there is a place");
            if number % 2 == 0 {
                never_ends_its_second_head(&mut stream).await;
            } else {
                never_reads(&mut stream).await;
            }
        });
    }
    metric(&weir, OPEN, |open| open >= (MOST - 4) as f64).await;
    newcomer_is_answered_by(&weir).await;
    eventually(DEADLINE, "all have been ended", async || {
        while holding.try_join_next().is_some() {}
        holding.is_empty().then_some(())
    })
    .await;
    metric(&weir, OPEN, |open| open <= 1.0).await;
    assert_memory_bounded(&weir, "connections that get nowhere");
}

async fn newcomer_is_answered_by(weir: &WeirProcess) {
    let client = reqwest::Client::builder()
        .timeout(DEADLINE)
        .build()
        .unwrap();
    let url = format!("{}/sampling?service=nobody", weir.sdk_url());
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
}

async fn never_ends_its_second_head(stream: &mut TcpStream) {
    let mut answer = vec![0; 4096];
    stream.write_all(POLL).await.unwrap();
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    stream.write_all(b"GET /sampl").await.unwrap();
    while stream
        .read(&mut answer)
        .await
        .is_ok_and(|length| length > 0)
    {}
}

async fn never_reads(stream: &mut TcpStream) {
    while stream.write_all(&POLL.repeat(100)).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_clients_delay_nobody() {
    let slow = affordable(2_000);
    let (weir, _folder) = start(10_000).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let mut dripping = JoinSet::new();
    for number in 0..slow {
        let begun = if number % 2 == 0 { &POLL[..10] } else { HEAD };
        dripping.spawn(drip(address(&weir), number, begun));
    }
    metric(&weir, OPEN, |open| open >= slow as f64).await;
    poller.goes_on().await;
    let too_slow = "weir_reports_total{outcome=\"too_slow\"}";
    metric(&weir, too_slow, |bodies| bodies == (slow / 2) as f64).await;
    eventually(DEADLINE, "all have been ended", async || {
        while dripping.try_join_next().is_some() {}
        dripping.is_empty().then_some(())
    })
    .await;
    agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "slow heads and bodies");
}

/// Sends a byte a second, as long as that is accepted.
async fn drip(to: SocketAddr, number: usize, begun: &[u8]) {
    let mut stream = connect(to, number).await.expect("there is a place");
    stream.write_all(begun).await.unwrap();
    let (mut from, mut into) = stream.split();
    let dripping = async {
        let mut pace = tokio::time::interval(Duration::from_secs(1));
        loop {
            pace.tick().await;
            if into.write_all(b"a").await.is_err() {
                return;
            }
        }
    };
    let mut said = Vec::new();
    tokio::select! {
        () = dripping => {}
        _ = from.read_to_end(&mut said) => {}
    }
}
