//! A connection to the SDK listener: counted while it is open, and ended when it gets nowhere.
//!
//! The HTTP server bounds the first head of a connection and its idle time. What it does not
//! bound are a second head that never ends and an answer that is never read: either would hold
//! its connection, and so one of the few there are, for ever. So the time from the first byte
//! of a request to the last of its answer is bounded here, whatever happens between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::telemetry::metrics::Gauge;

/// From a request's first byte to its answer's last, or from an answer to the next request.
///
/// A body may take 10 s and a commit 8 s; an agent that waits longer has given up.
pub(super) const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(20);

/// A connection that has a time limit.
pub(super) struct Connection {
    io: TcpStream,
    progress: Progress,
    _open: Open,
}

impl Connection {
    /// Takes a connection that has just been accepted, and counts it in `open` for as long as
    /// it lives.
    pub fn new(io: TcpStream, open: &Gauge) -> Self {
        Self {
            io,
            progress: Progress::new(),
            _open: Open::new(open),
        }
    }
}

/// Counts a connection while it is open.
struct Open(Gauge);

impl Open {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Since when nothing has been achieved.
struct Progress {
    since: Instant,
    /// Whether bytes of a request have come since the last answer.
    asked: bool,
    /// Whether bytes of an answer wait for their flush.
    answering: bool,
    /// Fires at the limit as it stood when it was set; moved only then, so that an answer costs
    /// a reading of the clock and no timer.
    alarm: Pin<Box<Sleep>>,
}

impl Progress {
    fn new() -> Self {
        let since = Instant::now();
        Self {
            since,
            asked: false,
            answering: false,
            alarm: Box::pin(tokio::time::sleep_until(since + ANSWER_TIME_LIMIT)),
        }
    }

    fn read(&mut self) {
        if !self.asked {
            self.asked = true;
            self.since = Instant::now();
        }
    }

    fn wrote(&mut self) {
        self.answering = true;
    }

    /// Everything written so far is on its way: the server flushes only what it has written
    /// completely.
    fn flushed(&mut self) {
        if self.answering {
            self.answering = false;
            self.asked = false;
            self.since = Instant::now();
        }
    }

    /// Fails once the limit has passed; before that, has the task woken when it does.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let limit = self.since + ANSWER_TIME_LIMIT;
            if limit <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(limit);
        }
        Ok(())
    }

    /// A step that has to wait waits no longer than the limit.
    fn bounded<T>(
        &mut self,
        step: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if step.is_pending() {
            self.check(context)?;
        }
        step
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let step = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.read();
        }
        self.progress.bounded(step, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.io).poll_write(context, bytes);
        self.progress.wrote();
        self.progress.bounded(step, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.io).poll_flush(context);
        if step.is_ready() {
            self.progress.flushed();
        }
        step
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
