//! Rules for tagged requests: which spans make their trace a tagged one.

use crate::otlp::wire::{Fields, Value};
use crate::otlp::{Read, attribute};

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
    pub name: Box<str>,
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

/// Those that a service's spans can fulfil.
#[derive(Debug)]
pub struct RulesOf<'a>(Vec<(u16, &'a Rule)>);

impl Tagged {
    /// All rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The rules for a service.
    #[must_use]
    pub fn of_service(&self, service: &[u8]) -> RulesOf<'_> {
        let all = self.0.iter().enumerate();
        let of = all.filter(|(_, rule)| rule.service.matches(service));
        RulesOf(of.map(|(index, rule)| (index as u16, rule)).collect())
    }
}

impl RulesOf<'_> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first rule that a span fulfils.
    ///
    /// # Errors
    /// The span's attributes are not protobuf.
    pub(crate) fn find(&self, span: &[u8]) -> Read<Option<u16>> {
        let mut fulfilled = [0_u8; RULES_MAX];
        for field in Fields::of(span) {
            let field = field?;
            if field.number != ATTRIBUTES {
                continue;
            }
            let (key, value) = attribute(field.value.bytes()?)?;
            for (rule, fulfilled) in self.0.iter().zip(&mut fulfilled) {
                for (bit, (named, glob)) in rule.1.attributes.iter().enumerate() {
                    if named.as_bytes() == key && matches_value(glob, value)? {
                        *fulfilled |= 1 << bit;
                    }
                }
            }
        }
        let all = |rule: &Rule| ((1_u16 << rule.attributes.len()) - 1) as u8;
        let mut rules = self.0.iter().zip(fulfilled);
        let found = rules.find(|((_, rule), fulfilled)| *fulfilled == all(rule));
        Ok(found.map(|((index, _), _)| *index))
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
