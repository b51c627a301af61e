//! Published clients use a running Weir, which sees nothing but what they send. `make interop`
//! builds their programs (`tests/interop/`) and runs what is ignored otherwise.

mod counts;
mod decisions;
mod edge;
mod fleet;
mod jaeger;
mod programs;
mod rust_sdk;
mod servers;
pub mod sink;
mod table;
mod xray;
