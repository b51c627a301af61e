//! Settings and rules that match nothing known, with the name that was probably meant.

use actix_web::web::block;

use super::Admin;
use super::final_names::{self, WARNINGS, Warnings};
use super::tagged;
use crate::allocation::OVERFLOW_NAME;
use crate::configuration::{Configuration, Matched, Pattern, Rule, RuleState};
use crate::names::Names;

/// How many entries of an answer get the name that was probably meant: each is compared with all names.
pub(super) const SUGGESTED: usize = 10;

/// What a configuration does not do: its settings and rules for names that nobody has reported, and its settings
/// for operations that samplers are not asked with.
pub(super) async fn warnings(admin: &Admin, configuration: &Configuration) -> Warnings {
    let (of, asked) = (admin.clone(), configuration.clone());
    let unknown = block(move || unknown(&of, &asked)).await;
    // An error would mean that it panicked; the document is as good without warnings.
    let mut warnings = unknown.unwrap_or_default();
    warnings.extend(final_names::warnings(admin, configuration).await);
    for (field, said) in tagged::warnings(admin, configuration).await {
        warnings.entry(field).or_insert(said);
    }
    while warnings.len() > WARNINGS {
        warnings.pop_last();
    }
    warnings
}

fn unknown(admin: &Admin, configuration: &Configuration) -> Warnings {
    let names = admin.dictionary.names();
    let matches = admin.matches.of(configuration, &names);
    let now = admin.clock.timestamp();
    let rules = configuration.rules.iter().filter(|(id, rule)| {
        let matched = matches.matched(id).is_some_and(Matched::is_something);
        !matched && rule.state(now) != RuleState::Expired
    });
    let rules = rules.map(|(id, rule)| (format!("rules.{id}"), Unknown::Rule(rule)));
    let services = configuration.services.iter();
    let settings = services.flat_map(|(service, settings)| {
        let field = format!("services.{service}");
        let known = names.find_service(service).is_some() || service == OVERFLOW_NAME;
        let itself = (!known).then(|| (field.clone(), Unknown::Service(service)));
        let names = &names;
        let operations = settings.operations.keys().filter(move |operation| {
            known
                && *operation != OVERFLOW_NAME
                && names.find_all(service, operation).next().is_none()
        });
        let operations = operations.map(move |operation| {
            let field = format!("{field}.operations.{operation}");
            (field, Unknown::Operation(service, operation))
        });
        itself.into_iter().chain(operations)
    });
    let found = settings.chain(rules).take(WARNINGS).enumerate();
    found
        .map(|(number, (field, unknown))| (field, unknown.said(&names, number < SUGGESTED)))
        .collect()
}

/// What names nothing that has been reported.
enum Unknown<'c> {
    Service(&'c str),
    Operation(&'c str, &'c str),
    Rule(&'c Rule),
}

impl Unknown<'_> {
    fn said(&self, names: &Names, suggest: bool) -> String {
        let meant = match *self {
            _ if !suggest => None,
            Self::Service(name) => closest(name, names.services().map(|(_, name)| &**name)),
            Self::Operation(service, name) => closest(name, operations_of(names, Some(service))),
            Self::Rule(rule) => meant(rule, names).1,
        };
        let what = match self {
            Self::Service(_) => "no service of this name has been reported",
            Self::Operation(..) => "no operation of this name has been reported",
            Self::Rule(_) => "matches 0 operations",
        };
        let meant = match meant {
            Some(name) => format!("; did you mean {name}?"),
            None => ".".to_owned(),
        };
        format!("{what}{meant} It takes effect once there is one")
    }
}

/// The names of the operations of one service, or of all.
fn operations_of<'n>(
    names: &'n Names,
    service: Option<&str>,
) -> impl Iterator<Item = &'n str> + use<'n> {
    let service = service.map(|name| names.find_service(name));
    let operations = names.operations();
    let of = operations.filter(move |(row, _)| service.is_none_or(|id| id == Some(row.service)));
    of.map(|(_, name)| &**name)
}

/// The name that a rule's selector probably meant, and the field that it is in.
pub(super) fn meant(rule: &Rule, names: &Names) -> (&'static str, Option<String>) {
    let (service, operation) = match (
        Pattern::parse(&rule.service),
        Pattern::parse(&rule.operation),
    ) {
        (Ok(service), Ok(operation)) => (service, operation),
        _ => return ("service", None),
    };
    let mut services = names.services().map(|(_, name)| &**name);
    if !services.any(|name| service.matches(name)) {
        let services = names.services().map(|(_, name)| &**name);
        return ("service", closest_to(&service, services));
    }
    let found = match &service {
        Pattern::Exact(service) => closest_to(&operation, operations_of(names, Some(service))),
        Pattern::Any | Pattern::Glob(_) => closest_to(&operation, operations_of(names, None)),
    };
    ("operation", found)
}

fn closest_to<'n>(pattern: &Pattern, names: impl Iterator<Item = &'n str>) -> Option<String> {
    match pattern {
        Pattern::Any => None,
        Pattern::Exact(name) => closest(name, names),
        Pattern::Glob(glob) => {
            let prefix = glob.prefix();
            let length = prefix.chars().count();
            let found = nearest(&prefix, names, |name| {
                match name.char_indices().nth(length) {
                    Some((end, _)) => &name[..end],
                    None => name,
                }
            });
            found.map(str::to_owned)
        }
    }
}

fn closest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    nearest(wanted, names, |name| name).map(str::to_owned)
}

/// The name with the fewest edits from `wanted`, if these are few for its length.
fn nearest<'n>(
    wanted: &str,
    names: impl Iterator<Item = &'n str>,
    compared: impl Fn(&'n str) -> &'n str,
) -> Option<&'n str> {
    let most = 1 + wanted.chars().count() / 4;
    let near = names
        .filter(|name| *name != OVERFLOW_NAME)
        .filter_map(|name| {
            let part = compared(name);
            // Each edit changes the length by four bytes at most, so most names need no comparison.
            if part.len().abs_diff(wanted.len()) > 4 * most {
                return None;
            }
            let edits = strsim::osa_distance(wanted, part);
            (edits <= most).then_some((edits, name))
        });
    near.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_meant() {
        let names = ["checkout", "checkin", "stock", OVERFLOW_NAME];
        let meant = |wanted| closest(wanted, names.into_iter());
        assert_eq!(meant("chekcout").as_deref(), Some("checkout"));
        assert_eq!(meant("stok").as_deref(), Some("stock"));
        assert_eq!(meant("payments"), None);
        let like = |pattern| closest_to(&Pattern::parse(pattern).unwrap(), names.into_iter());
        assert_eq!(like("chekc*").as_deref(), Some("checkin"));
        assert_eq!(like("*"), None);
    }
}
