//! Every kind of caller: tokens, sessions and JWTs of every role, and those that are not valid.

use std::path::Path;

use reqwest::RequestBuilder;
use serde_json::json;
use weir::access::{Need, Role, TokenKind};
use weir::allocation::ServiceName;
use weir::http::routes::Route;

use super::{Bearer, DEADLINE, Door, in_seconds, stored};
use crate::oidc::provider::Provider;
use crate::support::process::eventually;

/// What a caller presents, and whether it is known who that is.
pub struct Presented {
    pub what: String,
    pub how: How,
    pub standing: Standing,
}

/// How something is presented.
pub enum How {
    Nothing,
    Bearer(String),
    /// In the cookie of a session, with what browsers say of the page that sends a change.
    Cookie(String),
    /// In the cookie of a session, by somebody who names no page.
    CookieAlone(String),
}

pub enum Standing {
    Nobody,
    Not(&'static str),
    Holder(Role, Scope),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    Checkout,
    Other,
}

impl Presented {
    fn new(what: impl Into<String>, how: How, standing: Standing) -> Self {
        let what = what.into();
        Self {
            what,
            how,
            standing,
        }
    }

    /// The status that a route of the admin listener refuses it with; none if it may call the route.
    pub fn refused(&self, route: &Route) -> Option<u16> {
        let (role, scope) = match self.standing {
            _ if route.need == Need::Nothing => return None,
            Standing::Nobody | Standing::Not(_) => return Some(401),
            Standing::Holder(role, scope) => (role, scope),
        };
        let in_scope = match scope {
            _ if route.need == Need::Anyone => true,
            Scope::All => true,
            Scope::Checkout => route.path.contains("{service}"),
            Scope::Other => false,
        };
        let names_page = !matches!(self.how, How::CookieAlone(_)) || route.method == "GET";
        (!role.meets(route.need) || !in_scope || !names_page).then_some(403)
    }

    /// The same of a listener for agents, where there are no sessions.
    pub fn refused_to_agents(&self, route: &Route) -> Option<u16> {
        let is_session = matches!(self.how, How::Cookie(_) | How::CookieAlone(_));
        match self.standing {
            _ if route.need == Need::Nothing => None,
            Standing::Nobody | Standing::Not(_) => Some(401),
            Standing::Holder(..) if is_session => Some(401),
            Standing::Holder(role, _) => (!role.meets(route.need)).then_some(403),
        }
    }

    pub fn secret(&self) -> Option<&str> {
        match &self.how {
            How::Nothing => None,
            How::Bearer(secret) | How::Cookie(secret) | How::CookieAlone(secret) => Some(secret),
        }
    }

