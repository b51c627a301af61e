//! The objects of a configuration: what has an origin, and what a file may own. Each setting of the whole fleet is
//! one, each group, each service with its operations, and each rule.

use std::collections::BTreeMap;
use std::fmt;

use itertools::{EitherOrBoth, Itertools};
use serde::Serialize;

use super::Configuration;

/// The kinds of objects, as the document and `owns` name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A field of the document that holds for the whole fleet.
    Settings,
    /// A group.
    Groups,
    /// A service with its operations.
    Services,
    /// A rule.
    Rules,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Settings, Self::Groups, Self::Services, Self::Rules];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Groups => "groups",
            Self::Services => "services",
            Self::Rules => "rules",
        }
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name among those of its kind.
    pub name: String,
}

impl Object {
    pub(super) fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
        }
    }

    /// Reads the path of an object in the document.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if let Some(setting) = SETTINGS.iter().find(|setting| **setting == path) {
            return Some(Self::new(Kind::Settings, setting));
        }
        let (kind, name) = path.split_once('.')?;
        let kind = [Kind::Groups, Kind::Services, Kind::Rules]
            .into_iter()
            .find(|known| known.name() == kind)?;
        Some(Self::new(kind, name))
    }
}

/// Its path in the document.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Settings => f.write_str(&self.name),
            kind => write!(f, "{}.{}", kind.name(), self.name),
        }
    }
}

/// What is done with each setting, by its name.
macro_rules! settings {
    ($($field:ident),* $(,)?) => {
        /// The settings of the whole fleet, in the order of the document.
        pub const SETTINGS: &[&str] = &[$(stringify!($field)),*];

        impl Configuration {
            /// The settings that differ from those of another configuration.
            fn settings_differing(&self, other: &Self) -> Vec<&'static str> {
                // A field that is missing in the list does not compile.
                let Self { $($field: _,)* groups: _, services: _, rules: _, warnings: _, origins: _, owns: _ } = self;
                let mut differing = Vec::new();
                $(if self.$field != other.$field {
                    differing.push(stringify!($field));
                })*
                differing
            }

            /// Takes a setting over.
            pub(super) fn take_setting(&mut self, name: &str, from: &Self) {
                match name {
                    $(stringify!($field) => self.$field = from.$field.clone(),)*
                    _ => {}
                }
            }
        }
    };
}

settings!(
    budget,
    cost,
    mode,
    freeze,
    emergency,
    coverage,
    lower_bound,
    initial_probability,
    unseen_reserve_max,
    weight_exponent,
    probability_min,
    governed,
    slow_ms,
    classes,
);

/// The names under which two maps differ.
fn names_differing<'m, T: PartialEq>(
    kind: Kind,
    held: &'m BTreeMap<String, T>,
    next: &'m BTreeMap<String, T>,
) -> impl Iterator<Item = Object> + 'm {
    held.iter()
        .merge_join_by(next, |(held, _), (next, _)| held.cmp(next))
        .filter_map(move |pair| match pair {
            EitherOrBoth::Both((_, held), (_, next)) if held == next => None,
            EitherOrBoth::Both((name, _), _)
            | EitherOrBoth::Left((name, _))
            | EitherOrBoth::Right((name, _)) => Some(Object::new(kind, name)),
        })
}

impl Configuration {
    /// The objects that another configuration has otherwise, or only one of them has.
    #[must_use]
    pub fn objects_differing(&self, next: &Self) -> Vec<Object> {
        let settings = self.settings_differing(next).into_iter();
        let settings = settings.map(|name| Object::new(Kind::Settings, name));
        settings
            .chain(names_differing(Kind::Groups, &self.groups, &next.groups))
            .chain(names_differing(
                Kind::Services,
                &self.services,
                &next.services,
            ))
            .chain(names_differing(Kind::Rules, &self.rules, &next.rules))
            .collect()
    }

    /// Whether it has an object. Settings are always there, but what holds for a time may not be.
    #[must_use]
    pub fn has(&self, object: &Object) -> bool {
        match (object.kind, &*object.name) {
            (Kind::Settings, "freeze") => self.freeze.is_some(),
            (Kind::Settings, "emergency") => self.emergency.is_some(),
            (Kind::Settings, _) => true,
            (Kind::Groups, name) => self.groups.contains_key(name),
            (Kind::Services, name) => self.services.contains_key(name),
            (Kind::Rules, name) => self.rules.contains_key(name),
        }
    }

    /// All objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        let settings = SETTINGS
            .iter()
            .map(|name| Object::new(Kind::Settings, name));
        let settings = settings.filter(|object| self.has(object));
        let named = |kind: Kind| move |name: &String| Object::new(kind, name);
        settings
            .chain(self.groups.keys().map(named(Kind::Groups)))
            .chain(self.services.keys().map(named(Kind::Services)))
            .chain(self.rules.keys().map(named(Kind::Rules)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Budget;

    #[test]
    fn every_object_that_differs_is_found() {
        let mut held = Configuration::default();
        held.services.insert("a.b".into(), Default::default());
        held.groups.insert("web".into(), Default::default());
        let mut next = held.clone();
        assert!(held.objects_differing(&next).is_empty());
        next.budget = Budget::TracesPerSecond(3.0);
        next.services.clear();
        let found: Vec<String> = held
            .objects_differing(&next)
            .iter()
            .map(Object::to_string)
            .collect();
        assert_eq!(found, ["budget", "services.a.b"]);
        for path in found {
            assert_eq!(Object::parse(&path).unwrap().to_string(), path);
        }
        assert_eq!(Object::parse("warnings"), None);
        assert_eq!(Object::parse("nothing.x"), None);
    }
}
