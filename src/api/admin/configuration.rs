//! Reads and changes the operators' configuration. The resources of its parts use this module.

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, IF_MATCH};
use actix_web::web::block;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::audit::Act;
use super::origins::{self, Ownership};
use super::rules::{self, Force};
use super::{Admin, preview};
use crate::configuration::{Configuration, ConfigurationError, Listless, Outline, Part, Writer};
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision, ConfigurationWrite, NewAuditEntry};
use crate::view::change::ChangeDocument;

/// The largest body accepted for a part of the configuration.
pub(super) const BYTES: usize = 16 << 10;

/// The largest whole document, as it is sent and as it is stored.
pub(super) const WHOLE_BYTES: usize = Configuration::BYTES_MAX;

/// The room for whole documents that arrive at the same time: one of the largest size, compressed
/// and decompressed.
pub(super) const WHOLE_ROOM: usize = 2 * WHOLE_BYTES;

/// The longest path or detail in an answer, in bytes. It may contain names that the client chose.
const TOLD_BYTES: usize = 1024;

/// Changes a part of the newest revision if the condition holds for it, and returns the new
/// revision. Errors name fields of the part relative to it.
pub(super) async fn change(
    admin: &Admin,
    condition: &Condition,
    part: &str,
    change: impl Fn(&mut Configuration),
) -> Result<(Configuration, ConfigurationRevision), Problem> {
    let changed = |held: &ConfigurationRevision| {
        let mut configuration = read(held)?;
        change(&mut configuration);
        Ok(configuration)
    };
    let written = write(admin, condition, Force::No, changed).await;
    written.map_err(|problem| match problem {
        Problem::Invalid { field, detail } => {
            let own = field.strip_prefix(part);
            let own = own.and_then(|rest| rest.strip_prefix('.'));
            let field = own.map_or(field.clone(), str::to_owned);
            Problem::Invalid { field, detail }
        }
        other => other,
    })
}

/// Writes a new revision if the condition holds for the newest one, and returns it. What changes nothing
/// writes nothing: the newest revision is returned. A dry run returns the revision that would be written.
pub(super) async fn write(
    admin: &Admin,
    condition: &Condition,
    force: Force,
    next: impl Fn(&ConfigurationRevision) -> Result<Configuration, Problem>,
) -> Result<(Configuration, ConfigurationRevision), Problem> {
    loop {
        let revision = admin.store.configuration().await?;
        // A revision that this Weir cannot read has no rules that could stay as they are.
        let known = Configuration::read(&revision).ok();
        let is_known = known.is_some();
        let held = known.unwrap_or_default();
        let mut configuration = next(&revision)?;
        configuration.complete(&held, admin.clock.now());
        // The condition is checked last (RFC 9110, 13.2.1): a wrong value is wrong under any
        // revision.
        check(&configuration)?;
        let configuration = rules::vet(admin, &held, configuration, force).await?;
        condition.check(&tag(&revision))?;
        let origins = origins::of(admin, revision.revision).await?;
        let writer = condition.writer(admin, revision.revision);
        condition
            .ownership
            .check(&origins, &held, &configuration, &writer)?;
        let after = origins.known.after(&held, &configuration, &writer);
        if is_known && configuration == held {
            if condition.is_dry_run() {
                return Ok((configuration, revision));
            }
            match origins::take_over(admin, &revision, &origins, &after).await? {
                true => return Ok((configuration, revision)),
                false => continue,
            }
        }
        let document = configuration.document();
        if document.len() > WHOLE_BYTES {
            return Err(Problem::TooLarge(WHOLE_BYTES));
        }
        if condition.is_dry_run() {
            let next = condition
                .act
                .following(&revision, document, admin.clock.now());
            return Ok((configuration, next));
        }
        let before = is_known.then_some(held);
        let record = record(admin, &condition.act, &revision, before, &configuration).await?;
        let (from, now) = (revision.revision, admin.clock.now());
        let (store, by) = (&admin.store, condition.act.by());
        let origins = after.document();
        let written =
            store.write_configuration(from, &document, by, now, Some(&record), Some(&origins));
        match written.await? {
            ConfigurationWrite::Written(revision) => {
                return Ok((configuration, revision));
            }
            // Somebody else wrote in between. The loop checks the condition again on the new
            // revision.
            ConfigurationWrite::Conflict(_) => {}
        }
    }
}

/// What is recorded of a change: what differs, and its expected effect. `held` is none if this Weir cannot
/// read the newest revision.
async fn record(
    admin: &Admin,
    act: &Act,
    newest: &ConfigurationRevision,
    held: Option<Configuration>,
    next: &Configuration,
) -> Result<NewAuditEntry, Problem> {
    let predicted = match act.is_urgent() {
        true => None,
        false => preview::predicted(admin, next).await,
    };
    let reason = own_reason(act, next).map(str::to_owned);
    let (stored, after) = (newest.document.clone(), next.clone());
    // Documents may have megabytes.
    let change = block(move || {
        let before = match held {
            Some(held) => serde_json::to_value(held),
            None => serde_json::from_str(&stored),
        };
        let after = serde_json::to_value(after).unwrap_or_default();
        ChangeDocument::between(&before.unwrap_or_default(), &after)
    });
    let change = change.await.map_err(|_| Problem::Internal)?;
    Ok(NewAuditEntry {
        revisions: Some((newest.revision, newest.revision + 1)),
        predicted,
        ..act.record(&change, reason.as_deref())
    })
}

