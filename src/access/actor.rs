//! Who did something, as it is recorded: a name and a kind.

use super::{BOOTSTRAP, Caller, LOCAL, Role};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of a token, of somebody of the issuer, or `local`.
    pub name: String,
    /// What kind of name that is: `token`, `session`, `jwt`, `bootstrap` or `local`.
    pub kind: &'static str,
    /// The role that it had; none where nobody needs one.
    pub role: Option<Role>,
}

impl Actor {
    /// Who works on the host, with the rights of the database.
    #[must_use]
    pub fn local() -> Self {
        Self {
            name: LOCAL.to_owned(),
            kind: LOCAL,
            role: None,
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Anybody => Self::local(),
            Caller::Holder(token) => Self {
                name: token.name.as_str().to_owned(),
                // No stored token has this name.
                kind: if token.name.as_str() == BOOTSTRAP {
                    BOOTSTRAP
                } else {
                    token.kind.name()
                },
                role: Some(token.role),
            },
        }
    }
}
