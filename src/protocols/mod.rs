//! Wire adapters: what SDKs speak, and no decisions of their own.

pub mod encoded;
pub mod jaeger;
