//! TLS of the listeners, made from files that are read again when they change.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use weir_tls::{HTTP2_OR_1, Prepared, TlsFiles, TlsFilesError};

use crate::clock;
use crate::metrics::Metrics;
use crate::send::words;

/// How often the files are read. They are small, and Kubernetes replaces them by moving a link, which no watch on the
/// files themselves would see.
const LOOK: Duration = Duration::from_secs(1);

/// The looks at which files must be found unusable: a certificate and its key may be replaced one after the other.
const TRUSTED_LOOKS: u32 = 2;

/// How long a handshake may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The first byte of a client that speaks TLS: the type of a handshake's record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a client is told that does not speak TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 34\r\nConnection: close\r\n\r\nthis port speaks TLS: use https://";

/// TLS of the listeners.
pub(crate) struct Tls {
    /// What metrics and the log call the listeners: `senders` or `peers`.
    of: &'static str,
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    looks: Mutex<Looks>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Looks {
    /// The digest of the files that are in use.
    used: [u8; 32],
    /// The looks since the files could be used.
    failures: u32,
    /// Why what is in the files now is not in use, as it was logged.
    refused: Option<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(
        of: &'static str,
        files: TlsFiles,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, TlsFilesError> {
        let contents = files.read()?;
        let prepared = contents.prepare(HTTP2_OR_1)?;
        if contents.key_is_public() {
            tracing::warn!(
                file = %files.key.display(),
                "everybody on this machine may read the private key: set its mode to 0640 or less"
            );
        }
        let tls = Self {
            of,
            config: ArcSwap::new(Arc::clone(&prepared.config)),
            looks: Mutex::new(Looks {
                used: contents.digest(),
                ..Looks::default()
            }),
            metrics: Arc::clone(metrics),
            files,
        };
        tls.tell(&prepared);
        Ok(Arc::new(tls))
    }

    fn tell(&self, prepared: &Prepared) {
        let until = prepared.validity.until;
        self.metrics.tls_not_after.set(until.timestamp());
        if until <= clock::now() {
            tracing::warn!(%until, "the certificate has ended: clients will not accept it");
        }
    }

    /// Shakes hands with a client that has just connected.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let shaken = tokio::time::timeout(TIME_LIMIT, self.shake(stream));
        let (outcome, shaken) = match shaken.await {
            Ok(Ok(stream)) => ("completed", Ok(stream)),
            Ok(Err((outcome, error))) => (outcome, Err(error)),
            Err(_) => ("slow", Err(io::ErrorKind::TimedOut.into())),
        };
        let handshakes = &self.metrics.tls_handshakes;
        handshakes.with_label_values(&[self.of, outcome]).inc();
        shaken
    }

    async fn shake(
        &self,
        mut stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, (&'static str, io::Error)> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE_RECORD => {}
            Ok(1) => {
                refuse(&mut stream).await;
                return Err(("plain", io::ErrorKind::ConnectionAborted.into()));
            }
            Ok(_) => return Err(("gone", io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(("gone", error)),
        }
        let acceptor = TlsAcceptor::from(self.config.load_full());
        acceptor
            .accept(stream)
            .await
            .map_err(|error| ("failed", error))
    }

    /// Looks at the files again and again, until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let tls = Arc::clone(&self);
            // A volume that hangs stops this task alone.
            let looked = tokio::task::spawn_blocking(move || tls.look());
            // If the process stops, it may not have begun: that is no panic.
            if let Some(Err(error)) = stop.run_until_cancelled(looked).await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn look(&self) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        match self.changed(looks.used) {
            Ok(None) => (looks.failures, looks.refused) = (0, None),
            Ok(Some((digest, prepared))) => {
                self.config.store(Arc::clone(&prepared.config));
                *looks = Looks {
                    used: digest,
                    ..Looks::default()
                };
                self.count("succeeded");
                self.tell(&prepared);
                tracing::info!(listener = self.of, until = %prepared.validity.until, "the files of TLS have changed: new connections use the new ones");
            }
            Err(error) => {
                let said = words(&error);
                looks.failures += 1;
                if looks.failures >= TRUSTED_LOOKS && looks.refused.as_ref() != Some(&said) {
                    self.count("failed");
                    tracing::error!(
                        error = said,
                        "the files of TLS have changed and cannot be used: the old ones stay in use"
                    );
                    looks.refused = Some(said);
                }
            }
        }
    }

    fn count(&self, outcome: &str) {
        let reloads = &self.metrics.tls_reloads;
        reloads.with_label_values(&[self.of, outcome]).inc();
    }

    /// What is in the files now, if it is not what is in use.
    fn changed(&self, used: [u8; 32]) -> Result<Option<([u8; 32], Prepared)>, TlsFilesError> {
        let contents = self.files.read()?;
        let digest = contents.digest();
        if digest == used {
            return Ok(None);
        }
        let prepared = contents.prepare(HTTP2_OR_1)?;
        let until = prepared.validity.until;
        if until <= clock::now() {
            let file = self.files.certificate.clone();
            return Err(TlsFilesError::Ended { file, until });
        }
        Ok(Some((digest, prepared)))
    }
}

/// Answers a client that does not speak TLS, and waits for it to close: otherwise the answer could be lost.
async fn refuse(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    let _ = stream.read(&mut rest).await;
    let _ = stream.write_all(PLAIN).await;
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(LOOK, stream.read(&mut rest)).await;
}
