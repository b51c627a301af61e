//! What tests need around them.

pub mod postgres;
