//! Which formats stored documents are written in.

/// Which formats stored documents are written in.
///
/// A release reads the formats of the one before, and writes them until an operator says that no
/// replica of the release before will come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum WriteFormat {
    /// Those that the release before reads.
    #[default]
    Previous,
    /// The newest.
    Newest,
}
