//! A service whose traces an edge decides about when they have ended: traces of which it is known what they are
//! ([`Traces`]), and what became of them ([`TailVerdict`]). Nothing here reads a clock or a socket.

mod traces;
mod verdict;

pub use traces::{Rates, SERVICE, SLOW_MS, Traces};
pub use verdict::{Counted, Finding, Seen, TailVerdict};
