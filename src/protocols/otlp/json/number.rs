//! Numbers and enums in JSON, in every form that protobuf's JSON may have.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::super::Unreadable;
use crate::ingest::Temporality;

/// A number, whatever its type, or a text that is one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Any {
    /// The field is missing or null.
    #[default]
    Missing,
    Unsigned(u64),
    Negative(i64),
    Double(f64),
}

impl Any {
    /// As a whole number from 0 on; 0 if it is missing.
    pub fn unsigned(self) -> Result<u64, Unreadable> {
        match self {
            Self::Missing => Ok(0),
            Self::Unsigned(number) => Ok(number),
            // 2^64 is a double; what is below it fits.
            Self::Double(number)
                if number.fract() == 0.0
                    && (0.0..18_446_744_073_709_551_616.0).contains(&number) =>
            {
                Ok(number as u64)
            }
            _ => Err(whole("from 0 to 2^64 - 1")),
        }
    }

    /// As a whole number; none if it is missing.
    pub fn signed(self) -> Result<Option<i64>, Unreadable> {
        let range = "from -2^63 to 2^63 - 1";
        match self {
            Self::Missing => Ok(None),
            Self::Unsigned(number) => i64::try_from(number).map(Some).map_err(|_| whole(range)),
            Self::Negative(number) => Ok(Some(number)),
            Self::Double(number)
                if number.fract() == 0.0
                    && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0)
                        .contains(&number) =>
            {
                Ok(Some(number as i64))
            }
            Self::Double(_) => Err(whole(range)),
        }
    }

    /// As a double; none if it is missing.
    pub fn double(self) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Unsigned(number) => Some(number as f64),
            Self::Negative(number) => Some(number as f64),
            Self::Double(number) => Some(number),
        }
    }
}

fn whole(range: &str) -> Unreadable {
    let detail = format!("a whole number {range} was expected");
    Unreadable::Json(serde_json::Error::custom(detail))
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl Visitor<'_> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text that is one")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Missing)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Any, E> {
        Ok(Any::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Any, E> {
        Ok(match u64::try_from(number) {
            Ok(number) => Any::Unsigned(number),
            Err(_) => Any::Negative(number),
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Any, E> {
        Ok(Any::Double(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Any, E> {
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Any::Unsigned(number));
        }
        if let Ok(number) = text.parse::<i64>() {
            return self.visit_i64(number);
        }
        let number = text.parse::<f64>();
        number
            .map(Any::Double)
            .map_err(|_| E::custom("a text that is no number"))
    }
}

/// The value of `AggregationTemporality`: its number or its name; none if it is neither of the two that
/// say something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Aggregation(pub Option<Temporality>);

impl Aggregation {
    fn numbered(code: u64) -> Self {
        Self(match code {
            1 => Some(Temporality::Delta),
            2 => Some(Temporality::Cumulative),
            _ => None,
        })
    }
}

impl<'de> Deserialize<'de> for Aggregation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AggregationVisitor)
    }
}

struct AggregationVisitor;

impl Visitor<'_> for AggregationVisitor {
    type Value = Aggregation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number or the name of a temporality")
    }

    fn visit_unit<E>(self) -> Result<Aggregation, E> {
        Ok(Aggregation(None))
    }

    fn visit_u64<E>(self, code: u64) -> Result<Aggregation, E> {
        Ok(Aggregation::numbered(code))
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<Aggregation, E> {
        Ok(Aggregation(None))
    }

    fn visit_str<E>(self, name: &str) -> Result<Aggregation, E> {
        Ok(match name {
            "AGGREGATION_TEMPORALITY_DELTA" => Aggregation(Some(Temporality::Delta)),
            "AGGREGATION_TEMPORALITY_CUMULATIVE" => Aggregation(Some(Temporality::Cumulative)),
            other => Aggregation::numbered(other.parse().unwrap_or_default()),
        })
    }
}
