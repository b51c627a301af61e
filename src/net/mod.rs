//! Listeners and their connections: how many, for how long, and from whom.
//!
//! Every listener is a [`listener::Listener`], with the same bounds, counts and stop. The caller
//! passes what it answers. Begin with [`listener::listen`].

pub mod connection;
pub mod descriptors;
pub mod hosts;
pub mod http2;
pub mod listener;
mod places;
mod plain;
mod stream;
pub mod tls;
