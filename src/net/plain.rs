//! A connection without TLS, read in few calls to the system.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::web::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// The bytes that one call takes at most: an export of metrics with its head. The server of HTTP/1.1 has room for
/// 8 KiB at a time, which would be two calls.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where a call puts its bytes, for all connections of the thread.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A connection without TLS.
pub(super) struct Plain {
    pub io: TcpStream,
    /// What was received and not read yet: less than [`READ_BYTES`], and nothing between two requests.
    ahead: Bytes,
}

impl Plain {
    pub fn new(io: TcpStream) -> Self {
        let ahead = Bytes::new();
        Self { io, ahead }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, ahead } = self.get_mut();
        let room = buffer.remaining();
        if !ahead.is_empty() {
            buffer.put_slice(&ahead.split_to(room.min(ahead.len())));
            return Poll::Ready(Ok(()));
        }
        if room >= READ_BYTES {
            return Pin::new(io).poll_read(context, buffer);
        }
        READ.with_borrow_mut(|read| {
            let mut read = ReadBuf::new(read);
            ready!(Pin::new(io).poll_read(context, &mut read))?;
            let (fits, rest) = read.filled().split_at(room.min(read.filled().len()));
            buffer.put_slice(fits);
            *ahead = Bytes::copy_from_slice(rest);
            Poll::Ready(Ok(()))
        })
    }
}
