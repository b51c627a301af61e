//! Rules for tagged requests: which spans make their trace a tagged one.

use std::sync::Arc;

use crate::otlp::wire::{Fields, Value};
use crate::otlp::{Read, Span, attribute};

/// The most rules of a plan, as in Weir's configuration with some room.
pub const RULES_MAX: usize = 64;

/// The most attributes of a rule.
pub const ATTRIBUTES_MAX: usize = 8;

/// A longer value matches `*` alone.
const VALUE_MAX: usize = 4096;

/// The attributes of a span, by their field's number.
const ATTRIBUTES: u32 = 9;

/// A rule for tagged requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name in Weir's configuration.
    pub name: Arc<str>,
    /// The services that it is for.
    pub service: Glob,
    /// What a span must have, all of it.
    pub attributes: Vec<(Box<str>, Glob)>,
    /// The most tagged traces per second of a service.
    pub cap_traces_per_second: f64,
}

/// The rules of a plan, the first one that a span fulfils counting.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tagged(pub(super) Vec<Rule>);

/// Those that a service's spans can fulfil, each with the attributes that their resource fulfils.
#[derive(Debug)]
pub struct RulesOf<'a>(Vec<(u16, &'a Rule, u8)>);

/// What a key of a rule begins with that means an entry of the trace state.
const TRACE_STATE: &str = "tracestate.";

/// What keys of attributes begin with that some processors copy from the baggage. Others copy the bare key.
const BAGGAGE: &[u8] = b"baggage.";

impl Tagged {
    /// All rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The rules for a service, whose resource has these fields of `ResourceSpans`.
    ///
    /// # Errors
    /// The resource is not protobuf.
    pub fn of_service<'b>(
        &self,
        service: &[u8],
        resource: impl Iterator<Item = &'b [u8]> + Clone,
    ) -> Read<RulesOf<'_>> {
        let mut rules = Vec::new();
        for (index, rule) in self.0.iter().enumerate() {
            if rule.service.matches(service) {
                let fulfilled = of_resource(rule, resource.clone())?;
                rules.push((index as u16, rule, fulfilled));
            }
        }
        Ok(RulesOf(rules))
    }
}

/// Which attributes of a rule a resource fulfils, a bit each.
fn of_resource<'b>(rule: &Rule, fields: impl Iterator<Item = &'b [u8]>) -> Read<u8> {
    let mut fulfilled = 0;
    for raw in fields {
        for field in Fields::of(raw) {
            let field = field?;
            let (1, Value::Bytes(resource)) = (field.number, field.value) else {
                continue;
            };
            for inside in Fields::of(resource) {
                let inside = inside?;
                if inside.number == 1 {
                    fulfilled |= rule.fulfilled(attribute(inside.value.bytes()?)?)?;
                }
            }
        }
    }
    Ok(fulfilled)
}

impl Rule {
    /// Which of its attributes an attribute fulfils, a bit each.
    fn fulfilled(&self, (key, value): (&[u8], &[u8])) -> Read<u8> {
        let bare = key.strip_prefix(BAGGAGE);
        let mut fulfilled = 0;
        for (bit, (named, glob)) in self.attributes.iter().enumerate() {
            let named = named.as_bytes();
            if (named == key || Some(named) == bare) && matches_value(glob, value)? {
                fulfilled |= 1 << bit;
            }
        }
        Ok(fulfilled)
    }

    /// Which of them the entries of a trace state fulfil.
    fn of_trace_state(&self, trace_state: &[u8]) -> u8 {
        let mut fulfilled = 0;
        for (bit, (named, glob)) in self.attributes.iter().enumerate() {
            let Some(vendor) = named.strip_prefix(TRACE_STATE) else {
                continue;
            };
            let is_it =
                |(key, value): (&[u8], &[u8])| key == vendor.as_bytes() && glob.matches(value);
            if entries(trace_state).any(is_it) {
                fulfilled |= 1 << bit;
            }
        }
        fulfilled
    }

