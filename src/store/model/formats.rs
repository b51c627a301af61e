//! The formats in which documents are stored.

/// The formats in which documents are stored.
///
/// A release reads the formats of the previous release. It writes them until an operator says that
/// no replica of the previous release will come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum WriteFormat {
    /// Formats that the previous release can read.
    #[default]
    Previous,
    /// The newest formats.
    Newest,
}
