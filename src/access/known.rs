//! The tokens that this replica knows: a snapshot that requests read and a job replaces.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use uuid::Uuid;

use super::attempts::Attempts;
use super::{Issuer, Token, TokenDigest, TokenSecret};

/// How long a request waits for what other replicas have written. The database is asked twice a second.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Tokens that were followed, by what they are found by.
#[derive(Debug, Default)]
struct Known {
    by_digest: HashMap<TokenDigest, Arc<Token>>,
    by_id: HashMap<Uuid, Arc<Token>>,
}

/// The tokens that this replica knows.
///
/// They are followed in the database, and stay what they were while it does not answer. So a request
/// reads memory only, and a replica whose database is away still knows who is who.
#[derive(Debug, Default)]
pub struct Tokens {
    /// What the process was started with. Its file may be replaced.
    started_with: ArcSwapOption<Token>,
    known: ArcSwap<Known>,
    /// Counts how often the database was asked.
    asked: watch::Sender<u64>,
    /// Whose JWTs are accepted, too.
    pub(super) issuer: Option<Arc<Issuer>>,
    /// Those with tokens that are not valid, at all listeners.
    pub(super) attempts: Attempts,
}

impl Tokens {
    /// Knows a token from the start, and no other yet.
    #[must_use]
    pub fn new(started_with: Option<Token>, issuer: Option<Arc<Issuer>>) -> Self {
        let tokens = Self {
            issuer,
            ..Self::default()
        };
        tokens.start_with(started_with);
        tokens
    }

    /// Replaces the token that the process was started with.
    pub fn start_with(&self, token: Option<Token>) {
        self.started_with.store(token.map(Arc::new));
    }

    /// Notes that the database was asked, and what is known is what it says.
    pub fn asked(&self) {
        self.asked.send_modify(|asked| *asked += 1);
    }

    /// Waits until the database has been asked after this call, but not for long: a session that began a moment
    /// ago on another replica is known then.
    pub(super) async fn caught_up(&self) {
        let mut asked = self.asked.subscribe();
        let begun = *asked.borrow_and_update();
        // One question may be under way.
        let caught_up = asked.wait_for(|asked| *asked >= begun + 2);
        let _ = tokio::time::timeout(CATCH_UP, caught_up).await;
    }

    /// Replaces all that were followed.
    pub fn install(&self, tokens: Vec<Token>) {
        let mut known = Known::default();
        for token in tokens.into_iter().map(Arc::new) {
            known.by_digest.insert(token.digest, Arc::clone(&token));
            known.by_id.insert(token.id, token);
        }
        self.known.store(Arc::new(known));
    }

    /// The token with this secret, whether or not it is still valid.
    #[must_use]
    pub fn find(&self, secret: &TokenSecret) -> Option<Arc<Token>> {
        let digest = secret.digest();
        let first = self.started_with.load_full();
        first
            .filter(|of| of.digest == digest)
            .or_else(|| self.known.load().by_digest.get(&digest).cloned())
    }

    /// The token with this id, whether or not it is still valid.
    #[must_use]
    pub fn of_id(&self, id: Uuid) -> Option<Arc<Token>> {
        let first = self.started_with.load_full();
        first
            .filter(|of| of.id == id)
            .or_else(|| self.known.load().by_id.get(&id).cloned())
    }
}
