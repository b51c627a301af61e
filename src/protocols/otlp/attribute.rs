//! Attributes, as both encodings give them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Unreadable;
use super::digest::Digest;

/// The most attributes of one resource, scope or point, and the most elements of a list or a map. The
/// default of SDKs is 128 attributes.
pub(super) const ATTRIBUTES_MAX: usize = 1024;

/// Attributes of most points, and of most resources: a list of them does not grow in steps.
const OF_POINT: usize = 8;
const OF_RESOURCE: usize = 24;

/// How deep lists and maps may be nested in a value.
pub(super) const DEPTH_MAX: usize = 16;

/// A name and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute<'a> {
    pub key: Cow<'a, str>,
    pub value: Value<'a>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Cow<'a, [u8]>),
    /// A list or a map. Nothing reads what is in it, so its digest says all.
    Nested([u8; Digest::BYTES]),
}

impl Value<'_> {
    /// Any order, as long as it is always the same.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Nested(a), Self::Nested(b)) => a.cmp(b),
            (a, b) => a.kind().cmp(&b.kind()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::Int(_) => 3,
            Self::Double(_) => 4,
            Self::Bytes(_) => 5,
            Self::Nested(_) => 6,
        }
    }
}

/// The attributes of one resource, scope or point.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attributes<'a>(Vec<Attribute<'a>>);

impl<'a> Attributes<'a> {
    /// Those of a resource, of which none is read yet.
    pub fn of_source() -> Self {
        Self(Vec::with_capacity(OF_RESOURCE))
    }

    /// Adds one.
    ///
    /// # Errors
    /// If there are too many.
    pub fn push(&mut self, attribute: Attribute<'a>) -> Result<(), Unreadable> {
        if self.0.len() >= ATTRIBUTES_MAX {
            return Err(Unreadable::TooManyAttributes);
        }
        if self.0.is_empty() {
            self.0.reserve(OF_POINT);
        }
        self.0.push(attribute);
        Ok(())
    }

    /// Removes all, and keeps their room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Sorts them by name, as digests need it. Names that are there twice are in no valid export, but
    /// must be in some order, too.
    pub fn sort(&mut self) {
        let order = |a: &Attribute<'_>, b: &Attribute<'_>| {
            a.key.cmp(&b.key).then_with(|| a.value.order(&b.value))
        };
        self.0.sort_unstable_by(order);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.0.iter()
    }

    fn value(&self, key: &str) -> Option<&Value<'a>> {
        let found = self.0.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| &attribute.value)
    }

    /// The text under this name; none if it is empty or not a text.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        match self.value(key)? {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    /// The number under this name, or the one that a text is.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Int(number) => Some(*number as f64),
            Value::Double(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text or the number under this name, as text.
    pub fn text_or_number(&self, key: &str) -> Option<Cow<'a, str>> {
        match self.value(key)? {
            Value::Int(number) => Some(Cow::Owned(number.to_string())),
            _ => self.text(key),
        }
    }
}

impl<'a> FromIterator<Attribute<'a>> for Attributes<'a> {
    fn from_iter<I: IntoIterator<Item = Attribute<'a>>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}
