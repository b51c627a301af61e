//! A connection to a listener: counted while it is open, closed when it makes no progress.
//!
//! The HTTP server limits the first head of a connection and its idle time. It does not limit a
//! second head that never ends, nor an answer that is never read: either would hold a connection
//! for ever, and there are few. So this type limits the time from the first byte of a request to
//! the last byte of its answer. The server also accepts requests from a client that reads no
//! answers, as many at once as there are bytes. So this type reads nothing from a client that
//! does not read, and little at once from any other.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::places::Place;

/// How often a connection is looked at before its time limit closes it. So the limit is exact to
/// a fourth, and neither a request nor an answer reads the clock.
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

    /// How many looks without progress close a connection that waits for a request. The server
    /// closes it at the idle time itself; this is for when it does not.
    fn idle_looks(self) -> u32 {
        let period = self.between_looks().as_millis().max(1);
        let looks = self.idle.as_millis().div_ceil(period) + 1;
        u32::try_from(looks).unwrap_or(u32::MAX).max(LOOKS)
    }
}

/// Bytes that are read before what they ask for has had its turn.
const TURN_BYTES: usize = 8 * 1024;

/// The same directly after an answer, where requests begin: one that waits for its turn takes
/// some hundred times the memory of its shortest head.
const FIRST_BYTES: usize = 1024;

/// A connection that has a time limit.
pub struct Connection {
    io: TcpStream,
    progress: Progress,
    place: Place,
}

impl Connection {
    /// Takes a connection that has just been accepted, at its place.
    pub(super) fn new(io: TcpStream, place: Place, limits: TimeLimits) -> Self {
        Self {
            io,
            progress: Progress::new(limits),
            place,
        }
    }

    /// Reads the first bytes after an answer; where there may be more, they have to wait.
    fn read_first(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
}

/// For how long nothing has been achieved.
struct Progress {
    limits: TimeLimits,
    /// Whether a request has begun or an answer ended since the connection was last looked at.
    stirred: bool,
    /// How often it was looked at since one did.
    looks: u32,
    /// Whether bytes of a request have come since the last answer.
    asked: bool,
    /// Bytes read since reading last had to wait.
    read_in_turn: usize,
    /// Whether bytes of an answer wait for their flush.
    answering: bool,
    /// Whether the client takes no more of an answer now.
    blocked: bool,
    /// Whether it did so since the last flush.
    held_up: bool,
    /// Fires when the connection is to be looked at; moved only then, so that an answer costs no
    /// timer.
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

    /// Everything written so far is on its way: the server flushes only what it has written
    /// completely.
    fn flushed(&mut self, context: &Context<'_>, place: &Place) {
        if std::mem::take(&mut self.held_up) {
            // Reading was passed over, so nobody else wakes the task for what has come since.
            context.waker().wake_by_ref();
        }
        if self.answering {
            self.answering = false;
            self.asked = false;
            self.stirred = true;
            place.idle();
        }
    }

    /// Fails once the limit has passed; before that, has the task woken when it does.
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
        if self.progress.blocked {
            return self.progress.bounded(Poll::Pending, context);
        }
        let before = buffer.filled().len();
        if self.progress.read_in_turn >= TURN_BYTES {
            self.progress.read_in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let step = if self.progress.asked {
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
        if step.is_ready() {
            let Self {
                progress, place, ..
            } = &mut *self;
            progress.flushed(context, place);
        }
        step
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
