//! Several edges that decide together, over real sockets.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Spans of a trace.
const SPANS: u64 = 5;

/// An edge with a runtime of its own, which can end at any moment.
struct Killable {
    edge: Running,
    runtime: tokio::runtime::Runtime,
}

impl Killable {
    async fn start(flags: Vec<String>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let starting = runtime.spawn(async move {
            let flags: Vec<&str> = flags.iter().map(|flag| &**flag).collect();
            Running::start(&flags).await
        });
        Self {
            edge: starting.await.unwrap(),
            runtime,
        }
    }

    /// Ends without a word.
    fn kill(self) {
        self.runtime.shutdown_background();
    }

    async fn stop(self) {
        self.edge.stop().await;
        self.runtime.shutdown_background();
    }
}

pub fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

struct Fleet {
    weir: Server,
    backend: Server,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Fleet {
    async fn of(edges: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "0123456789abcdef").unwrap();
        Self {
            weir: Server::start(weir(plan(7, 0.5))).await,
            backend: Server::start(|_| status(200)).await,
            folder,
            ports: (0..edges).map(|_| free_port()).collect(),
        }
    }

    async fn start(&self, number: usize) -> Killable {
        let peers: Vec<String> = self
            .ports
            .iter()
            .map(|port| format!("localhost:{port}"))
            .collect();
        let secret = self.folder.path().join("secret");
        let flags = [
            ("--weir", self.weir.url()),
            ("--backend", self.backend.url()),
            ("--name", format!("edge-{number}")),
            ("--peers", peers.join(",")),
            ("--peer-listen", format!("127.0.0.1:{}", self.ports[number])),
            ("--peer-secret-file", secret.to_str().unwrap().into()),
            ("--decision-delay", "1s".into()),
            ("--trace-timeout", "3s".into()),
        ];
        let flags = flags
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value]);
        let started = Killable::start(flags.collect()).await;
        let edge = &started.edge;
        edge.until_metric("weir_edge_plan", &[], |plan| plan > 0.0)
            .await;
        started
    }

    /// The spans that the backend has of each trace.
    fn kept(&self) -> HashMap<Vec<u8>, u64> {
        let mut kept = HashMap::new();
        for span in taken_spans(&self.backend) {
            *kept.entry(span.trace_id).or_default() += 1;
        }
        kept
    }

    fn offered(&self) -> u64 {
        reported(&self.weir).values().map(|count| count.0).sum()
    }
}

async fn are_together(edges: &[&Killable], count: usize) {
    for edge in edges {
        edge.edge
            .until_metric("weir_edge_edges", &[], |edges| edges == count as f64)
            .await;
    }
}

/// Where a span is sent: anywhere.
fn place(trace: u64, number: u64, edges: usize) -> usize {
    let id = u128::from_be_bytes(support::trace_id(trace * 64 + number).try_into().unwrap());
    (id >> 64) as usize % edges
}

fn sent(trace: u64, number: u64) -> Vec<u8> {
    let one = span(trace, number);
    // The last span says that the trace has failed.
    let fails = trace.is_multiple_of(5) && number == SPANS - 1;
    bytes("shop", vec![if fails { failed(one) } else { one }])
}

