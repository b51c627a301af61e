//! A TCP proxy on loopback that can be made slow, silent or disconnected: a bad network in front of
//! a healthy server.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The most bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Chunks in transit in one direction; a sender that is further ahead has to wait.
const CHUNKS_ON_THEIR_WAY: usize = 256;

/// The address that connections are forwarded to.
#[derive(Debug, Clone)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Open,
    /// Nothing passes and no error is reported, as in a network that drops packets. What was sent
    /// meanwhile arrives afterwards.
    Silent,
    /// Connections are closed, new ones immediately.
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    route: Route,
    to_server: Duration,
    to_client: Duration,
}

/// A proxy; dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    target: watch::Sender<Target>,
    _stop: DropGuard,
}

impl Proxy {
    /// Forwards to a TCP port.
    pub async fn to_tcp(server: SocketAddr) -> Self {
        Self::start(Target::Tcp(server)).await
    }

    /// Forwards to a Unix socket.
    pub async fn to_unix(socket: &Path) -> Self {
        Self::start(Target::Unix(socket.to_owned())).await
    }

    async fn start(target: Target) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (weather, forecast) = watch::channel(Weather {
            route: Route::Open,
            to_server: Duration::ZERO,
            to_client: Duration::ZERO,
        });
        let (target, targets) = watch::channel(target);
        let stop = CancellationToken::new();
        let serving = stop.clone();
        tokio::spawn(async move {
            let accepting = accept(listener, targets, forecast, &serving);
            serving.run_until_cancelled(accepting).await;
        });
        Self {
            address,
            weather,
            target,
            _stop: stop.drop_guard(),
        }
    }

    /// Forwards new connections to another Unix socket, as after a failover.
    pub fn lead_to_unix(&self, socket: &Path) {
        self.target.send_replace(Target::Unix(socket.to_owned()));
    }

    /// Forwards new connections to another TCP port, as after a restart.
    pub fn lead_to_tcp(&self, server: SocketAddr) {
        self.target.send_replace(Target::Tcp(server));
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a database behind it, for the superuser of throw-away clusters.
    pub fn postgres_url(&self, database: &str) -> String {
        let address = self.address;
        format!("postgres://weir@{address}/{database}?sslmode=disable")
    }

    /// Delays every chunk, of open connections too, by this much in each direction. Chunks follow
    /// each other as fast as before: this limits latency, not bandwidth.
    pub fn delay(&self, to_server: Duration, to_client: Duration) {
        self.weather.send_modify(|weather| {
            weather.to_server = to_server;
            weather.to_client = to_client;
        });
    }

    /// Lets nothing pass and reports no error, until [`Proxy::restore`].
    pub fn silence(&self) {
        self.set(Route::Silent);
    }

    /// Closes all connections, and every new one immediately, until [`Proxy::restore`].
    pub fn cut(&self) {
        self.set(Route::Cut);
    }

    /// Lets everything pass again; a delay remains.
    pub fn restore(&self) {
        self.set(Route::Open);
    }

    fn set(&self, route: Route) {
        self.weather.send_modify(|weather| weather.route = route);
    }
}

async fn accept(
    listener: TcpListener,
    targets: watch::Receiver<Target>,
    weather: watch::Receiver<Weather>,
    stop: &CancellationToken,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (weather, stop) = (weather.clone(), stop.clone());
        let target = targets.borrow().clone();
        tokio::spawn(async move {
            // A broken connection is expected here.
            let carried = carry(client, target, weather);
            let _ = stop.run_until_cancelled(carried).await;
        });
    }
}

/// Carries one connection until either end closes it or the proxy disconnects it.
async fn carry(
    client: TcpStream,
    target: Target,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let cut = weather.clone();
    let carried = async {
        // A client that connects while nothing passes is not refused: it gets no answer.
        let _ = weather
            .wait_for(|weather| weather.route != Route::Silent)
            .await;
        client.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        match target {
            Target::Tcp(server) => {
                let server = TcpStream::connect(server).await?;
                server.set_nodelay(true)?;
                let (from_server, to_server) = server.into_split();
                both((from_client, to_server), (from_server, to_client), weather).await
            }
            Target::Unix(socket) => {
                let server = UnixStream::connect(socket).await?;
                let (from_server, to_server) = server.into_split();
                both((from_client, to_server), (from_server, to_client), weather).await
            }
        }
    };
    tokio::select! {
        carried = carried => carried,
        () = is_cut(cut) => Ok(()),
    }
}

async fn is_cut(mut weather: watch::Receiver<Weather>) {
    let _ = weather
        .wait_for(|weather| weather.route == Route::Cut)
        .await;
}

async fn both(
    up: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    down: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let up = pump(up.0, up.1, weather.clone(), |weather| weather.to_server);
    let down = pump(down.0, down.1, weather, |weather| weather.to_client);
    tokio::try_join!(up, down)?;
    Ok(())
}

/// Carries one direction; delayed chunks wait without holding up the reader.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    delay: fn(&Weather) -> Duration,
) -> io::Result<()> {
    let (on_its_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THEIR_WAY);
    let reading = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = (Instant::now(), buffer[..length].to_vec());
            if length == 0 || on_its_way.send(chunk).await.is_err() {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let writing = async move {
        while let Some((read_at, chunk)) = arriving.recv().await {
            let delay = delay(&weather.borrow());
            tokio::time::sleep_until(read_at + delay).await;
            let _ = weather
                .wait_for(|weather| weather.route != Route::Silent)
                .await;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing)?;
    Ok(())
}

#[tokio::test]
async fn what_is_sent_comes_late_after_the_silence_or_not_at_all() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to_tcp(server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut behind, _) = server.accept().await.unwrap();

    let delay = Duration::from_millis(50);
    proxy.delay(delay, Duration::ZERO);
    let sent = Instant::now();
    client.write_all(b"a").await.unwrap();
    assert_eq!(behind.read_u8().await.unwrap(), b'a');
    assert!(sent.elapsed() >= delay, "never sooner");

    proxy.silence();
    client.write_all(b"b").await.unwrap();
    proxy.restore();
    assert_eq!(behind.read_u8().await.unwrap(), b'b', "it was only held");

    proxy.cut();
    assert!(client.read_u8().await.is_err() && behind.read_u8().await.is_err());
}
