//! The JSON body of `POST /v1/reports`.
//!
//! The head must be there and make sense. What is wrong in an entry is folded, clamped or ignored
//! by ingest: applications choose names, and one bad name must not cost a whole node its counts.
//! Unknown fields are ignored, so that a newer agent can report to an older Weir. Only bodies of
//! another shape are refused.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use crate::allocation::Class;
use crate::http::problem::Problem;
use crate::ingest::{
    Head, Number, Report, ReportBuilder, ReportError, ReportedClass, ReportedName,
};

/// A body, with names of the type `N`.
#[derive(Deserialize)]
#[serde(bound(deserialize = "N: Deserialize<'de>"))]
struct Body<'a, N> {
    #[serde(borrow)]
    agent: Cow<'a, str>,
    epoch: Uuid,
    sequence: u64,
    window_start: DateTime<Utc>,
    window_seconds: f64,
    #[serde(default)]
    last: bool,
    services: Vec<Service<N>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "N: Deserialize<'de>"))]
struct Service<N> {
    #[serde(default)]
    service: Option<N>,
    #[serde(default = "one")]
    instances: Count,
    #[serde(default)]
    operations: Vec<Operation<N>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "N: Deserialize<'de>"))]
struct Operation<N> {
    #[serde(default)]
    operation: Option<N>,
    #[serde(default)]
    class: ReadClass,
    #[serde(default)]
    offered: Count,
    #[serde(default)]
    sampled: Count,
}

fn one() -> Count {
    Count(Number::Whole(1))
}

/// Parses a body into a report. `begin` checks the head, as [`Ingest::report`] does.
///
/// [`Ingest::report`]: crate::ingest::Ingest::report
///
/// # Errors
/// Names the field that cannot be read, or that is wrong in a way that refuses the whole report.
pub fn parse<'a>(
    body: &'a [u8],
    begin: impl FnOnce(&Head<'_>) -> Result<ReportBuilder<'a>, ReportError>,
) -> Result<Report<'a>, Problem> {
    // Mostly, all names are text. Then the body's UTF-8 is checked once, instead of string by string.
    let text = std::str::from_utf8(body).ok();
    let read = text.and_then(|text| serde_json::from_str::<Body<'a, TextName<'a>>>(text).ok());
    if let Some(body) = read {
        return body.begin(begin);
    }
    let read = serde_json::from_slice::<Body<'a, AnyName<'a>>>(body);
    read.map_err(|_| explain(body))?.begin(begin)
}

/// The agent that a body names which is refused, if it can be read.
pub(super) fn agent(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        agent: Cow<'a, str>,
    }
    let read: Named<'_> = serde_json::from_slice(body).ok()?;
    Some(read.agent)
}

impl<'a, N: Into<ReportedName<'a>>> Body<'a, N> {
    /// Checks the head, and fills the report.
    fn begin(
        self,
        begin: impl FnOnce(&Head<'_>) -> Result<ReportBuilder<'a>, ReportError>,
    ) -> Result<Report<'a>, Problem> {
        let head = Head {
            agent: self.agent,
            epoch: self.epoch,
            sequence: self.sequence,
            window_start: self.window_start,
            window_seconds: self.window_seconds,
            last: self.last,
        };
        let report = begin(&head).map_err(refused)?;
        Ok(fill(report, self.services))
    }
}

fn fill<'a, N: Into<ReportedName<'a>>>(
    mut report: ReportBuilder<'a>,
    services: Vec<Service<N>>,
) -> Report<'a> {
    let named = |name: Option<N>| name.map_or(Cow::Borrowed("").into(), N::into);
    report.expect(services.iter().map(|of| of.operations.len()).sum());
    for service in services {
        report.service(named(service.service), service.instances.0);
        for operation in service.operations {
            let Operation {
                operation,
                class,
                offered,
                sampled,
            } = operation;
            report.operation(named(operation), class.0, (offered.0, sampled.0));
        }
    }
    report.finish()
}