async fn until_none_is_held(edges: &[&Killable]) {
    for edge in edges {
        edge.edge
            .until_metric("weir_edge_held", &["\"traces\""], |held| held == 0.0)
            .await;
        edge.edge
            .until_metric("weir_edge_queue_bytes", &[], |bytes| bytes == 0.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_over_three_edges_are_whole_and_one_that_is_killed_takes_its_own_alone() {
    let fleet = Fleet::of(3).await;
    let edges = [
        fleet.start(0).await,
        fleet.start(1).await,
        fleet.start(2).await,
    ];
    are_together(&edges.iter().collect::<Vec<_>>(), 3).await;
    for trace in 0..100 {
        for number in 0..SPANS {
            edges[place(trace, number, 3)]
                .edge
                .traces(sent(trace, number))
                .await;
        }
    }
    until_none_is_held(&edges.iter().collect::<Vec<_>>()).await;
    let kept = fleet.kept();
    assert!(kept.values().all(|spans| *spans == SPANS), "{kept:?}");
    assert!((40..80).contains(&kept.len()), "{}", kept.len());
    for trace in (0..100).step_by(5) {
        assert!(
            kept.contains_key(&support::trace_id(trace)),
            "{trace} has failed"
        );
    }
    until("all counts", || (fleet.offered() == 100).then_some(())).await;
    let counts = reported(&fleet.weir);
    assert_eq!(counts["shop|GET /|error"], (20, 20));
    for edge in &edges {
        assert_eq!(
            edge.edge
                .metric("weir_edge_trace_conflicts_total", &[])
                .await,
            0.0
        );
        assert_eq!(
            edge.edge.metric("weir_edge_traces_alone_total", &[]).await,
            0.0
        );
    }
    killed(&fleet, edges).await;
}

async fn killed(fleet: &Fleet, edges: [Killable; 3]) {
    let there: Vec<&Killable> = edges.iter().collect();
    for trace in 100..160 {
        for number in 0..SPANS {
            there[place(trace, number, 3)]
                .edge
                .traces(sent(trace, number))
                .await;
        }
    }
    let [one, two, three] = edges;
    three.kill();
    are_together(&[&one, &two], 2).await;
    until_none_is_held(&[&one, &two]).await;
    let kept = fleet.kept();
    for trace in 100..160 {
        let of_others = (0..SPANS)
            .filter(|number| place(trace, *number, 3) != 2)
            .count() as u64;
        let spans = kept.get(&support::trace_id(trace)).copied().unwrap_or(0);
        assert!(
            [0, of_others, SPANS].contains(&spans),
            "trace {trace} has {spans} of {of_others}"
        );
    }
    let roots = (100..160).filter(|trace| place(*trace, 0, 3) != 2).count() as u64;
    until("the counts of the others", || {
        (fleet.offered() >= 100 + roots).then_some(())
    })
    .await;
    // One that comes back joins; one that stops leaves, and what it holds is decided.
    let three = fleet.start(2).await;
    are_together(&[&one, &two, &three], 3).await;
    for trace in 200..260 {
        for number in 0..SPANS {
            [&one, &two, &three][place(trace, number, 3)]
                .edge
                .traces(sent(trace, number))
                .await;
        }
    }
    three.stop().await;
    until_none_is_held(&[&one, &two]).await;
    let kept = fleet.kept();
    for trace in 200..260 {
        let spans = kept.get(&support::trace_id(trace)).copied().unwrap_or(0);
        assert!([0, SPANS].contains(&spans), "trace {trace} has {spans}");
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_with_another_secret_or_release_is_none_of_them() {
    let fleet = Fleet::of(2).await;
    let one = fleet.start(0).await;
    std::fs::write(fleet.folder.path().join("secret"), "fedcba9876543210").unwrap();
    let other = fleet.start(1).await;
    for edge in [&one, &other] {
        edge.edge
            .until_metric("weir_edge_peer_messages_total", &["failed"], |failed| {
                failed > 1.0
            })
            .await;
        assert_eq!(edge.edge.metric("weir_edge_edges", &[]).await, 1.0);
    }
    let said = ("authorization", "Bearer 0123456789abcdef");
    let address = one.edge.addresses.peers.unwrap();
    for (headers, body, expected, part) in [
        (vec![], vec![1], 401, "--peer-secret-file"),
        (vec![said], vec![9, 0, 0], 400, "version 9"),
        (vec![said], vec![1, 0, 0], 400, "ends early"),
    ] {
        let (status, answer) = support::server::post(address, "/v1/peer", &headers, body).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains(part), "{answer}");
    }
    // A body that is too long is refused before it comes.
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/peer HTTP/1.1\r\nhost: a\r\nauthorization: Bearer 0123456789abcdef\r\ncontent-length: 5242880\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    one.stop().await;
    other.stop().await;
}
