//! Checks bytes that are passed on as they came: a backend refuses a whole batch for one span that is not valid.
//!
//! Only what is kept is checked, so most spans are not.

use super::Read;
use super::schema::{ANY_VALUE, Kind, Message, RESOURCE, SCOPE, SPAN};
use super::wire::{Fields, OTHER_TYPE, Unreadable, Value};

/// Values within values. Readers of protobuf stop at 100 messages within messages; a value takes two of them.
pub const DEPTH_MAX: usize = 40;

const NOT_UTF8: Unreadable = Unreadable::Protobuf("a text is not valid UTF-8");

/// Checks a `Span` to its end.
///
/// # Errors
/// The first thing in it that is not valid.
pub fn span(raw: &[u8]) -> Read<()> {
    message(raw, &SPAN, 0)
}

/// Checks the fields of `ResourceSpans` beside its scopes.
pub(super) fn resource_spans(raw: &[u8]) -> Read<()> {
    beside(raw, &RESOURCE)
}

/// Checks the fields of `ScopeSpans` beside its spans.
pub(super) fn scope_spans(raw: &[u8]) -> Read<()> {
    beside(raw, &SCOPE)
}

/// Both have a message in field 1, what is inside in field 2, and a URL in field 3.
fn beside(raw: &[u8], first: &Message) -> Read<()> {
    for field in Fields::of(raw) {
        let field = field?;
        match field.number {
            1 => message(field.value.bytes()?, first, 0)?,
            3 => text(field.value.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Read<()> {
    std::str::from_utf8(bytes).map(drop).map_err(|_| NOT_UTF8)
}

fn message(raw: &[u8], schema: &Message, depth: usize) -> Read<()> {
    for field in Fields::of(raw) {
        let field = field?;
        if let Some(known) = schema.numbered(field.number) {
            value(field.value, known.kind, depth)?;
        }
    }
    Ok(())
}

fn value(value: Value<'_>, kind: Kind, depth: usize) -> Read<()> {
    match (kind, value) {
        (Kind::Message(of), Value::Bytes(raw)) => {
            let depth = depth + usize::from(std::ptr::eq(of, &raw const ANY_VALUE));
            if depth > DEPTH_MAX {
                return Err(Unreadable::TooDeep);
            }
            message(raw, of, depth)
        }
        (Kind::Text, Value::Bytes(raw)) => text(raw),
        (Kind::Bytes | Kind::Id, Value::Bytes(_)) => Ok(()),
        (
            Kind::Bool | Kind::Signed | Kind::Unsigned | Kind::ZigZag | Kind::Enum(_),
            Value::Varint(_),
        ) => Ok(()),
        (Kind::Fixed64 | Kind::SignedFixed64 | Kind::Double, Value::Fixed64(_)) => Ok(()),
        (Kind::Fixed32, Value::Fixed32(_)) => Ok(()),
        _ => Err(OTHER_TYPE),
    }
}
