//! The name of a source, from what its resource says.

use std::borrow::Cow;

use uuid::Uuid;

use super::attribute::Attributes;
use crate::allocation::AgentName;

/// The attribute with the service's name.
pub(super) const SERVICE: &str = "service.name";

/// The digits of the key in a name: enough for a million sources of a service without instances.
const DIGITS: usize = 12;

/// The name under which a source is known as an agent: its service, its instance if the resource says
/// one, and the beginning of its key. Two sources never have the same name.
pub(super) fn agent(resource: &Attributes<'_>, service: &str, key: Uuid) -> String {
    let mut digits = Uuid::encode_buffer();
    let digest = &*key.as_simple().encode_lower(&mut digits);
    let short = &digest[..DIGITS];
    let whole = match instance(resource) {
        Some(instance) => [service, &*instance, short].join("/"),
        None => [service, short].join("/"),
    };
    match AgentName::check(&whole) {
        Ok(()) => whole,
        Err(_) => format!("otlp/{digest}"),
    }
}

/// What tells an instance of a service from the others: its own id, else its host and process.
fn instance<'a>(resource: &Attributes<'a>) -> Option<Cow<'a, str>> {
    if let Some(id) = resource.text_or_number("service.instance.id") {
        return Some(id);
    }
    let host = resource.text("host.name");
    let host = host.or_else(|| resource.text("host.id"))?;
    let process = resource.text_or_number("process.pid")?;
    Some(Cow::Owned(format!("{host}-{process}")))
}
