//! TLS of the listeners: the files it is made from, and the handshake of a connection.
//!
//! A listener has a [`Tls`], which holds what it presents and demands at the moment. When the files
//! change, the whole of it is replaced: a handshake takes the newest, and connections that are open
//! go on as they are. Begin with [`TlsFiles::read`] and [`Tls`].
//!
//! Nothing here puts a byte of a file into an error or a log line, because it may be one of a key.

mod files;
mod handshake;
mod plain;

pub use files::{Contents, Prepared, TlsFiles, TlsFilesError, Validity};
pub use handshake::Tls;

/// What a listener speaks inside TLS, as ALPN says it, the best first.
pub type Protocols = &'static [&'static [u8]];

/// HTTP/1.1 alone.
pub const HTTP1: Protocols = &[b"http/1.1"];

/// HTTP/2, which gRPC needs, or HTTP/1.1.
pub const HTTP2_OR_1: Protocols = &[b"h2", b"http/1.1"];
