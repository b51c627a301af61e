//! Reads bodies of protobuf.
//!
//! The bytes are walked in place. Most metrics of an export are of no use here, and the walk steps over
//! them whole: it takes a fraction of the time that decoding them would. The order of fields does not
//! matter, so a message is walked again where one field decides how another is read.
//!
//! # Source
//! `opentelemetry-proto` 1.9, `metrics.proto`, `common.proto`, `resource.proto`: the field numbers.

mod spans;
mod wire;

use std::borrow::Cow;

pub(super) use self::spans::traces;
use self::wire::{Field, Fields};
use super::Unreadable;
use super::attribute::{ATTRIBUTES_MAX, Attribute, Attributes, DEPTH_MAX, Value};
use super::digest::Digest;
use super::extract::{DataPoint, Extraction, Number, Scope};
use super::measure::{Kind, Measure};
use crate::ingest::Temporality;

type Read<T = ()> = Result<T, Unreadable>;

/// Reads an `ExportMetricsServiceRequest`.
pub(super) fn metrics<'a>(body: &'a [u8], into: &mut Extraction<'a>) -> Read {
    each(body, 1, |of_resource| {
        into.begin(resource_attributes(of_resource)?);
        each(of_resource, 2, |of_scope| {
            into.scope(scope(of_scope)?);
            each(of_scope, 2, |one| metric(one, into))
        })
    })
}

/// Checks that a body holds resources, in them scopes, and in them what this signal is made of.
pub(super) fn check(body: &[u8]) -> Read {
    let is_message = |message| Fields::of(message).try_for_each(|field| field.map(drop));
    each(body, 1, |of_resource| {
        each(of_resource, 2, |of_scope| each(of_scope, 2, is_message))
    })
}

/// Gives each value of a field to `read`.
fn each<'a>(message: &'a [u8], number: u32, mut read: impl FnMut(&'a [u8]) -> Read) -> Read {
    for field in Fields::of(message) {
        let (given, value) = field?;
        if given == number {
            read(value.bytes()?)?;
        }
    }
    Ok(())
}

fn resource_attributes(of_resource: &[u8]) -> Read<Attributes<'_>> {
    let mut attributes = Attributes::of_source();
    each(of_resource, 1, |resource| {
        each(resource, 1, |one| attributes.push(attribute(one, 0)?))
    })?;
    Ok(attributes)
}

