//! The service and operation of a time series, by its labels or by its name.

use std::collections::BTreeSet;

use super::fault::{RecordingFault, shortened};
use super::growth::Counts;
use super::words::{Role, role};
use super::{NO_OPERATION, NO_SERVICE, operation, service};
use weir_allocation::{OperationName, ServiceName};

/// Finds the names of series, and remembers what their labels were read as.
#[derive(Debug, Default)]
pub(super) struct SeriesNames {
    /// Labels that distinguish counts which are added up.
    unused: BTreeSet<String>,
    /// Labels that are read as a service or operation without being called so.
    read_as: BTreeSet<(String, &'static str)>,
    no_service: bool,
    no_operation: bool,
    /// Names without labels, which are read as operations.
    plain: bool,
    /// Names with labels, as queries return them.
    queried: bool,
}

/// The most labels named in a note.
const MOST_NAMED: usize = 12;

impl SeriesNames {
    /// The service and operation in a series' name: `calls_total{service_name="a", span_name="b"}`,
    /// `{service:a,resource_name:b}`, or the name of an operation.
    pub fn named(&mut self, name: &str) -> Result<(ServiceName, OperationName), RecordingFault> {
        if let Some(labels) = labels(name) {
            self.queried = true;
            return self.labelled(&labels);
        }
        if is_status(name) {
            return Err(RecordingFault::Status(shortened(name)));
        }
        self.plain = true;
        Ok((service(NO_SERVICE)?, operation(name)?))
    }

    /// The service and operation in a series' labels.
    pub fn labelled(
        &mut self,
        labels: &[(String, String)],
    ) -> Result<(ServiceName, OperationName), RecordingFault> {
        let of_service = |role| match role {
            Role::Service(rank) => Some(rank),
            _ => None,
        };
        let of_operation = |role| match role {
            Role::Operation(rank) => Some(rank),
            _ => None,
        };
        let labels: Vec<_> = labels
            .iter()
            .filter(|(key, _)| key != "__name__")
            .map(|(key, value)| (key.as_str(), value.as_str(), role(key)))
            .collect();
        if labels.iter().any(|(.., role)| *role == Role::Bucket) {
            return Err(RecordingFault::Buckets);
        }
        let found_service = best(&labels, "a service", of_service)?;
        let found_operation = best(&labels, "an operation", of_operation)?;
        if found_service.is_none() && found_operation.is_none() && !labels.is_empty() {
            let all: Vec<String> = labels.iter().map(|(key, ..)| (*key).to_owned()).collect();
            return Err(RecordingFault::Unnamed(shortened(&all.join(", "))));
        }
        for (place, (key, ..)) in labels.iter().enumerate() {
            let used = [found_service, found_operation].contains(&Some(place));
            if !used && self.unused.len() < MOST_NAMED {
                self.unused.insert(shortened(key));
            }
        }
        self.no_service |= found_service.is_none();
        self.no_operation |= found_operation.is_none();
        let mut value = |found: Option<usize>, missing: &'static str, what: &'static str| {
            let Some((key, value, role)) = found.map(|place| labels[place]) else {
                return missing.to_owned();
            };
            if !matches!(role, Role::Service(0) | Role::Operation(0)) {
                self.read_as.insert((shortened(key), what));
            }
            value.to_owned()
        };
        Ok((
            service(&value(found_service, NO_SERVICE, "service"))?,
            operation(&value(found_operation, NO_OPERATION, "operation"))?,
        ))
    }

    /// What is known of the counts: those of series with labels come from a query.
    pub fn counts(&self) -> Counts {
        match self.queried {
            true => Counts::Queried,
            false => Counts::Plain,
        }
    }

    /// What was assumed, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (key, what) in &self.read_as {
            notes.push(format!("{key} is read as the {what}"));
        }
        if self.plain {
            notes.push(format!(
                "the names of the series are read as operations of one service, {NO_SERVICE:?}"
            ));
        }
        if self.no_service {
            notes.push(no_service());
        }
        if self.no_operation {
            notes.push(no_operation());
        }
        if !self.unused.is_empty() {
            let unused: Vec<&str> = self.unused.iter().map(String::as_str).collect();
            notes.push(added_up(&unused));
        }
        notes
    }
}

