//! The token that the process is started with. Its file is read again, so that a new one needs no restart, and
//! one that was taken away is not accepted any longer.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::access::{BOOTSTRAP, LOCAL, Role, Token, TokenKind, TokenName, TokenSecret, Tokens};
use crate::settings::AccessSettings;
use crate::worker;

/// How often the file is read, as those of TLS are.
const LOOK: Duration = Duration::from_secs(1);

/// The looks at which it must hold no token. It may be written while it is read.
const TRUSTED_LOOKS: u32 = 2;

/// A token that is not stored.
pub(super) fn token(secret: &TokenSecret) -> Token {
    Token {
        // Of its own digest: a session that began with it ends when it is replaced.
        id: secret.digest().id(),
        digest: secret.digest(),
        kind: TokenKind::Token,
        name: TokenName::stored(BOOTSTRAP).expect("the name is sound"),
        role: Role::Admin,
        services: Vec::new(),
        created_at: DateTime::UNIX_EPOCH,
        created_by: LOCAL.into(),
        expires_at: None,
        revoked_at: None,
    }
}

/// Reads the file of the token again and again, until told to stop.
pub(super) struct Watch {
    pub(super) access: AccessSettings,
    pub(super) tokens: Arc<Tokens>,
}

impl Watch {
    pub(super) async fn run(self, stop: CancellationToken) {
        if self.access.bootstrap_token_file.is_none() {
            return stop.cancelled().await;
        }
        let mut used = self.access.bootstrap().ok().flatten();
        let mut failures = 0;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let access = self.access.clone();
            // A volume that hangs stops this task alone. The blocking thread ends with the process.
            let read = worker::blocking(move || access.bootstrap());
            match stop.run_until_cancelled(read).await {
                None => return,
                Some(Ok(found)) => {
                    failures = 0;
                    self.use_other(&mut used, found, "its file has another token");
                }
                Some(Err(why)) => {
                    failures += 1;
                    if failures >= TRUSTED_LOOKS {
                        self.use_other(&mut used, None, &why);
                    }
                }
            }
        }
    }

    /// Accepts what the file holds now, if it is another token.
    fn use_other(&self, used: &mut Option<TokenSecret>, found: Option<TokenSecret>, why: &str) {
        if *used == found {
            return;
        }
        self.tokens.start_with(found.as_ref().map(token));
        match &found {
            Some(_) => tracing::info!("the token to start with was replaced: {why}"),
            None => tracing::warn!(why, "the token to start with is no longer accepted"),
        }
        *used = found;
    }
}
