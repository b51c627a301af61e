//! Settings and rules that match nothing known, with the name that was probably meant.

use super::Admin;
use super::final_names::{self, WARNINGS, Warnings};
use crate::allocation::OVERFLOW_NAME;
use crate::configuration::{Configuration, Pattern, Rule};
use crate::names::Names;

/// What a configuration's settings do not do: those of names that nobody has reported, and of operations that
/// samplers are not asked with.
pub(super) async fn warnings(admin: &Admin, configuration: &Configuration) -> Warnings {
    let mut warnings = unknown(&admin.dictionary.names(), configuration);
    warnings.extend(final_names::warnings(admin, configuration).await);
    while warnings.len() > WARNINGS {
        warnings.pop_last();
    }
    warnings
}

fn unknown(names: &Names, configuration: &Configuration) -> Warnings {
    let services = configuration.services.iter();
    let found = services.flat_map(|(service, settings)| {
        let field = format!("services.{service}");
        let known = names.find_service(service).is_some() || service == OVERFLOW_NAME;
        let itself =
            (!known).then(|| (field.clone(), not_reported("service", names, service, None)));
        let operations = settings.operations.keys().filter(move |operation| {
            known && *operation != OVERFLOW_NAME && names.find(service, operation).is_none()
        });
        let operations = operations.map(move |operation| {
            let warning = not_reported("operation", names, service, Some(operation));
            (format!("{field}.operations.{operation}"), warning)
        });
        itself.into_iter().chain(operations)
    });
    found.take(WARNINGS).collect()
}

fn not_reported(what: &str, names: &Names, service: &str, operation: Option<&str>) -> String {
    let meant = match operation {
        None => closest(service, names.services().map(|(_, name)| &**name)),
        Some(operation) => closest(operation, operations_of(names, Some(service))),
    };
    let mut text = format!("no {what} of this name has been reported");
    match meant {
        Some(meant) => text += &format!("; did you mean {meant}?"),
        None => text += ".",
    }
    text += " The settings apply once it is.";
    text
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