fn scope(of_scope: &[u8]) -> Read<Scope<'_>> {
    let (mut name, mut version, mut attributes) = ("", "", Attributes::default());
    each(of_scope, 1, |scope| {
        for field in Fields::of(scope) {
            match field? {
                (1, value) => name = value.text()?,
                (2, value) => version = value.text()?,
                (3, value) => attributes.push(attribute(value.bytes()?, 0)?)?,
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(Scope::new(name.into(), version.into(), attributes))
}

fn metric<'a>(metric: &'a [u8], into: &mut Extraction<'a>) -> Read {
    let (mut name, mut data) = (&b""[..], None);
    for field in Fields::of(metric) {
        let (number, value) = field?;
        let kind = match number {
            1 => {
                name = value.bytes()?;
                continue;
            }
            7 => Some(Kind::Sum),
            9 => Some(Kind::Histogram),
            10 => Some(Kind::Exponential),
            // A gauge, a summary.
            5 | 11 => None,
            _ => continue,
        };
        // Only one of them is there; of several, the last one counts.
        data = Some((kind, value.bytes()?));
    }
    let Some((Some(kind), data)) = data else {
        return Ok(());
    };
    match Measure::of(name, kind) {
        Some(measure) => points(data, measure, kind, into),
        None => Ok(()),
    }
}

fn points<'a>(data: &'a [u8], measure: Measure, kind: Kind, into: &mut Extraction<'a>) -> Read {
    let (mut temporality, mut is_monotonic) = (None, kind != Kind::Sum);
    for field in Fields::of(data) {
        match field? {
            (2, value) => temporality = named(value.varint()?),
            (3, value) if kind == Kind::Sum => is_monotonic = value.varint()? != 0,
            _ => {}
        }
    }
    into.metric(measure, kind, temporality, is_monotonic);
    each(data, 1, |one| {
        let point = point(one, kind, into.room())?;
        into.point(point);
        Ok(())
    })
}

/// `AggregationTemporality`.
fn named(code: u64) -> Option<Temporality> {
    match code {
        1 => Some(Temporality::Delta),
        2 => Some(Temporality::Cumulative),
        _ => None,
    }
}

fn point<'a>(point: &'a [u8], kind: Kind, room: Attributes<'a>) -> Read<DataPoint<'a>> {
    let mut read = DataPoint {
        attributes: room,
        ..DataPoint::default()
    };
    let (attributes, flags) = match kind {
        Kind::Sum => (7, 8),
        Kind::Histogram => (9, 10),
        Kind::Exponential => (1, 10),
    };
    for field in Fields::of(point) {
        let (number, value) = field?;
        match (number, kind) {
            (2, _) => read.start_ns = value.fixed64()?,
            (3, _) => read.time_ns = value.fixed64()?,
            (4, Kind::Sum) => read.value = Number::Double(f64::from_bits(value.fixed64()?)),
            (6, Kind::Sum) => read.value = Number::Int(value.fixed64()?.cast_signed()),
            (4, _) => read.value = Number::Count(value.fixed64()?),
            _ if number == attributes => read.attributes.push(attribute(value.bytes()?, 0)?)?,
            _ if number == flags => read.has_no_value = value.varint()? & 1 != 0,
            _ => {}
        }
    }
    Ok(read)
}

fn attribute(attribute: &[u8], depth: usize) -> Read<Attribute<'_>> {
    let (mut key, mut value) = ("", Value::Empty);
    for field in Fields::of(attribute) {
        match field? {
            (1, given) => key = given.text()?,
            (2, given) => value = any_value(given.bytes()?, depth)?,
            _ => {}
        }
    }
    Ok(Attribute {
        key: Cow::Borrowed(key),
        value,
    })
}

fn any_value(value: &[u8], depth: usize) -> Read<Value<'_>> {
    let mut read = Value::Empty;
    for field in Fields::of(value) {
        read = match field? {
            (1, given) => Value::Text(Cow::Borrowed(given.text()?)),
            (2, given) => Value::Bool(given.varint()? != 0),
            (3, given) => Value::Int(given.varint()?.cast_signed()),
            (4, given) => Value::Double(f64::from_bits(given.fixed64()?)),
            (5, given) => Value::Nested(list(given, depth + 1)?),
            (6, given) => Value::Nested(map(given, depth + 1)?),
            (7, given) => Value::Bytes(Cow::Borrowed(given.bytes()?)),
            _ => continue,
        };
    }
    Ok(read)
}

fn list(list: Field<'_>, depth: usize) -> Read<[u8; Digest::BYTES]> {
    check_depth(depth)?;
    let mut values = Vec::new();
    each(list.bytes()?, 1, |one| {
        if values.len() >= ATTRIBUTES_MAX {
            return Err(Unreadable::TooManyAttributes);
        }
        values.push(any_value(one, depth)?);
        Ok(())
    })?;
    Ok(Digest::of_list(values))
}

fn map(map: Field<'_>, depth: usize) -> Read<[u8; Digest::BYTES]> {
    check_depth(depth)?;
    let mut entries = Attributes::default();
    each(map.bytes()?, 1, |one| entries.push(attribute(one, depth)?))?;
    Ok(Digest::of_map(entries))
}

pub(super) fn check_depth(depth: usize) -> Read {
    if depth > DEPTH_MAX {
        return Err(Unreadable::TooDeep);
    }
    Ok(())
}