    pub fn in_request(&self, request: RequestBuilder, page: &str) -> RequestBuilder {
        let cookie = |secret: &str| format!("weir_session={secret}");
        match &self.how {
            How::Nothing => request,
            How::Bearer(token) => request.bearer(token),
            How::Cookie(secret) => {
                let request = request.header("Cookie", cookie(secret));
                request.header("Origin", page)
            }
            How::CookieAlone(secret) => request.header("Cookie", cookie(secret)),
        }
    }
}

/// Every role and scope, and tokens that are not valid. They are stored before Weir starts.
async fn holders_of_tokens(directory: &Path) -> Vec<Presented> {
    let mut all = vec![Presented::new("no token", How::Nothing, Standing::Nobody)];
    for role in Role::ALL {
        for scope in [Scope::All, Scope::Checkout, Scope::Other] {
            let (token, _) = stored(directory, role, |token| {
                token.services = match scope {
                    Scope::All => vec![],
                    Scope::Checkout => vec![ServiceName::parse("checkout").unwrap()],
                    Scope::Other => vec![ServiceName::parse("stock").unwrap()],
                };
            })
            .await;
            let what = format!("{role}, scope {}", scope as u8);
            let standing = Standing::Holder(role, scope);
            all.push(Presented::new(what, How::Bearer(token), standing));
        }
        for (why, token) in not_valid(directory, role, TokenKind::Token).await {
            let what = format!("{role} {why}");
            all.push(Presented::new(what, How::Bearer(token), Standing::Not(why)));
        }
    }
    for (token, why) in [
        (Door::NOBODYS, "is not known"),
        ("weir_1", "must be given once"),
    ] {
        let how = How::Bearer(token.into());
        all.push(Presented::new(token, how, Standing::Not(why)));
    }
    all
}

/// One that has expired, and one that was revoked.
async fn not_valid(directory: &Path, role: Role, kind: TokenKind) -> [(&'static str, String); 2] {
    let expired = stored(directory, role, |token| {
        token.kind = kind;
        token.expires_at = Some(in_seconds(-1));
    });
    let (expired, _) = expired.await;
    let revoked = stored(directory, role, |token| {
        token.kind = kind;
        token.revoked_at = Some(in_seconds(-1));
    });
    let (revoked, _) = revoked.await;
    [("has expired", expired), ("was revoked", revoked)]
}

/// Sessions of browsers. One that has ended is deleted when another begins, so those are stored last.
async fn sessions(directory: &Path) -> Vec<Presented> {
    let mut all = Vec::new();
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let session = stored(directory, role, |token| token.kind = TokenKind::Session);
        let (session, _) = session.await;
        let standing = || Standing::Holder(role, Scope::All);
        let alone = How::CookieAlone(session.clone());
        let what = format!("a session, {role}");
        all.push(Presented::new(
            format!("{what}, no page"),
            alone,
            standing(),
        ));
        let stolen = How::Bearer(session.clone());
        let not = Standing::Not("is not known");
        all.push(Presented::new(format!("{what}, as token"), stolen, not));
        all.push(Presented::new(what, How::Cookie(session), standing()));
    }
    let (token, _) = stored(directory, Role::Admin, |_| ()).await;
    let not = Standing::Not("is not known");
    all.push(Presented::new(
        "a token in the cookie",
        How::Cookie(token),
        not,
    ));
    let damaged = How::Cookie("weir_1".into());
    let not = Standing::Not("must be given once");
    all.push(Presented::new("a damaged cookie", damaged, not));
    let [_, (why, revoked)] = not_valid(directory, Role::Admin, TokenKind::Session).await;
    let revoked = How::Cookie(revoked);
    all.push(Presented::new(
        "a session that was revoked",
        revoked,
        Standing::Not(why),
    ));
    all
}

/// JWTs of a provider.
async fn holders_of_jwts(provider: &Provider) -> Vec<Presented> {
    let mut all = Vec::new();
    for role in Role::ALL {
        let jwt = provider
            .jwt(provider.claims(&[&format!("weir-{role}s")]))
            .await;
        let standing = Standing::Holder(role, Scope::All);
        all.push(Presented::new(
            format!("a JWT, {role}"),
            How::Bearer(jwt),
            standing,
        ));
    }
    let mut late = provider.claims(&["weir-admins"]);
    late["exp"] = json!(in_seconds(-90).timestamp());
    let mut elsewhere = provider.claims(&["weir-admins"]);
    elsewhere["aud"] = json!("other");
    for (claims, why) in [(late, "has expired"), (elsewhere, "another audience")] {
        let how = How::Bearer(provider.jwt(claims).await);
        all.push(Presented::new(
            format!("a JWT: {why}"),
            how,
            Standing::Not(why),
        ));
    }
    all
}

/// A Weir that knows everybody, and all of them.
pub async fn everybody(provider: &Provider) -> (Door, Vec<Presented>) {
    let directory = tempfile::tempdir().unwrap();
    let mut everybody = holders_of_tokens(directory.path()).await;
    everybody.extend(sessions(directory.path()).await);
    everybody.extend(holders_of_jwts(provider).await);
    let flags = [
        "--require-agent-token",
        "--oidc-issuer",
        &provider.issuer,
        "--oidc-client-id",
        "weir",
        "--public-url",
        "http://127.0.0.1:1",
        "--oidc-role",
        "weir-viewers=viewer,weir-operators=operator,weir-admins=admin,weir-agents=agent",
    ];
    let door = Door::open_in(directory, &flags).await;
    let known = provider.jwt(provider.claims(&["weir-viewers"])).await;
    eventually(DEADLINE, "the provider's keys are read", async || {
        (door.status("/v1/me", &known).await == 200).then_some(())
    })
    .await;
    (door, everybody)
}
