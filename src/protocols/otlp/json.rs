//! Reads bodies of JSON.
//!
//! Senders differ: whole numbers of 64 bits are texts or numbers, enums numbers or names, and fields
//! may be missing, null or unknown. All of that is read. Lists are kept as text until one of their
//! elements is read, so a body that consists of empty elements takes little memory.
//!
//! # Source
//! OTLP 1.9, "JSON Protobuf Encoding"; "ProtoJSON Format" of the Protocol Buffers documentation.

mod number;
mod spans;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::number::{Aggregation, Any};
pub(super) use self::spans::traces;
use super::Unreadable;
use super::attribute::{ATTRIBUTES_MAX, Attribute, Attributes, Value};
use super::digest::Digest;
use super::extract::{DataPoint, Extraction, Number, Scope};
use super::measure::{Kind, Measure};
use super::protobuf::check_depth;

/// The most elements of a list of resources, scopes, metrics or points.
const LIST_MAX: usize = 1 << 16;

type Read<T = ()> = Result<T, Unreadable>;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(
        borrow,
        default,
        rename = "resourceMetrics",
        alias = "resource_metrics",
        alias = "resourceSpans",
        alias = "resource_spans",
        alias = "resourceLogs",
        alias = "resource_logs",
        deserialize_with = "list"
    )]
    resources: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct OfResource<'a> {
    #[serde(borrow, default)]
    resource: Option<Resource<'a>>,
    #[serde(
        borrow,
        default,
        rename = "scopeMetrics",
        alias = "scope_metrics",
        alias = "scopeSpans",
        alias = "scope_spans",
        deserialize_with = "list"
    )]
    scopes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default, deserialize_with = "attributes")]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize)]
struct OfScope<'a> {
    #[serde(borrow, default)]
    scope: Option<JsonScope<'a>>,
    #[serde(borrow, default, deserialize_with = "list")]
    metrics: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct JsonScope<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    version: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "attributes")]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize)]
struct Metric<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    sum: Option<&'a RawValue>,
    #[serde(borrow, default)]
    histogram: Option<&'a RawValue>,
    #[serde(
        borrow,
        default,
        rename = "exponentialHistogram",
        alias = "exponential_histogram"
    )]
    exponential: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow, default, alias = "data_points", deserialize_with = "list")]
    data_points: Vec<&'a RawValue>,
    #[serde(default, alias = "aggregation_temporality")]
    aggregation_temporality: Aggregation,
    #[serde(default, alias = "is_monotonic")]
    is_monotonic: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonPoint<'a> {
    #[serde(borrow, default, deserialize_with = "attributes")]
    attributes: Vec<KeyValue<'a>>,
    #[serde(default, alias = "start_time_unix_nano")]
    start_time_unix_nano: Any,
    #[serde(default, alias = "time_unix_nano")]
    time_unix_nano: Any,
    #[serde(default, alias = "as_int")]
    as_int: Any,
    #[serde(default, alias = "as_double")]
    as_double: Any,
    #[serde(default)]
    count: Any,
    #[serde(default)]
    flags: Any,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    value: Option<AnyValue<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow, default, alias = "string_value")]
    string_value: Option<Text<'a>>,
    #[serde(default, alias = "bool_value")]
    bool_value: Option<bool>,
    #[serde(default, alias = "int_value")]
    int_value: Any,
    #[serde(default, alias = "double_value")]
    double_value: Any,
    #[serde(borrow, default, alias = "array_value")]
    array_value: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "kvlist_value")]
    kvlist_value: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "bytes_value")]
    bytes_value: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ArrayValue<'a> {
    #[serde(borrow, default, deserialize_with = "attributes")]
    values: Vec<Option<AnyValue<'a>>>,
}

#[derive(Deserialize)]
struct KeyValueList<'a> {
    #[serde(borrow, default, deserialize_with = "attributes")]
    values: Vec<KeyValue<'a>>,
}

/// A text that is borrowed from the body where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads an `ExportMetricsServiceRequest`.
pub(super) fn metrics<'a>(body: &'a [u8], into: &mut Extraction<'a>) -> Read {
    each_scope(body, into, |of_scope: OfScope<'a>, into| {
        let scope = of_scope.scope.unwrap_or_default();
        let attributes = converted(scope.attributes, 0)?;
        into.scope(Scope::new(
            text(scope.name),
            text(scope.version),
            attributes,
        ));
        for one in of_scope.metrics {
            metric(message(one.get())?, into)?;
        }
        Ok(())
    })
}

/// Begins each resource of an export, and gives what is in each of its scopes to `read`.
fn each_scope<'a, S: Deserialize<'a>>(
    body: &'a [u8],
    into: &mut Extraction<'a>,
    mut read: impl FnMut(S, &mut Extraction<'a>) -> Read,
) -> Read {
    for of_resource in request(body)? {
        let of_resource: OfResource<'_> = message(of_resource.get())?;
        let attributes = of_resource.resource.map(|resource| resource.attributes);
        into.begin(converted(attributes.unwrap_or_default(), 0)?);
        for of_scope in of_resource.scopes {
            read(message(of_scope.get())?, into)?;
        }
    }
    Ok(())
}

/// Checks that a body is an object with a list of resources, if it has one.
pub(super) fn check(body: &[u8]) -> Read {
    request(body).map(drop)
}

fn request(body: &[u8]) -> Read<Vec<&RawValue>> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotUnicode)?;
    Ok(message::<Request<'_>>(text)?.resources)
}

