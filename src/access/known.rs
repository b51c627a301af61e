//! The tokens that this replica knows: a snapshot that requests read and a job replaces.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::attempts::Attempts;
use super::{Token, TokenDigest, TokenSecret};

type ByDigest = HashMap<TokenDigest, Arc<Token>>;

/// The tokens that this replica knows.
///
/// They are followed in the database, and stay what they were while it does not answer. So a request
/// reads memory only, and a replica whose database is away still knows who is who.
#[derive(Debug, Default)]
pub struct Tokens {
    /// What the process was started with. Only a restart changes it.
    started_with: Option<Arc<Token>>,
    known: ArcSwap<ByDigest>,
    /// Those with tokens that are not valid, at all listeners.
    pub(super) attempts: Attempts,
}

impl Tokens {
    /// Knows a token from the start, and no other yet.
    #[must_use]
    pub fn new(started_with: Option<Token>) -> Self {
        Self {
            started_with: started_with.map(Arc::new),
            known: ArcSwap::default(),
            attempts: Attempts::default(),
        }
    }

    /// Replaces all that were followed.
    pub fn install(&self, tokens: Vec<Token>) {
        let tokens = tokens.into_iter();
        let known: ByDigest = tokens.map(|of| (of.digest, Arc::new(of))).collect();
        self.known.store(Arc::new(known));
    }

    /// The token with this secret, whether or not it is still valid.
    #[must_use]
    pub fn find(&self, secret: &TokenSecret) -> Option<Arc<Token>> {
        let digest = secret.digest();
        let first = self.started_with.iter().find(|of| of.digest == digest);
        first
            .cloned()
            .or_else(|| self.known.load().get(&digest).cloned())
    }
}
