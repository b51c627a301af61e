//! A connection to a listener: counted while it is open, and closed if it makes no progress.
//!
//! The HTTP server limits the time for the first head of a connection, and its idle time. It does
//! not limit a second head that never ends, or an answer that is never read. Either would keep a
//! connection for ever, and there are few. So this type limits the time from the first byte of a
//! request to the last byte of its answer. The server also accepts requests from a client that
//! reads no answers, as many as its buffers hold. So this type reads nothing from a client that
//! does not read, and only a little at a time from any other.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::http2::{Io, PREFACE};
use super::places::Place;
use super::stream::Stream;

/// How often a connection is checked before its time limit closes it. So the limit is exact to a
/// quarter, and neither a request nor an answer reads the clock.
const LOOKS: u32 = 4;

/// How long a connection may make no progress.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// From a request's first byte to its answer's last, or from connecting to the first request.
    pub answer: Duration,
    /// From an answer to the next request.
    pub idle: Duration,
}

impl TimeLimits {
    fn between_looks(self) -> Duration {
        self.answer / LOOKS
    }

    /// The number of checks without progress after which an idle connection is closed. The server
    /// closes it after the idle time itself; this is a second line of defence.
    fn idle_looks(self) -> u32 {
        let period = self.between_looks().as_millis().max(1);
        let looks = self.idle.as_millis().div_ceil(period) + 1;
        u32::try_from(looks).unwrap_or(u32::MAX).max(LOOKS)
    }
}

/// Bytes that are read before other connections get a turn.
const TURN_BYTES: usize = 8 * 1024;

/// The same, directly after an answer, where requests begin. A request that waits for its turn
/// takes about a hundred times the memory of its shortest head.
const FIRST_BYTES: usize = 1024;

/// A connection with a time limit.
pub struct Connection {
    io: Stream,
    /// The first bytes, if they were read to see what the client speaks and not taken since.
    first: Vec<u8>,
    progress: Progress,
    place: Place,
}

impl Connection {
    /// Wraps a connection that was just accepted. It occupies `place`.
    pub(super) fn new(io: Stream, place: Place, limits: TimeLimits) -> Self {
        Self {
            io,
            first: Vec::new(),
            progress: Progress::new(limits),
            place,
        }
    }

    /// Reads the first bytes, and returns whether they are those of HTTP/2.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        loop {
            let compared = self.first.len().min(PREFACE.len());
            if self.first[..compared] != PREFACE[..compared] {
                return Ok(false);
            }
            if compared == PREFACE.len() {
                return Ok(true);
            }
            if poll_fn(|context| self.read_ahead(context)).await? == 0 {
                // The client has gone, as the server will see.
                return Ok(false);
            }
        }
    }

    /// Reads as much as the server would after an answer.
    fn read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut few = [MaybeUninit::uninit(); FIRST_BYTES];
        let mut read = ReadBuf::uninit(&mut few[..FIRST_BYTES - self.first.len()]);
        match Pin::new(&mut self.io).poll_read(context, &mut read) {
            Poll::Pending if self.place.is_lost(context) => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            step => step.map_ok(|()| {
                self.first.extend_from_slice(read.filled());
                read.filled().len()
            }),
        }
    }

    /// Gives the connection to the HTTP/2 server, which has its own rules.
    pub(super) fn into_http2(self) -> Io {
        Io::new(self.io, self.first.into(), self.place)
    }

    /// Reads the first bytes after an answer. If there may be more, they have to wait.
    fn read_first(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            return self.take_first(buffer);
        }
        let mut few = [MaybeUninit::uninit(); FIRST_BYTES];
        let length = buffer.remaining().min(FIRST_BYTES);
        let mut first = ReadBuf::uninit(&mut few[..length]);
        let step = Pin::new(&mut self.io).poll_read(context, &mut first);
        if first.filled().len() == length {
            self.progress.read_in_turn = TURN_BYTES;
        }
        buffer.put_slice(first.filled());
        step
    }

    /// Takes the bytes that were read ahead.
    fn take_first(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.len() == FIRST_BYTES {
            self.progress.read_in_turn = TURN_BYTES;
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.drain(..length);
        Poll::Ready(Ok(()))
    }
}

