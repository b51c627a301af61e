//! Weir from outside: one binary, a module per capability.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod allocation;
mod replay;
