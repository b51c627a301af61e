//! The handshake of a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, AlertDescription, ServerConfig};

use super::{Prepared, plain};
use crate::net::places::Place;
use crate::net::stream::Stream;
use crate::telemetry::metrics::{HandshakeOutcome, ListenerName, Metrics};
use crate::telemetry::seldom::log_seldom;

/// How long a handshake may take, from connecting.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The first byte of a client that speaks TLS: the type of a handshake's record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// How often the log names a client whose certificate was refused.
const MINUTE: Duration = Duration::from_secs(60);

/// TLS of one listener.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
    listener: ListenerName,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// TLS of this listener, which begins with `prepared`.
    #[must_use]
    pub fn new(prepared: &Prepared, listener: ListenerName, metrics: Arc<Metrics>) -> Self {
        Self {
            config: Arc::new(ArcSwap::new(Arc::clone(&prepared.config))),
            listener,
            metrics,
        }
    }

    /// Uses `prepared` for the handshakes that begin from now on.
    pub fn replace(&self, prepared: &Prepared) {
        self.config.store(Arc::clone(&prepared.config));
    }

    /// Shakes hands with a client that has just connected.
    ///
    /// # Errors
    /// The handshake failed or took too long, the client does not speak TLS, or another client got
    /// its place. It is counted, and the connection is closed.
    pub(in crate::net) async fn accept(&self, io: TcpStream, place: &Place) -> io::Result<Stream> {
        let peer = io.peer_addr().ok();
        let ended = tokio::select! {
            biased;
            () = place.lost() => Err(HandshakeOutcome::Evicted),
            shaken = tokio::time::timeout(TIME_LIMIT, self.shake(io, peer)) => {
                shaken.unwrap_or(Err(HandshakeOutcome::Slow))
            }
        };
        let outcome = ended.as_ref().err().copied();
        let outcome = outcome.unwrap_or(HandshakeOutcome::Completed);
        self.metrics
            .tls_handshakes
            .of((self.listener, outcome))
            .inc();
        let stream = ended.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        place.shaken();
        Ok(stream)
    }

    async fn shake(
        &self,
        mut io: TcpStream,
        peer: Option<SocketAddr>,
    ) -> Result<Stream, HandshakeOutcome> {
        let mut first = [0];
        match io.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE_RECORD => {}
            Ok(1) => {
                plain::refuse(&mut io).await;
                return Err(HandshakeOutcome::Plain);
            }
            _ => return Err(HandshakeOutcome::Gone),
        }
        let acceptor = TlsAcceptor::from(self.config.load_full());
        match acceptor.accept(io).await {
            Ok(stream) => {
                let stream = Stream::Tls(Box::new(stream));
                // A ticket is sent before the first answer, which would wait until the client has
                // acknowledged it.
                stream.send_at_once();
                Ok(stream)
            }
            Err(error) => Err(self.failed(&error, peer)),
        }
    }

    fn failed(&self, error: &io::Error, peer: Option<SocketAddr>) -> HandshakeOutcome {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        let outcome = cause.map_or(HandshakeOutcome::Gone, outcome_of);
        if let (HandshakeOutcome::ClientRefused, Some(cause)) = (outcome, cause) {
            log_seldom!(
                every MINUTE;
                warn,
                listener = crate::telemetry::metrics::Label::value(self.listener),
                peer = peer.map(tracing::field::display),
                error = %cause,
                "refused a client, because its certificate cannot be used"
            );
        }
        outcome
    }
}

/// What a failed handshake is counted as.
fn outcome_of(error: &rustls::Error) -> HandshakeOutcome {
    match error {
        rustls::Error::NoCertificatesPresented => HandshakeOutcome::NoClientCertificate,
        rustls::Error::InvalidCertificate(_) => HandshakeOutcome::ClientRefused,
        rustls::Error::AlertReceived(alert) if is_distrust(*alert) => HandshakeOutcome::Distrusted,
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(_) => HandshakeOutcome::Incompatible,
        _ => HandshakeOutcome::Malformed,
    }
}

/// Whether a client says that it does not accept the listener's certificate.
fn is_distrust(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
    )
}
