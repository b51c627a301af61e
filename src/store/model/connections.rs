//! The number of connections to the database.

/// The connections to the database at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open and idle.
    pub idle: u32,
    /// Open and in use.
    pub used: u32,
    /// The most connections that may be open.
    pub most: u32,
}
