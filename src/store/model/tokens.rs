//! What is stored of tokens.

/// Changes whenever a token is created, revoked or deleted: what a follower compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensMark {
    /// How many tokens there are.
    pub tokens: i64,
    /// How many of them are revoked.
    pub revoked: i64,
    /// When the newest was created, in milliseconds since the Unix epoch; 0 without one.
    pub created_ms: i64,
    /// When one was last revoked, in milliseconds since the Unix epoch; 0 without one.
    pub revoked_ms: i64,
}

/// The answer to a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCreation {
    /// It is stored.
    Created,
    /// There are as many tokens as there may be.
    Full,
}