/// For how long the connection has made no progress.
struct Progress {
    limits: TimeLimits,
    /// Whether a request began or an answer ended since the last check.
    stirred: bool,
    /// The number of checks since then.
    looks: u32,
    /// Whether bytes of a request have arrived since the last answer.
    asked: bool,
    /// Bytes read since the last time that reading had to wait.
    read_in_turn: usize,
    /// Whether bytes of an answer wait to be flushed.
    answering: bool,
    /// Whether the client does not read the answer at the moment.
    blocked: bool,
    /// Whether that was so since the last flush.
    held_up: bool,
    /// Fires when the next check is due. It is only moved then, so an answer costs no timer.
    alarm: Pin<Box<Sleep>>,
}

impl Progress {
    fn new(limits: TimeLimits) -> Self {
        Self {
            limits,
            stirred: true,
            looks: 0,
            asked: false,
            read_in_turn: 0,
            answering: false,
            blocked: false,
            held_up: false,
            alarm: Box::pin(sleep(limits.between_looks())),
        }
    }

    fn read(&mut self, bytes: usize, place: &Place) {
        self.read_in_turn = if bytes == 0 {
            0
        } else {
            self.read_in_turn + bytes
        };
        if bytes > 0 && !self.asked {
            self.asked = true;
            place.busy();
            self.stirred = true;
        }
    }

    fn wrote(&mut self, blocked: bool) {
        self.answering = true;
        self.blocked = blocked;
        self.held_up |= blocked;
    }

    /// Notes that encrypted bytes of an answer wait in memory, because the client does not read.
    fn not_read(&mut self) {
        self.blocked = true;
        self.held_up = true;
    }

    /// Notes that everything written so far was sent: the server only flushes complete answers.
    fn flushed(&mut self, context: &Context<'_>, place: &Place) {
        self.blocked = false;
        if std::mem::take(&mut self.held_up) {
            // Reading was skipped, so nothing else wakes the task for bytes that have arrived
            // since.
            context.waker().wake_by_ref();
        }
        if self.answering {
            self.answering = false;
            self.asked = false;
            self.stirred = true;
            place.idle();
        }
    }

    /// Fails if the limit has passed; otherwise makes sure that the task is woken when it does.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            self.looks = if std::mem::take(&mut self.stirred) {
                0
            } else {
                self.looks + 1
            };
            let most = if self.asked || self.answering {
                LOOKS
            } else {
                self.limits.idle_looks()
            };
            if self.looks >= most {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = Instant::now() + self.limits.between_looks();
            self.alarm.as_mut().reset(next);
        }
        Ok(())
    }

    /// Waits for a step, but no longer than the limit.
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
        if self.progress.blocked {
            return self.progress.bounded(Poll::Pending, context);
        }
        let before = buffer.filled().len();
        if self.progress.read_in_turn >= TURN_BYTES {
            self.progress.read_in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let step = if self.progress.asked && self.first.is_empty() {
            Pin::new(&mut self.io).poll_read(context, buffer)
        } else {
            self.read_first(context, buffer)
        };
        let Self {
            progress, place, ..
        } = &mut *self;
        progress.read(buffer.filled().len() - before, place);
        if step.is_pending() && place.is_lost(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        progress.bounded(step, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.io).poll_write(context, bytes);
        self.progress.wrote(step.is_pending());
        self.progress.bounded(step, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.io).poll_flush(context);
        let Self {
            progress, place, ..
        } = &mut *self;
        if step.is_ready() {
            progress.flushed(context, place);
        } else {
            progress.not_read();
        }
        progress.bounded(step, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_may_be_idle_for_longer_than_a_request_may_take() {
        for idle in [1, 5, 19, 20, 60, 3600] {
            let limits = TimeLimits {
                answer: Duration::from_secs(20),
                idle: Duration::from_secs(idle),
            };
            let closed_after = limits.between_looks() * limits.idle_looks();
            assert!(closed_after > limits.idle, "{closed_after:?}: {limits:?}");
            assert!(closed_after >= limits.answer, "{closed_after:?}");
        }
    }
}
