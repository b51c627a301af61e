//! Listeners and their connections: how many, for how long, and from whom.
//!
//! Every listener is a [`listener::Listener`]: the same bounds, the same counts, the same way to
//! stop. What is answered is passed in. Begin with [`listener::listen`].

pub mod connection;
pub mod descriptors;
pub mod hosts;
pub mod listener;
mod places;