/// The reason that what is changed gives itself.
fn own_reason<'c>(act: &Act, next: &'c Configuration) -> Option<&'c str> {
    match act.action() {
        AuditAction::FreezeChanged => next.freeze.as_ref().map(|freeze| &*freeze.reason),
        AuditAction::EmergencyChanged => next.emergency.as_ref().map(|of| &*of.reason),
        _ => {
            let rule = act.subject().and_then(|id| next.rules.get(id));
            rule.map(|rule| &*rule.reason)
        }
    }
}

/// Checks every value, and names the first one that is wrong.
pub(super) fn check(configuration: &Configuration) -> Result<(), Problem> {
    configuration.check().map_err(invalid)
}

fn invalid(error: ConfigurationError) -> Problem {
    Problem::Invalid {
        field: shortened(error.field),
        detail: error.problem,
    }
}

/// The newest revision.
pub(super) async fn current(
    admin: &Admin,
) -> Result<(Configuration, ConfigurationRevision), Problem> {
    let revision = admin.store.configuration().await?;
    Ok((read(&revision)?, revision))
}

/// Parses a revision. If this Weir cannot read it, it can only be replaced whole.
pub(super) fn read(revision: &ConfigurationRevision) -> Result<Configuration, Problem> {
    Configuration::read(revision).map_err(|error| {
        let number = revision.revision;
        Problem::Conflict(shortened(format!(
            "this Weir cannot read revision {number} of the configuration: {error}; \
             GET /v1/configuration shows it as it is stored, PUT /v1/configuration replaces it"
        )))
    })
}

/// Parses the configuration or a part of it. An error names the field.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let _: Listless = parse_as(body)?;
    parse_as(body)
}

/// A configuration as somebody sends it: the whole, or a part of it.
pub(super) struct Sent {
    whole: Configuration,
    pub(super) part: Option<Part>,
}

impl Sent {
    /// Parses it. An error names the field.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let outline: Outline = parse_as(body)?;
        let whole = parse_as(body)?;
        let part = outline.part(&whole).map_err(invalid)?;
        Ok(Self { whole, part })
    }

    /// The configuration that it makes of the newest revision.
    pub(super) fn over(&self, held: &ConfigurationRevision) -> Result<Configuration, Problem> {
        match &self.part {
            Some(part) => Ok(part.over(&read(held)?)),
            None => Ok(self.whole.clone()),
        }
    }
}

/// Parses an object whose fields may have lists. An error names the field.
pub(super) fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::Malformed {
            field: String::new(),
            detail: "must be a JSON object".into(),
        });
    }
    parse_as(body)
}

/// The same where lists are expected.
pub(super) fn parse_as<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let part = read.map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." {
            String::new()
        } else {
            shortened(path)
        };
        let detail = shortened(error.inner().to_string());
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

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TOLD_BYTES));
    text
}

/// The `ETag` of a revision: its number and the first 64 bits of its document's SHA-256. After a
/// restore, a number may be used again for another document; the digest then differs.
pub(super) fn tag(revision: &ConfigurationRevision) -> EntityTag {
    let digest = Sha256::digest(revision.document.as_bytes());
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    let digest = u64::from_be_bytes(*first);
    EntityTag::new_strong(format!("{}-{digest:016x}", revision.revision))
}

/// The id of a preview: of the document that was previewed, and of the revision that it would replace.
pub(super) fn preview_id(replaces: &ConfigurationRevision, previewed: &Configuration) -> String {
    let mut digest = Sha256::new();
    digest.update(tag(replaces).tag());
    digest.update([0]);
    digest.update(previewed.document());
    let digest = digest.finalize();
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(*first))
}

/// What a write depends on, and who sends it.
pub(super) struct Condition {
    seen: Seen,
    act: Act,
    ownership: Ownership,
}

/// What `If-Match` asks for.
enum Seen {
    Any,
    Tag(EntityTag),
}

impl Condition {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        Self::seeing(Seen::of(request)?, request)
    }

    /// The same where a condition is not required.
    pub(super) fn if_given(request: &HttpRequest) -> Result<Self, Problem> {
        if request.headers().contains_key(IF_MATCH) {
            return Self::of(request);
        }
        Self::seeing(Seen::Any, request)
    }

    fn seeing(seen: Seen, request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            seen,
            act: Act::of(request)?,
            ownership: Ownership::default(),
        })
    }

    /// Says what a file owns, and whether it takes over what others wrote.
    pub(super) fn owning(self, ownership: Ownership) -> Self {
        Self { ownership, ..self }
    }

    /// Who writes the next revision.
    fn writer(&self, admin: &Admin, newest: u64) -> Writer<'_> {
        self.ownership.writer(&self.act, admin, newest)
    }

    /// Says what is done, for what is recorded of it.
    pub(super) fn doing(self, action: AuditAction) -> Self {
        let act = self.act.doing(action);
        Self { act, ..self }
    }

    /// Says to which rule it is done.
    pub(super) fn to(self, rule: &str) -> Self {
        let act = self.act.to(rule);
        Self { act, ..self }
    }

    /// Whether nothing is to be written.
    pub(super) fn is_dry_run(&self) -> bool {
        self.act.is_dry_run()
    }

    fn check(&self, current: &EntityTag) -> Result<(), Problem> {
        self.seen.check(current)
    }
}

impl Seen {
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
        text.parse().map(Self::Tag).map_err(|_| Problem::Malformed {
            field: "If-Match".into(),
            detail: "must be one ETag of this resource, or *".into(),
        })
    }

    /// Compares the whole tag. A proxy that compresses answers marks their tags as weak. The
    /// document is the same, so weak tags are accepted.
    fn check(&self, current: &EntityTag) -> Result<(), Problem> {
        match self {
            Self::Tag(seen) if !seen.weak_eq(current) => Err(Problem::PreconditionFailed(format!(
                "the current revision is {current}, not {seen}"
            ))),
            _ => Ok(()),
        }
    }
}
