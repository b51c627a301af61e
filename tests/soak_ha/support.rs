//! What this program shares with the tests under `tests/it`.

#[path = "../it/support/agents.rs"]
pub mod agents;
#[path = "../it/support/client.rs"]
pub mod client;
#[path = "../it/support/process.rs"]
pub mod process;
#[path = "../it/support/proxy.rs"]
pub mod proxy;
#[path = "../it/support/stored.rs"]
pub mod stored;
#[path = "../it/support/postgres/system.rs"]
pub mod system;
#[path = "../it/support/watchdog.rs"]
pub mod watchdog;
