//! TLS of the listeners: the handshake of a connection. The files that it is made from are read by `weir-tls`, for the
//! edge, too.
//!
//! A listener has a [`Tls`], which holds what it presents and demands at the moment. When the files
//! change, the whole of it is replaced: a handshake takes the newest, and connections that are open
//! go on as they are. Begin with [`TlsFiles::read`] and [`Tls`].
//!
//! Nothing here puts a byte of a file into an error or a log line, because it may be one of a key.

mod handshake;
mod plain;

pub use handshake::Tls;
pub use weir_tls::{
    Contents, HTTP1, HTTP2_OR_1, Prepared, Protocols, TlsFiles, TlsFilesError, Validity,
};
