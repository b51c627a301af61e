//! The budget: what the whole fleet may keep.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Admin;
use crate::http::body::{BodyRoom, read_json};
use crate::http::problem::Problem;
use crate::policy::{Budget, Configuration};
use crate::store::{ConfigurationRevision, ConfigurationWrite};

/// The largest body taken.
const BYTES: usize = 16 << 10;

#[derive(Serialize)]
struct Document {
    traces_per_second: f64,
    revision: u64,
}

/// Shows the budget and the revision it stands in.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = current(&admin).await?;
    Ok(answer(&configuration, revision.revision))
}

/// Changes the budget if the revision is still the one the caller has seen.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?;
    let body = read_json(&request, payload, BYTES, &BodyRoom::of(2 * BYTES)).await?;
    let budget = parse(body.as_ref())?;
    loop {
        let (mut configuration, revision) = current(&admin).await?;
        configuration.budget = budget;
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
                tracing::info!(
                    revision = revision.revision,
                    traces_per_second = budget.traces_per_second,
                    "the budget was changed"
                );
                return Ok(answer(&configuration, revision.revision));
            }
            // Somebody wrote in between: the condition decides on what is there now.
            ConfigurationWrite::Conflict(_) => {}
        }
    }
}

async fn current(admin: &Admin) -> Result<(Configuration, ConfigurationRevision), Problem> {
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

fn answer(configuration: &Configuration, revision: u64) -> HttpResponse {
    let traces_per_second = configuration.budget.traces_per_second;
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{revision}\"")))
        .json(Document {
            traces_per_second,
            revision,
        })
}

fn parse(body: &[u8]) -> Result<Budget, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let budget = read.map_err(|error| {
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
    Ok(budget)
}

/// What `If-Match` asks for.
enum Condition {
    Any,
    Revision(u64),
}

impl Condition {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
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
