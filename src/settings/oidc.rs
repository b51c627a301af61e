//! The provider of OpenID Connect whose people and programs are let in.

use std::path::PathBuf;

use clap::Args;
use hyper::Uri;

use crate::access::{Expected, Role};
use crate::oidc::{Registration, is_allowed, read_secret};

/// What Weir always asks the provider to be told. The first is what makes it OpenID Connect.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// The most groups that have roles.
const ROLES_MAX: usize = 1000;

/// The provider of OpenID Connect.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "OpenID Connect")]
pub struct OidcSettings {
    /// Provider of OpenID Connect whose people (by browser, /login) and programs (by JWT) are let in, as its
    /// tokens name it: https://… (http on loopback only). The admin listener then asks everybody who they are
    #[arg(long, env = "WEIR_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// Name of this Weir at the provider, which people sign in with. Without it, the provider's JWTs are
    /// accepted, and nobody signs in by browser
    #[arg(
        long,
        env = "WEIR_OIDC_CLIENT_ID",
        value_name = "ID",
        requires = "oidc_issuer",
        requires = "public_url"
    )]
    pub oidc_client_id: Option<String>,
    /// File with the secret of this name. Without it, Weir is a public client, whose codes PKCE protects. Read
    /// each time that somebody signs in
    #[arg(
        long,
        env = "WEIR_OIDC_CLIENT_SECRET_FILE",
        value_name = "FILE",
        requires = "oidc_client_id"
    )]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// What the aud of programs' JWTs must contain [default: the value of --oidc-client-id]
    #[arg(
        long,
        env = "WEIR_OIDC_AUDIENCE",
        value_name = "AUDIENCE",
        requires = "oidc_issuer"
    )]
    pub oidc_audience: Option<String>,
    /// Scope to ask the provider for besides openid, email and profile, such as groups. May be repeated, or be
    /// a list separated by commas
    #[arg(
        long,
        env = "WEIR_OIDC_SCOPE",
        value_name = "SCOPE",
        value_delimiter = ',',
        requires = "oidc_client_id"
    )]
    pub oidc_scope: Vec<String>,
    /// Claim that lists somebody's groups
    #[arg(
        long,
        env = "WEIR_OIDC_GROUPS_CLAIM",
        default_value = "groups",
        value_name = "CLAIM"
    )]
    pub oidc_groups_claim: String,
    /// Role of a group: viewer, operator, admin or agent. Who is in several has the highest, and who is in none
    /// may do nothing. May be repeated, or be a list separated by commas
    #[arg(
        long,
        env = "WEIR_OIDC_ROLE",
        value_name = "GROUP=ROLE",
        value_delimiter = ',',
        value_parser = group_role,
        requires = "oidc_issuer"
    )]
    pub oidc_role: Vec<(String, Role)>,
    /// Where browsers reach the admin listener: scheme, host and port, like https://weir.example. The listener
    /// answers to this host, and the provider sends browsers back to /login/callback below it
    #[arg(long, env = "WEIR_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

fn group_role(text: &str) -> Result<(String, Role), String> {
    let (group, role) = text
        .rsplit_once('=')
        .filter(|(group, _)| !group.is_empty())
        .ok_or("give a group and its role, like platform-team=operator")?;
    let role = Role::named(role);
    let role = role.ok_or("the role must be viewer, operator, admin or agent")?;
    Ok((group.to_owned(), role))
}

impl OidcSettings {
    /// What is expected of the provider's tokens; none without a provider.
    #[must_use]
    pub fn expected(&self) -> Option<Expected> {
        let audience = self.oidc_audience.as_ref().or(self.oidc_client_id.as_ref());
        Some(Expected {
            issuer: self.oidc_issuer.clone()?,
            audience: audience?.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            roles: self.oidc_role.clone(),
        })
    }

    /// What Weir is to the provider; none if nobody signs in by browser.
    #[must_use]
    pub fn registration(&self) -> Option<Registration> {
        let asked = self.oidc_scope.iter().map(String::as_str);
        let asked = asked.filter(|scope| !SCOPES.contains(scope));
        let scopes: Vec<&str> = SCOPES.into_iter().chain(asked).collect();
        Some(Registration {
            client_id: self.oidc_client_id.clone()?,
            secret_file: self.oidc_client_secret_file.clone(),
            public_url: self.public_url.as_ref()?.trim_end_matches('/').to_owned(),
            scope: scopes.join(" "),
        })
    }

    /// The host of the public URL.
    #[must_use]
    pub fn public_host(&self) -> Option<String> {
        let url: Uri = self.public_url.as_ref()?.parse().ok()?;
        url.host().map(str::to_owned)
    }

    pub(super) fn check(&self, insecure_admin: bool, problems: &mut Vec<String>) {
        let is_origin = |url: &Uri| url.path() == "/" && url.query().is_none();
        if let Some(url) = &self.public_url
            && !sound(url).is_some_and(|url| is_origin(&url))
        {
            problems.push(
                "--public-url: give scheme, host and port, like https://weir.example; http is for loopback only"
                    .into(),
            );
        }
        let Some(issuer) = &self.oidc_issuer else {
            return;
        };
        if sound(issuer).is_none() || issuer.contains(['?', '#']) {
            problems.push(
                "--oidc-issuer: give an https URL without ? and #; http is for loopback only"
                    .into(),
            );
        }
        if self.oidc_client_id.is_none() && self.oidc_audience.is_none() {
            problems.push(
                "--oidc-issuer: give --oidc-client-id (and --public-url) for people, or --oidc-audience for \
                 programs, or both"
                    .into(),
            );
        }
        if let Some(file) = &self.oidc_client_secret_file
            && let Err(error) = read_secret(file)
        {
            let file = file.display();
            problems.push(format!("--oidc-client-secret-file {file}: {error}"));
        }
        if self.oidc_role.is_empty() {
            problems.push("--oidc-issuer: nobody has a role; add --oidc-role GROUP=ROLE".into());
        }
        if self.oidc_role.len() > ROLES_MAX {
            problems.push(format!("--oidc-role: give at most {ROLES_MAX}"));
        }
        if insecure_admin {
            problems.push(
                "--oidc-issuer: contradicts --insecure-admin, which asks nobody who they are"
                    .into(),
            );
        }
    }
}

fn sound(url: &str) -> Option<Uri> {
    url.parse().ok().filter(is_allowed)
}
