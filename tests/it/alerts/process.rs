//! Faults of a replica: frozen, with a wrong clock, overloaded, attacked.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::traffic::{Fleet, Manners};
use super::world::World;
use crate::access::{Bearer, Door};
use crate::oidc::provider::Provider;
use crate::supervision::Faulty;
use crate::support::app::report;
use crate::support::client::{Answer, http_client, send};
use crate::support::postgres::{TestDatabase, free_port};
use crate::support::process::{WallClock, WeirCommand, WeirProcess};
use crate::support::tls::{Authority, Secret, Valid};

/// Connections taken in the test that has too many of them.
const CONNECTIONS: usize = 40;

/// Two such bodies are more than a Weir with few operations should hold.
const HUGE_BYTES: usize = 180 << 20;

fn command(directory: &tempfile::TempDir) -> WeirCommand {
    WeirProcess::command()
        .flag("--interval", "1s")
        .flag("--data-dir", directory.path())
}

/// A replica is frozen, as on a machine that swaps, and continues.
pub async fn frozen(world: Arc<World>) {
    let job = "weir-frozen";
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory).start().await;
    world.watch(job, &[weir.admin_url()]).await;
    weir.stop();
    world.fires(job, "WeirDown").await;
    weir.cont();
    world.clears(job, "WeirDown").await;
}

/// A machine's clock is set an hour back, and then corrected.
pub async fn wrong_clock(world: Arc<World>) {
    let job = "weir-clock";
    let database = TestDatabase::create().await;
    let clock = WallClock::right();
    let weir = WeirProcess::command()
        .flag("--interval", "1s")
        .flag("--database-url", database.url())
        .wall_clock_of(&clock)
        .start()
        .await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirClockOffset").await;
    clock.set_off_by(-3600);
    // A step is news for fifteen intervals only, so nothing is waited for before it.
    tokio::join!(
        world.fires(job, "WeirClockOffset"),
        world.fires(job, "WeirClockStepped"),
    );
    clock.set_off_by(0);
    world.clears(job, "WeirClockOffset").await;
    world.clears(job, "WeirClockStepped").await;
}

/// The limit of a report's size is raised and used up.
pub async fn huge_bodies(world: Arc<World>) {
    let job = "weir-huge";
    let directory = tempfile::tempdir().unwrap();
    let limit = (256 << 20).to_string();
    let weir = command(&directory)
        .flag("--max-report-bytes", limit)
        .start()
        .await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirMemoryHigh").await;
    let address = weir.sdk_url().trim_start_matches("http://").to_owned();
    let mut senders = JoinSet::new();
    for _ in 0..3 {
        senders.spawn(send_nearly_all(address.clone(), HUGE_BYTES));
    }
    world.fires(job, "WeirMemoryHigh").await;
    drop(senders);
    world.clears(job, "WeirMemoryHigh").await;
}

/// Sends a body without its end, and again whenever the server closes the connection.
async fn send_nearly_all(address: String, bytes: usize) {
    let chunk = vec![b' '; 1 << 20];
    loop {
        let Ok(mut socket) = TcpStream::connect(&address).await else {
            return;
        };
        let head = head(&address, bytes + 1);
        let mut sent = socket.write_all(head.as_bytes()).await;
        for _ in 0..bytes >> 20 {
            if sent.is_ok() {
                sent = socket.write_all(&chunk).await;
            }
        }
        // The answer comes when the time for the body is over.
        let _ = socket.read(&mut [0; 64]).await;
    }
}

fn head(address: &str, length: usize) -> String {
    format!(
        "POST /v1/reports HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// Sends bodies that are not reports: text, half a document, a bomb, a body that never comes, more
/// entries than a report may have.
pub async fn hostile_reports(world: Arc<World>) {
    let job = "weir-hostile";
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory).start().await;
    let _fleet = Fleet::start(weir.sdk_url(), Manners::default());
    world.watch(job, &[weir.admin_url()]).await;
    world.has_traffic(job).await;
    world.clears(job, "WeirReportsRejected").await;
    let mut attackers = JoinSet::new();
    attackers.spawn(attack(weir.sdk_url().to_owned()));
    world.fires(job, "WeirReportsRejected").await;
    drop(attackers);
    world.clears(job, "WeirReportsRejected").await;
}

async fn attack(sdk_url: String) {
    let json = "application/json";
    let operation = br#"{"operation":"a","offered":1,"sampled":0},"#;
    let bodies: [(&str, Option<&str>, Vec<u8>); 5] = [
        ("text/plain", None, b"report".to_vec()),
        (json, None, br#"{"agent": "#.to_vec()),
        (json, None, br#"{"agent": "a"}"#.to_vec()),
        (json, Some("gzip"), bomb()),
        (json, None, operation.repeat(100_000)),
    ];
    let slow = slow_body(sdk_url.trim_start_matches("http://").to_owned());
    let fast = async {
        let http = http_client();
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for (kind, encoding, body) in bodies.iter().cycle() {
            pace.tick().await;
            let mut request = http.post(format!("{sdk_url}/v1/reports"));
            if let Some(encoding) = encoding {
                request = request.header("Content-Encoding", *encoding);
            }
            let sent = request.header("Content-Type", *kind).body(body.clone());
            // Whether there is an answer does not matter here.
            let _ = sent.send().await;
        }
    };
    tokio::join!(slow, fast);
}

/// 64 MiB of blanks in a few kilobytes.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..64 {
        packed.write_all(&blanks).unwrap();
    }
    packed.finish().unwrap()
}

/// Announces a body that it does not send.
async fn slow_body(address: String) {
    loop {
        let Ok(mut socket) = TcpStream::connect(&address).await else {
            return;
        };
        let head = head(&address, 100);
        let _ = socket.write_all(head.as_bytes()).await;
        let _ = socket.read(&mut [0; 64]).await;
    }
}

/// An agent's counter goes backwards, and is then repaired.
pub async fn absurd_counts(world: Arc<World>) {
    let job = "weir-absurd";
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory).start().await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirReportEntriesIgnored").await;
    let mut broken = JoinSet::new();
    broken.spawn(report_backwards(weir.sdk_url().to_owned()));
    world.fires(job, "WeirReportEntriesIgnored").await;
    drop(broken);
    world.clears(job, "WeirReportEntriesIgnored").await;
}