    fn all(&self) -> u8 {
        ((1_u16 << self.attributes.len()) - 1) as u8
    }
}

/// The entries of a trace state.
fn entries(trace_state: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let entries = trace_state.split(|byte| *byte == b',');
    entries.filter_map(|entry| {
        let entry = entry.trim_ascii();
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((&entry[..at], &entry[at + 1..]))
    })
}

impl RulesOf<'_> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first rule that a span fulfils, by its attributes, its trace state, and its resource.
    ///
    /// # Errors
    /// The span's attributes are not protobuf.
    pub(crate) fn find(&self, span: &Span<'_>) -> Read<Option<u16>> {
        let mut fulfilled = [0_u8; RULES_MAX];
        for ((_, rule, of_resource), fulfilled) in self.0.iter().zip(&mut fulfilled) {
            *fulfilled = *of_resource;
            if !span.trace_state.is_empty() {
                *fulfilled |= rule.of_trace_state(span.trace_state);
            }
        }
        for field in Fields::of(span.raw) {
            let field = field?;
            if field.number != ATTRIBUTES {
                continue;
            }
            let one = attribute(field.value.bytes()?)?;
            for ((_, rule, _), fulfilled) in self.0.iter().zip(&mut fulfilled) {
                *fulfilled |= rule.fulfilled(one)?;
            }
        }
        let mut rules = self.0.iter().zip(fulfilled);
        let found = rules.find(|((_, rule, _), fulfilled)| *fulfilled == rule.all());
        Ok(found.map(|((index, ..), _)| *index))
    }
}

/// Texts, numbers and truth values are compared as text; whatever else is there matches `*` alone.
fn matches_value(glob: &Glob, value: &[u8]) -> Read<bool> {
    let mut matches = glob.is_everything();
    for field in Fields::of(value) {
        let field = field?;
        matches = match (field.number, field.value) {
            (1, Value::Bytes(text)) => glob.matches(text),
            (2, Value::Varint(0)) => glob.matches(b"false"),
            (2, Value::Varint(_)) => glob.matches(b"true"),
            (3, Value::Varint(number)) => glob.matches(number.cast_signed().to_string().as_bytes()),
            (4, Value::Fixed64(bits)) => glob.matches(f64::from_bits(bits).to_string().as_bytes()),
            _ => glob.is_everything(),
        };
    }
    Ok(matches)
}

/// A pattern: `*` stands for any bytes, `?` for one character. There is no escape, because samplers know none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// The longest pattern, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// A pattern of this text.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    fn is_everything(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it matches the whole text. Takes at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.is_everything() {
            return true;
        }
        if text.len() > VALUE_MAX {
            return false;
        }
        let pattern = self.0.as_bytes();
        let (mut at, mut from) = (0, 0);
        // Where the last star was, and where its text began to end.
        let mut star: Option<(usize, usize)> = None;
        while from < text.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at + 1, from));
                    at += 1;
                }
                Some(b'?') => {
                    at += 1;
                    from = after(text, from);
                }
                Some(byte) if *byte == text[from] => {
                    at += 1;
                    from += 1;
                }
                _ => match star {
                    Some((pattern_at, text_from)) => {
                        at = pattern_at;
                        from = text_from + 1;
                        star = Some((pattern_at, from));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

/// Where the next character begins.
fn after(text: &[u8], from: usize) -> usize {
    let more = text[from + 1..].iter();
    from + 1 + more.take_while(|byte| **byte & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_samplers_do() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("check*", "checkout", true),
            ("check*", "cart", false),
            ("*out", "checkout", true),
            ("c?t", "cat", true),
            ("c?t", "caat", false),
            ("c?t", "cät", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("**", "anything", true),
            ("a", "aa", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(Glob::new("*").matches(&[b'a'; VALUE_MAX + 1]));
        assert!(!Glob::new("a*").matches(&[b'a'; VALUE_MAX + 1]));
    }
}
