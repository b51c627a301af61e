//! Reads exports of traces. Of most spans, the parent's id is all that matters.
//!
//! # Source
//! `opentelemetry-proto` 1.9, `trace.proto`: the field numbers.

use std::borrow::Cow;

use super::super::Unreadable;
use super::super::attribute::{ATTRIBUTES_MAX, Attributes};
use super::super::extract::Extraction;
use super::super::span::{RootSpan, SpanKind, is_none, is_read};
use super::wire::{Field, Fields};
use super::{Read, attribute, each, resource_attributes};

const ATTRIBUTES: u32 = 9;

/// Reads an `ExportTraceServiceRequest`.
pub(in super::super) fn traces<'a>(body: &'a [u8], into: &mut Extraction<'a>) -> Read {
    each(body, 1, |of_resource| {
        into.begin(resource_attributes(of_resource)?);
        each(of_resource, 2, |of_scope| {
            each(of_scope, 2, |one| {
                into.exported(Some(one.len()));
                if let Some(root) = root(one)? {
                    into.span(&root);
                }
                Ok(())
            })
        })
    })
}

/// A span, if it is a root.
fn root(span: &[u8]) -> Read<Option<RootSpan<'_>>> {
    let (mut read, mut is_root) = (RootSpan::default(), true);
    let (mut trace_state, mut name) = (None, None);
    for field in Fields::of(span) {
        match field? {
            (1, value) => read.trace_id = Cow::Borrowed(value.bytes()?),
            (2, value) => read.span_id = Cow::Borrowed(value.bytes()?),
            (3, value) => trace_state = Some(value),
            (4, value) => is_root = is_none(value.bytes()?),
            (5, value) => name = Some(value),
            (6, value) => read.kind = SpanKind::numbered(value.varint()?),
            (7, value) => read.start_ns = value.fixed64()?,
            (8, value) => read.end_ns = value.fixed64()?,
            _ => {}
        }
    }
    if !is_root {
        return Ok(None);
    }
    read.trace_state = text(trace_state)?;
    read.name = text(name)?;
    read.attributes = attributes(span)?;
    Ok(Some(read))
}

fn text(field: Option<Field<'_>>) -> Read<Cow<'_, str>> {
    Ok(Cow::Borrowed(field.map_or(Ok(""), Field::text)?))
}

/// The attributes that something reads.
fn attributes(span: &[u8]) -> Read<Attributes<'_>> {
    let (mut attributes, mut count) = (Attributes::default(), 0);
    each(span, ATTRIBUTES, |one| {
        count += 1;
        if count > ATTRIBUTES_MAX {
            return Err(Unreadable::TooManyAttributes);
        }
        match key(one)? {
            key if is_read(key) => attributes.push(attribute(one, 0)?),
            _ => Ok(()),
        }
    })?;
    Ok(attributes)
}

fn key(attribute: &[u8]) -> Read<&str> {
    let mut key = "";
    for field in Fields::of(attribute) {
        if let (1, value) = field? {
            key = value.text()?;
        }
    }
    Ok(key)
}
