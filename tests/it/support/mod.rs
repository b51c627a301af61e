//! What tests share: servers, clients and clocks.

pub mod agents;
pub mod app;
pub mod client;
pub mod disk;
pub mod grpc;
pub mod pooler;
pub mod postgres;
pub mod preload;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod scrape;
pub mod stored;
pub mod tls;
pub mod watchdog;
