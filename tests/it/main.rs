//! What Weir promises, tested through its front doors. One binary, a module per capability.

// A test that cannot go on panics; the linter knows tests by their attribute alone, not the
// functions they share.
#![allow(clippy::unwrap_used)]

mod store;
mod support;
