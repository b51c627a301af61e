//! OTLP on the wire. Begin with [`Export::walk`].
//!
//! Most spans are dropped, so nothing is decoded: the bytes are walked, and kept spans are copied as they came,
//! but for their trace state.

pub mod check;
pub mod json;
pub mod limit;
mod schema;
pub mod services;
pub mod trace_state;
mod walk;
pub(crate) mod wire;
pub mod write;

pub use self::walk::{Context, Export, Kind, Span};
pub(crate) use self::walk::{attribute, span as read_span};
pub use self::wire::Unreadable;

/// The result of reading bytes.
pub type Read<T> = Result<T, Unreadable>;
