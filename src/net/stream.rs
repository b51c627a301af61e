//! The bytes of a connection: plain, or encrypted with TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::plain::Plain;

/// A connection's bytes.
pub(super) enum Stream {
    Plain(Plain),
    /// After its handshake. Boxed, because it is ten times as large as a plain one.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Writes to whichever stream it is.
macro_rules! write {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain(Plain { io: $io, .. }) => $call,
            Stream::Tls($io) => $call,
        }
    };
}

impl Stream {
    /// Sends what is written at once, and does not wait until the client has acknowledged what was
    /// sent before. If this fails, answers are slower.
    pub fn send_at_once(&self) {
        let io = match self {
            Self::Plain(plain) => &plain.io,
            Self::Tls(io) => io.get_ref().0,
        };
        let _ = io.set_nodelay(true);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        write!(self, io => Pin::new(io).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        write!(self, io => Pin::new(io).poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        write!(self, io => Pin::new(io).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        write!(self, io => Pin::new(io).poll_shutdown(context))
    }
}
