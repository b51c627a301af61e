//! The operators' configuration behind its resources: read, and changed under a condition.

use actix_web::HttpRequest;
use actix_web::http::header::IF_MATCH;
use serde::de::DeserializeOwned;

use super::Admin;
use crate::http::problem::Problem;
use crate::policy::Configuration;
use crate::store::{ConfigurationRevision, ConfigurationWrite};

/// The largest body taken.
pub(super) const BYTES: usize = 16 << 10;

/// Changes the newest revision if the condition holds for it; gives the new one.
pub(super) async fn change(
    admin: &Admin,
    condition: &Condition,
    change: impl Fn(&mut Configuration),
) -> Result<(Configuration, u64), Problem> {
    loop {
        let (mut configuration, revision) = current(admin).await?;
        change(&mut configuration);
        // The condition comes last (RFC 9110, 13.2.1): a wrong value is one under any revision.
        configuration.check().map_err(|error| Problem::Invalid {
            field: error.field.into(),
            detail: error.problem,
        })?;
        condition.check(revision.revision)?;
        let document = configuration.document();
        let written =
            admin
                .store
                .write_configuration(revision.revision, &document, admin.clock.now());
        match written.await? {
            ConfigurationWrite::Written(revision) => {
                return Ok((configuration, revision.revision));
            }
            // Somebody wrote in between: the condition decides on what is there now.
            ConfigurationWrite::Conflict(_) => {}
        }
    }
}

/// The newest revision.
pub(super) async fn current(
    admin: &Admin,
) -> Result<(Configuration, ConfigurationRevision), Problem> {
    let initial = Configuration::default().document();
    let revision = admin
        .store
        .configuration(&initial, admin.clock.now())
        .await?;
    let configuration = Configuration::read(&revision).map_err(|error| {
        tracing::error!(
            error,
            revision = revision.revision,
            "the configuration cannot be read"
        );
        Problem::Internal
    })?;
    Ok((configuration, revision))
}

/// Reads a part of the configuration, naming the field that does not fit.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let part = read.map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        let detail = error.inner().to_string();
        if error.inner().is_data() {
            Problem::Invalid { field, detail }
        } else {
            Problem::Malformed { field, detail }
        }
    })?;
    reader.end().map_err(|error| Problem::Malformed {
        field: String::new(),
        detail: error.to_string(),
    })?;
    Ok(part)
}

/// What `If-Match` asks for.
pub(super) enum Condition {
    Any,
    Revision(u64),
}

impl Condition {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let Some(given) = request.headers().get(IF_MATCH) else {
            return Err(Problem::PreconditionRequired(
                "say which revision you have seen: If-Match with the ETag of a GET, or *".into(),
            ));
        };
        let text = given.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let digits = quoted.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|number| number.parse().ok()) {
            Some(revision) => Ok(Self::Revision(revision)),
            None => Err(Problem::Malformed {
                field: "If-Match".into(),
                detail: "must be one ETag of this resource, like \"3\", or *".into(),
            }),
        }
    }

    fn check(&self, current: u64) -> Result<(), Problem> {
        match self {
            Self::Revision(seen) if *seen != current => Err(Problem::PreconditionFailed(format!(
                "the current revision is \"{current}\", not \"{seen}\""
            ))),
            _ => Ok(()),
        }
    }
}
