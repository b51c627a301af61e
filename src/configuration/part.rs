//! A part of the configuration that a file owns. Applying the file changes and removes what it owns, and nothing
//! else.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Configuration, ConfigurationError, Cost, GroupSettings, Kind, Listless, Object, RULE_NAME_MAX,
    SETTINGS, is_name,
};

/// The most parts.
pub const PARTS_MAX: usize = 200;

/// The most names that one part lists.
pub const OWNS_MAX: usize = 100;

/// The longest of these names, in bytes.
const OWNED_BYTES: usize = 512;

/// What a part owns: names, or beginnings of names that end with `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owns {
    /// The name of the part. Two files with the same name are two states of the same file.
    pub name: String,
    /// The settings of the whole fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// The groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl Owns {
    /// What it owns of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Settings => &self.settings,
            Kind::Groups => &self.groups,
            Kind::Services => &self.services,
            Kind::Rules => &self.rules,
        }
    }

    /// Whether it owns nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.of(*kind).is_empty())
    }

    /// Whether it owns the objects of this kind and name.
    #[must_use]
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        let is_one = |owned: &String| match owned.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => owned == name,
        };
        self.of(kind).iter().any(is_one)
    }

    /// Whether it owns an object.
    #[must_use]
    pub fn has_object(&self, object: &Object) -> bool {
        self.has(object.kind, &object.name)
    }

    /// The first name of each kind that another part owns, too: the kind, what is listed here, and what there.
    #[must_use]
    pub fn overlap<'o>(&'o self, other: &'o Self) -> Option<(Kind, &'o str, &'o str)> {
        Kind::ALL.into_iter().find_map(|kind| {
            let here = self.of(kind).iter();
            let mut pairs = here.flat_map(|here| other.of(kind).iter().map(move |it| (here, it)));
            let met = pairs.find(|(here, there)| meet(here, there))?;
            Some((kind, &**met.0, &**met.1))
        })
    }

    /// Checks its name, and the names that it lists.
    ///
    /// # Errors
    /// Names the first one that is wrong, as a path in the document.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let wrong = |field: String, problem: String| Err(ConfigurationError::new(field, problem));
        if !is_name(&self.name) {
            let problem = format!(
                "must be 1 to {RULE_NAME_MAX} letters, digits, hyphens, dots and underscores"
            );
            return wrong("owns.name".into(), problem);
        }
        let listed: usize = Kind::ALL.iter().map(|kind| self.of(*kind).len()).sum();
        if listed > OWNS_MAX {
            return wrong(
                "owns".into(),
                format!("lists {listed} names; the limit is {OWNS_MAX}"),
            );
        }
        for kind in Kind::ALL {
            for (place, owned) in self.of(kind).iter().enumerate() {
                let field = format!("owns.{}[{place}]", kind.name());
                let begin = owned.strip_suffix('*').unwrap_or(owned);
                if owned.is_empty() || owned.len() > OWNED_BYTES {
                    return wrong(field, format!("must be 1 to {OWNED_BYTES} bytes long"));
                }
                if begin.contains(['*', '?']) || begin.contains(char::is_control) {
                    let problem = "must be a name, or the beginning of names followed by *";
                    return wrong(field, problem.into());
                }
                let one = !owned.ends_with('*');
                if kind == Kind::Settings && one && !SETTINGS.contains(&begin) {
                    let problem = format!("must be one of {}", SETTINGS.join(", "));
                    return wrong(field, problem);
                }
            }
        }
        Ok(())
    }
}

/// Whether two of the names that parts list have a name in common.
fn meet(one: &str, other: &str) -> bool {
    match (one.strip_suffix('*'), other.strip_suffix('*')) {
        (None, None) => one == other,
        (Some(begin), None) => other.starts_with(begin),
        (None, Some(begin)) => one.starts_with(begin),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    }
}

/// What of a document that somebody sends is not in a [`Configuration`]: what it owns, and which fields it has.
#[derive(Debug, Default, PartialEq)]
pub struct Outline {
    owns: Option<Owns>,
    fields: Vec<String>,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Outline, A::Error> {
        let mut outline = Outline::default();
        while let Some(field) = entries.next_key::<String>()? {
            match &*field {
                "owns" if outline.owns.is_some() => {
                    return Err(A::Error::custom("lists owns twice"));
                }
                "owns" => outline.owns = Some(entries.next_value()?),
                "warnings" | "origins" => drop(entries.next_value::<IgnoredAny>()?),
                _ => {
                    entries.next_value::<Listless>()?;
                    // Unknown fields are refused elsewhere, and there may be any number of them.
                    if outline.fields.len() < SETTINGS.len() + Kind::ALL.len() {
                        outline.fields.push(field);
                    }
                }
            }
        }
        Ok(outline)
    }
}

/// The part that a document is.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it owns.
    pub owns: Owns,
    wanted: Configuration,
}