async fn report_backwards(sdk_url: String) {
    let http = http_client();
    let epoch = Uuid::new_v4();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    for sequence in 1.. {
        pace.tick().await;
        let mut body = report("backwards", epoch, sequence, 1);
        body["services"][0]["operations"][0]["offered"] = (-1).into();
        // A busy replica may ask for it again: it does not, and the next entry is as absurd.
        let answer = send(&http, &sdk_url, &body).await;
        assert!(!matches!(answer, Answer::Refused(..)), "{answer:?}");
    }
}

/// A client opens all connections, and then closes them.
pub async fn idle_connections(world: Arc<World>) {
    let job = "weir-idle";
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory)
        .flag("--max-connections", CONNECTIONS.to_string())
        .start()
        .await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirConnectionsExhausted").await;
    let address = weir.sdk_url().trim_start_matches("http://").to_owned();
    let mut hoarders = JoinSet::new();
    for _ in 0..2 * CONNECTIONS {
        hoarders.spawn(hoard(address.clone()));
    }
    world.fires(job, "WeirConnectionsExhausted").await;
    drop(hoarders);
    world.clears(job, "WeirConnectionsExhausted").await;
}

/// Holds a connection as long as the server allows, then opens another.
async fn hoard(address: String) {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    loop {
        pace.tick().await;
        if let Ok(mut socket) = TcpStream::connect(&address).await {
            let _ = socket.read(&mut [0; 64]).await;
        }
    }
}

/// A bug makes every computation panic, and then the task that keeps the lease.
pub async fn panics(world: Arc<World>) {
    let job = "weir-panics";
    let directory = tempfile::tempdir().unwrap();
    let weir = Faulty::start(directory.path(), &[]).await;
    world.watch(job, &[&weir.app.admin]).await;
    world.clears(job, "WeirLeaseGivenUp").await;
    weir.panic_in(Some("read_deltas"));
    world.fires(job, "WeirLeaseGivenUp").await;
    weir.panic_in(Some("acquire_lease"));
    world.fires(job, "WeirTaskEnded").await;
    weir.panic_in(None);
    world.clears(job, "WeirLeaseGivenUp").await;
    world.clears(job, "WeirTaskEnded").await;
    weir.app.stop().await;
}

/// Nobody renews a certificate. Then somebody does, but damages the key, and mends it.
pub async fn certificates(world: Arc<World>) {
    const YEAR: i64 = 365 * 24 * 3600;
    let job = "weir-tls";
    let authority = Authority::new("ours");
    let old = authority.server(Valid(-YEAR, 3600));
    let mut secret = Secret::of(&old);
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory)
        .flag("--tls-cert", secret.file("tls.crt"))
        .flag("--tls-key", secret.file("tls.key"))
        .flag("--tls-listeners", "sdk,grpc")
        .start()
        .await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirTlsFilesRefused").await;
    world.fires(job, "WeirCertificateEnds").await;
    let new = authority.server(Valid(-60, YEAR));
    secret.replace(&new.certificate, &new.key[..100], None);
    world.fires(job, "WeirTlsFilesRefused").await;
    secret.replace(&new.certificate, &new.key, None);
    world.clears(job, "WeirTlsFilesRefused").await;
    world.clears(job, "WeirCertificateEnds").await;
}

/// A program goes on with a token that nobody has, and then stops.
pub async fn revoked_token(world: Arc<World>) {
    let job = "weir-tokens";
    let directory = tempfile::tempdir().unwrap();
    let weir = command(&directory).start().await;
    world.watch(job, &[weir.admin_url()]).await;
    world.clears(job, "WeirTokensRefused").await;
    let mut program = JoinSet::new();
    program.spawn(present(format!("{}/v1/budget", weir.admin_url())));
    world.fires(job, "WeirTokensRefused").await;
    drop(program);
    world.clears(job, "WeirTokensRefused").await;
}

/// The provider of OpenID Connect is not there yet, and then it is.
pub async fn provider_away(world: Arc<World>) {
    let job = "weir-oidc";
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let weir = command(&directory)
        .flag("--oidc-issuer", format!("http://localhost:{port}"))
        .flag("--oidc-audience", "weir")
        .flag("--oidc-role", "viewers=viewer")
        .environment("WEIR_METRICS_WITHOUT_TOKEN", "true")
        .start()
        .await;
    world.watch(job, &[weir.admin_url()]).await;
    world.fires(job, "WeirOidcKeysUnread").await;
    let _provider = Provider::start_at(port, true);
    world.clears(job, "WeirOidcKeysUnread").await;
}

async fn present(url: String) {
    let http = http_client();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    loop {
        pace.tick().await;
        // Nobody answers in time while the machine is busy.
        if let Ok(refused) = http.get(&url).bearer(Door::NOBODYS).send().await {
            assert!([401, 429].contains(&refused.status().as_u16()));
        }
    }
}