/// Parses a refused body again, more slowly, to find the field.
fn explain(body: &[u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read: Result<Body<'_, AnyName<'_>>, _> = serde_path_to_error::deserialize(&mut reader);
    let (path, error) = match read {
        Ok(_) => match reader.end() {
            Err(error) => (String::new(), error),
            Ok(()) => (String::new(), serde_json::Error::custom("cannot be read")),
        },
        Err(error) => (error.path().to_string(), error.into_inner()),
    };
    let field = if path == "." { String::new() } else { path };
    let detail = error.to_string();
    if error.is_data() {
        Problem::Invalid { field, detail }
    } else {
        Problem::Malformed { field, detail }
    }
}

/// Maps an error of ingest to the field of the body.
fn refused(error: ReportError) -> Problem {
    let (field, detail) = match error {
        ReportError::Agent(error) => ("agent", error.to_string()),
        ReportError::Sequence => ("sequence", "must be below 2^63".into()),
        ReportError::WindowLength { longest_seconds } => (
            "window_seconds",
            format!("must be between 0.001 and {longest_seconds}"),
        ),
        ReportError::WindowAhead { now } => (
            "window_start",
            format!(
                "the window ends in the future: it is {} here",
                now.to_rfc3339()
            ),
        ),
        ReportError::WindowTooOld { limit, now } => {
            let limit = humantime::format_duration(limit);
            let now = now.to_rfc3339();
            (
                "window_start",
                format!("is more than {limit} ago: it is {now} here"),
            )
        }
    };
    Problem::Invalid {
        field: field.into(),
        detail,
    }
}

/// A name that is text.
#[derive(Deserialize)]
struct TextName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<TextName<'a>> for ReportedName<'a> {
    fn from(name: TextName<'a>) -> Self {
        name.0.into()
    }
}

/// A name's bytes. They need not be UTF-8 and may contain control characters: ingest checks that.
struct AnyName<'a>(Cow<'a, [u8]>);

impl<'a> From<AnyName<'a>> for ReportedName<'a> {
    fn from(name: AnyName<'a>) -> Self {
        name.0.into()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for AnyName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(NameVisitor).map(Self)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_vec()))
    }
}

/// A number of requests or instances, or any other JSON value in its place.
#[derive(Default)]
struct Count(Number);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor).map(Self)
    }
}

/// A class, or any other JSON value in its place.
#[derive(Default)]
struct ReadClass(ReportedClass);

impl<'de> Deserialize<'de> for ReadClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClassVisitor).map(Self)
    }
}

struct ClassVisitor;