impl Outline {
    /// The part that a document is; none if it is the whole configuration.
    ///
    /// # Errors
    /// Names what is wrong with `owns`, or the first object that the document has and does not own.
    pub fn part(self, wanted: &Configuration) -> Result<Option<Part>, ConfigurationError> {
        let Some(owns) = self.owns else {
            return Ok(None);
        };
        owns.check()?;
        let settings = self.fields.iter();
        let settings = settings.filter(|field| SETTINGS.contains(&field.as_str()));
        let settings = settings.map(|field| Object::new(Kind::Settings, field));
        let named = wanted.objects().filter(|of| of.kind != Kind::Settings);
        let outside = settings.chain(named).find(|of| !owns.has_object(of));
        if let Some(outside) = outside {
            let problem = format!(
                "is outside the part {:?}: owns.{} does not list {:?}",
                owns.name,
                outside.kind.name(),
                shortened(&outside.name),
            );
            return Err(ConfigurationError::new(outside.to_string(), problem));
        }
        let wanted = wanted.clone();
        Ok(Some(Part { owns, wanted }))
    }
}

/// A name may be of any length.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(OWNED_BYTES)]
}

impl Part {
    /// The configuration with this part in the place of what it owns.
    #[must_use]
    pub fn over(&self, held: &Configuration) -> Configuration {
        let (owns, wanted) = (&self.owns, &self.wanted);
        let mut next = held.clone();
        for setting in SETTINGS
            .iter()
            .filter(|name| owns.has(Kind::Settings, name))
        {
            next.take_setting(setting, wanted);
        }
        let groups = (&mut next.groups, &wanted.groups);
        put(groups, |name| owns.has(Kind::Groups, name));
        let services = (&mut next.services, &wanted.services);
        put(services, |name| owns.has(Kind::Services, name));
        let rules = (&mut next.rules, &wanted.rules);
        put(rules, |name| owns.has(Kind::Rules, name));
        next
    }

    /// A configuration in which this part can be checked where the others are not known: with the groups that it
    /// names, and with costs, so that a budget may be in any unit.
    #[must_use]
    pub fn surroundings(&self) -> Configuration {
        let mut around = Configuration {
            cost: Cost::of_anything(),
            ..Configuration::default()
        };
        let named = self.wanted.services.values();
        let named = named.filter_map(|service| service.group.clone());
        let others = named.filter(|group| !self.owns.has(Kind::Groups, group));
        around.groups = others
            .map(|name| (name, GroupSettings::default()))
            .collect();
        around
    }
}

fn put<T: Clone>(
    (held, wanted): (&mut BTreeMap<String, T>, &BTreeMap<String, T>),
    owned: impl Fn(&str) -> bool,
) {
    held.retain(|name, _| !owned(name));
    held.extend(wanted.iter().map(|(name, of)| (name.clone(), of.clone())));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn part(document: &Value) -> Result<Option<Part>, ConfigurationError> {
        let wanted = Configuration::deserialize(document).unwrap();
        Outline::deserialize(document).unwrap().part(&wanted)
    }

    #[test]
    fn a_part_replaces_what_it_owns_and_nothing_else() {
        let document = json!({
            "owns": {"name": "payments", "services": ["pay-*"], "settings": ["probability_min"]},
            "services": {"pay-new": {}},
        });
        let part = part(&document).unwrap().expect("it is a part");
        let mut held = Configuration {
            probability_min: 0.1,
            weight_exponent: 0.5,
            ..Configuration::default()
        };
        for name in ["pay-old", "paypal", "search"] {
            held.services.insert(name.into(), Default::default());
        }
        let next = part.over(&held);
        let names: Vec<&String> = next.services.keys().collect();
        assert_eq!(names, ["pay-new", "paypal", "search"]);
        assert_eq!((next.probability_min, next.weight_exponent), (0.0, 0.5));
    }

    #[test]
    fn what_a_part_does_not_own_is_refused_by_name() {
        let outside = |document: Value| part(&document).unwrap_err().to_string();
        let owns = json!({"name": "payments", "services": ["pay-*"]});
        let said = outside(json!({"owns": owns, "services": {"pay-a": {}, "b": {}}}));
        assert!(
            said.starts_with("services.b is outside the part \"payments\""),
            "{said}"
        );
        let said = outside(json!({"owns": owns, "budget": {"traces_per_second": 10}}));
        assert!(said.starts_with("budget is outside"), "{said}");
        for (owns, field) in [
            (json!({"name": ""}), "owns.name"),
            (json!({"name": "a", "rules": ["a*b"]}), "owns.rules[0]"),
            (json!({"name": "a", "groups": ["x", ""]}), "owns.groups[1]"),
            (
                json!({"name": "a", "settings": ["rules"]}),
                "owns.settings[0]",
            ),
            (
                json!({"name": "a", "rules": vec!["x"; OWNS_MAX + 1]}),
                "owns lists",
            ),
        ] {
            let said = outside(json!({ "owns": owns }));
            assert!(said.starts_with(field), "{said}");
        }
        assert_eq!(part(&json!({"services": {"b": {}}})), Ok(None));
    }

    #[test]
    fn parts_overlap_where_a_name_could_be_of_both() {
        let owns = |rules: &[&str]| Owns {
            name: "x".into(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            ..Owns::default()
        };
        for (one, other, meet) in [
            ("pay-*", "pay-a*", true),
            ("pay-*", "pay-a", true),
            ("pay-a", "pay-a", true),
            ("*", "x", true),
            ("pay-a", "pay-ab", false),
            ("pay-*", "paypal-*", false),
        ] {
            let found = owns(&["z", one]).overlap(&owns(&[other])).is_some();
            assert_eq!(found, meet, "{one} {other}");
            assert_eq!(owns(&[other]).overlap(&owns(&["z", one])).is_some(), meet);
        }
    }
}