/// Reads a message. Serde would take a list of the fields' values for one, too.
fn message<'a, T: Deserialize<'a>>(text: &'a str) -> Read<T> {
    match text.trim_ascii_start().as_bytes().first() {
        None | Some(b'{') => serde_json::from_str(text).map_err(Unreadable::Json),
        Some(_) => Err(Unreadable::Json(serde_json::Error::custom(
            "an object was expected",
        ))),
    }
}

fn text(text: Option<Text<'_>>) -> Cow<'_, str> {
    text.map_or(Cow::Borrowed(""), |text| text.0)
}

fn metric<'a>(metric: Metric<'a>, into: &mut Extraction<'a>) -> Read {
    let data = [
        (Kind::Sum, metric.sum),
        (Kind::Histogram, metric.histogram),
        (Kind::Exponential, metric.exponential),
    ];
    let data = data
        .into_iter()
        .find_map(|(kind, data)| Some((kind, data?)));
    let Some((kind, data)) = data else {
        return Ok(());
    };
    let Some(measure) = Measure::of(text(metric.name).as_bytes(), kind) else {
        return Ok(());
    };
    let data: Data<'_> = message(data.get())?;
    let Aggregation(temporality) = data.aggregation_temporality;
    let is_monotonic = kind != Kind::Sum || data.is_monotonic == Some(true);
    into.metric(measure, kind, temporality, is_monotonic);
    for one in data.data_points {
        into.point(point(message(one.get())?, kind)?);
    }
    Ok(())
}

fn point(point: JsonPoint<'_>, kind: Kind) -> Read<DataPoint<'_>> {
    let value = match kind {
        Kind::Sum => match (point.as_int.signed()?, point.as_double.double()) {
            (Some(number), _) => Number::Int(number),
            (None, Some(number)) => Number::Double(number),
            (None, None) => Number::Missing,
        },
        Kind::Histogram | Kind::Exponential => Number::Count(point.count.unsigned()?),
    };
    Ok(DataPoint {
        attributes: converted(point.attributes, 0)?,
        start_ns: point.start_time_unix_nano.unsigned()?,
        time_ns: point.time_unix_nano.unsigned()?,
        value,
        has_no_value: point.flags.unsigned()? & 1 != 0,
    })
}

fn converted(attributes: Vec<KeyValue<'_>>, depth: usize) -> Read<Attributes<'_>> {
    let one = |KeyValue { key, value }| {
        Ok(Attribute {
            key: text(key),
            value: value.map_or(Ok(Value::Empty), |value| any_value(value, depth))?,
        })
    };
    attributes.into_iter().map(one).collect()
}

fn any_value(value: AnyValue<'_>, depth: usize) -> Read<Value<'_>> {
    if let Some(text) = value.string_value {
        return Ok(Value::Text(text.0));
    }
    if let Some(given) = value.bool_value {
        return Ok(Value::Bool(given));
    }
    if let Some(number) = value.int_value.signed()? {
        return Ok(Value::Int(number));
    }
    if let Some(number) = value.double_value.double() {
        return Ok(Value::Double(number));
    }
    if let Some(list) = value.array_value {
        return Ok(Value::Nested(nested_list(list, depth + 1)?));
    }
    if let Some(map) = value.kvlist_value {
        return Ok(Value::Nested(nested_map(map, depth + 1)?));
    }
    match value.bytes_value {
        Some(text) => Ok(Value::Bytes(Cow::Owned(bytes(&text.0)?))),
        None => Ok(Value::Empty),
    }
}

fn nested_list(list: &RawValue, depth: usize) -> Read<[u8; Digest::BYTES]> {
    check_depth(depth)?;
    let list: ArrayValue<'_> = message(list.get())?;
    let values = list.values.into_iter();
    let values =
        values.map(|value| value.map_or(Ok(Value::Empty), |value| any_value(value, depth)));
    Ok(Digest::of_list(values.collect::<Read<Vec<_>>>()?))
}

fn nested_map(map: &RawValue, depth: usize) -> Read<[u8; Digest::BYTES]> {
    check_depth(depth)?;
    let map: KeyValueList<'_> = message(map.get())?;
    Ok(Digest::of_map(converted(map.values, depth)?))
}

/// Either alphabet, with padding or without.
fn bytes(text: &str) -> Read<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = match text.contains(['-', '_']) {
        true => URL_SAFE,
        false => STANDARD,
    };
    let decoded = GeneralPurpose::new(&alphabet, config).decode(text);
    decoded.map_err(|_| Unreadable::Json(serde_json::Error::custom("bytes are not in base64")))
}

fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    list.deserialize_any(Bounded::<T, LIST_MAX>(PhantomData))
}

fn attributes<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    list.deserialize_any(Bounded::<T, ATTRIBUTES_MAX>(PhantomData))
}

/// Reads a list of at most `MOST` elements.
struct Bounded<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut read = Vec::new();
        while let Some(one) = list.next_element()? {
            if read.len() >= MOST {
                let detail = format!("a list has more than {MOST} elements");
                return Err(A::Error::custom(detail));
            }
            read.push(one);
        }
        Ok(read)
    }
}