/// Whether a name is a number or a class of statuses, such as `200` or `5xx`.
fn is_status(name: &str) -> bool {
    let digits = name.strip_suffix("xx").unwrap_or(name);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn no_service() -> String {
    format!("nothing names the services: all operations are read as of one, {NO_SERVICE:?}")
}

pub(super) fn no_operation() -> String {
    format!("nothing names the operations: each service is read as one, {NO_OPERATION:?}")
}

pub(super) fn added_up<T: AsRef<str>>(unused: &[T]) -> String {
    let unused: Vec<&str> = unused.iter().map(AsRef::as_ref).collect();
    format!("what only {} tells apart is added up", unused.join(", "))
}

/// The label that fits best.
fn best(
    labels: &[(&str, &str, Role)],
    what: &'static str,
    rank: impl Fn(Role) -> Option<u8>,
) -> Result<Option<usize>, RecordingFault> {
    let ranks = labels.iter().map(|(_, _, role)| rank(*role));
    lowest(ranks).map_err(|(one, other)| RecordingFault::Two {
        what,
        one: shortened(labels[one].0),
        other: shortened(labels[other].0),
    })
}

/// The place of the lowest rank.
///
/// # Errors
/// The places of two that have it.
pub(super) fn lowest(
    ranks: impl Iterator<Item = Option<u8>>,
) -> Result<Option<usize>, (usize, usize)> {
    let ranks: Vec<Option<u8>> = ranks.collect();
    let Some(lowest) = ranks.iter().flatten().min() else {
        return Ok(None);
    };
    let mut places = (0..ranks.len()).filter(|&place| ranks[place] == Some(*lowest));
    match (places.next(), places.next()) {
        (Some(one), Some(other)) => Err((one, other)),
        (place, _) => Ok(place),
    }
}

/// Whether the name of a series has labels.
pub(super) fn is_labelled(name: &str) -> bool {
    labels(name).is_some()
}

/// The labels behind a name; none if it has none. Braces may be a part of a route, like `/users/{id}`.
/// Labels without quotes or braces, like `service:a,resource_name:b`, must name a service or an
/// operation.
fn labels(name: &str) -> Option<Vec<(String, String)>> {
    let braced = name.strip_suffix('}').and_then(|name| name.split_once('{'));
    let (metric, inner) = braced.unwrap_or(("", name));
    if metric.contains('/') {
        return None;
    }
    let mut labels = Vec::new();
    let mut rest = inner.trim();
    let mut quoted = rest.is_empty() && braced.is_some();
    while !rest.is_empty() {
        let (key, after) = key(rest)?;
        let Some(text) = after.strip_prefix(['=', ':']).map(str::trim_start) else {
            // The metric's own name may come first, in quotes.
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
            continue;
        };
        let (value, after) = match text.strip_prefix('"') {
            Some(text) => {
                quoted |= braced.is_some();
                unquoted(text)?
            }
            None => {
                let end = text.find(',').unwrap_or(text.len());
                (text[..end].trim().to_owned(), &text[end..])
            }
        };
        labels.push((key, value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    let named =
        |(key, _): &(String, String)| matches!(role(key), Role::Service(0) | Role::Operation(0));
    (quoted || labels.iter().any(named)).then_some(labels)
}

/// The name of a label, and what follows it.
fn key(text: &str) -> Option<(String, &str)> {
    if let Some(text) = text.strip_prefix('"') {
        let (key, after) = unquoted(text)?;
        let after = after.trim_start();
        return (after.is_empty() || after.starts_with([',', '='])).then_some((key, after));
    }
    let (key, after) = text.split_at(text.find(['=', ':'])?);
    let key = key.trim();
    let sound = !key.is_empty() && !key.contains(['{', '"', ',']);
    sound.then(|| (key.to_owned(), after))
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> (String, String) {
        let (service, operation) = SeriesNames::default().named(name).unwrap();
        (service.as_str().to_owned(), operation.as_str().to_owned())
    }

    #[test]
    fn a_series_names_its_operation_by_labels_or_by_its_name() {
        for (name, service, operation) in [
            (
                r#"{service_name="cart", span_name="GET /"}"#,
                "cart",
                "GET /",
            ),
            (
                r#"calls_total{span_name="a\"b,{c}", service_name="cart"}"#,
                "cart",
                "a\"b,{c}",
            ),
            (
                r#"Value {service.name="cart", http.route="/a/{id}"}"#,
                "cart",
                "/a/{id}",
            ),
            ("hits{service:cart,resource_name:get_/a}", "cart", "get_/a"),
            ("service:cart,resource_name:get_/a", "cart", "get_/a"),
            ("calls{service=cart,operation=GET /}", "cart", "GET /"),
            (r#"{job="shop/cart"}"#, "shop/cart", "all"),
            (r#"{"http.calls", "service.name"="cart"}"#, "cart", "all"),
            ("{}", "recorded", "all"),
            ("GET /users/{}", "recorded", "GET /users/{}"),
            ("orders:list", "recorded", "orders:list"),
            ("GET /users/{id}", "recorded", "GET /users/{id}"),
            ("GET /users/{id:int}", "recorded", "GET /users/{id:int}"),
            ("GET /{name:path}", "recorded", "GET /{name:path}"),
        ] {
            let expected = (service.to_owned(), operation.to_owned());
            assert_eq!(named(name), expected, "{name}");
        }
    }

    #[test]
    fn labels_that_name_nothing_or_two_things_are_refused() {
        for name in [
            r#"{status_code="200"}"#,
            "200",
            "5xx",
            r#"{service_name="a", le="0.5"}"#,
            r#"{operation_name="http.request", resource_name="GET /"}"#,
            r#"{service_name=""}"#,
        ] {
            assert!(SeriesNames::default().named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_was_assumed_is_said() {
        let mut names = SeriesNames::default();
        names
            .named(r#"{job="cart", route="/", status="200"}"#)
            .unwrap();
        names.named("GET /").unwrap();
        let notes = names.notes().join("\n");
        for said in [
            "job is read as the service",
            "route is read as",
            "only status",
            "one service",
        ] {
            assert!(notes.contains(said), "{notes}");
        }
    }
}