impl<'de> Visitor<'de> for ClassVisitor {
    type Value = ReportedClass;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a class")
    }

    fn visit_str<E>(self, name: &str) -> Result<ReportedClass, E> {
        let class = Class::parse(name);
        Ok(class.map_or(ReportedClass::Other, ReportedClass::Known))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<ReportedClass, E> {
        Ok(ReportedClass::Other)
    }

    fn visit_unit<E>(self) -> Result<ReportedClass, E> {
        Ok(ReportedClass::None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<ReportedClass, E> {
        Ok(ReportedClass::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<ReportedClass, E> {
        Ok(ReportedClass::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<ReportedClass, E> {
        Ok(ReportedClass::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<ReportedClass, E> {
        Ok(ReportedClass::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ReportedClass, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(ReportedClass::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ReportedClass, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(ReportedClass::Other)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number::Whole(number))
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        if number >= 0.0 && number.fract() == 0.0 {
            // Saturates: a number that no integer can hold is too large in any case.
            Ok(Number::Whole(number as u64))
        } else {
            Ok(Number::Other)
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Number, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number::Other)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ingest::ReportLimits;

    const LIMITS: ReportLimits = ReportLimits {
        bucket: Duration::from_secs(60),
        age: Duration::from_secs(3600),
    };

    fn read(body: &[u8]) -> Result<Report<'_>, Problem> {
        let now = "2026-11-20T09:00:10Z".parse().unwrap();
        parse(body, |head| ReportBuilder::new(head, LIMITS, now))
    }

    fn body(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut body = serde_json::json!({
            "agent": "node-17", "epoch": "0f4e2c70-31f0-4a4e-9d40-4a8ff7b9a001", "sequence": 42,
            "window_start": "2026-11-20T09:00:00Z", "window_seconds": 10,
            "services": [{"service": "checkout", "instances": 3, "operations": [
                {"operation": "POST /cart", "offered": 1200, "sampled": 12}]}]
        });
        change(&mut body);
        serde_json::to_vec(&body).unwrap()
    }

    #[test]
    fn the_example_is_read() {
        let bytes = body(|_| ());
        let report = read(&bytes).unwrap();
        assert_eq!(report.window.seconds(), 10.0);
        let operation = report.operations().next().unwrap();
        assert_eq!(report.names().next().unwrap(), ("checkout", "POST /cart"));
        assert_eq!((operation.offered, operation.sampled), (1200, 12));
        assert!(report.amendments.is_empty());
        assert!(!report.last);
        let bytes = body(|b| b["last"] = true.into());
        assert!(read(&bytes).unwrap().last);
    }

    #[test]
    fn a_head_that_is_wrong_is_named() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(&str, Change); 14] = [
            ("agent", |b| b["agent"] = "".into()),
            ("agent", |b| b["agent"] = "a\u{7}".into()),
            ("epoch", |b| b["epoch"] = "x".into()),
            ("sequence", |b| b["sequence"] = (-1).into()),
            ("sequence", |b| b["sequence"] = u64::MAX.into()),
            ("window_seconds", |b| b["window_seconds"] = 0.into()),
            ("window_seconds", |b| b["window_seconds"] = 301.into()),
            ("window_seconds", |b| b["window_seconds"] = 1e308.into()),
            ("window_start", |b| {
                b["window_start"] = "2026-11-20T09:01:00Z".into()
            }),
            ("window_start", |b| {
                b["window_start"] = "2026-11-20T07:00:00Z".into()
            }),
            ("window_start", |b| {
                b["window_start"] = "+262142-12-31T23:59:59Z".into()
            }),
            ("window_start", |b| b["window_start"] = "yesterday".into()),
            ("last", |b| b["last"] = "yes".into()),
            ("services", |b| b["services"] = 7.into()),
        ];
        for (field, change) in cases {
            match read(&body(change)) {
                Err(Problem::Invalid { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_body_of_another_shape_is_refused() {
        for body in [
            &b"{\"agent\":"[..],
            b"",
            b"\xff\xfe",
            b"{\"agent\":\"a\"} trailing",
        ] {
            assert!(read(body).is_err());
        }
        assert!(matches!(
            read(b"{\"agent\":"),
            Err(Problem::Malformed { .. })
        ));
    }

    #[test]
    fn any_bytes_are_a_name_and_any_value_a_number() {
        let mut bytes = body(|b| b["services"][0]["operations"][0]["operation"] = "NAME".into());
        let at = bytes.windows(4).position(|four| four == b"NAME").unwrap();
        bytes.splice(at..at + 4, *b"\xff\t\\ud800");
        let report = read(&bytes).unwrap();
        assert_eq!(report.names().next().unwrap(), ("checkout", "__other__"));
        assert_eq!(report.amendments.folded.total(), 1);
        for (escaped, name) in [
            ("caf\\u00e9 \\\"1\\\"", "café \"1\""),
            ("a\\n", "__other__"),
            ("a\n", "__other__"),
        ] {
            let bytes = body(|b| b["services"][0]["operations"][0]["operation"] = "NAME".into());
            let text = String::from_utf8(bytes).unwrap().replace("NAME", escaped);
            let report = read(text.as_bytes()).unwrap();
            assert_eq!(report.names().next().unwrap(), ("checkout", name));
        }
        for value in ["null", "true", "\"7\"", "[[1]]", "{\"a\":{}}", "-7", "1.5"] {
            let bytes = body(|b| b["services"][0]["operations"][0]["offered"] = 777.into());
            let text = String::from_utf8(bytes).unwrap().replace("777", value);
            let report = read(text.as_bytes()).unwrap();
            assert_eq!(report.operations().count(), 0, "{value}");
            assert_eq!(report.amendments.ignored.total(), 1, "{value}");
        }
    }
}
