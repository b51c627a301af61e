//! What tests need around them.

pub mod app;
pub mod postgres;
