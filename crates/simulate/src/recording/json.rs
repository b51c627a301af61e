//! The answer of Prometheus, or of a system with its API, to `query_range`.
//!
//! `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{…},"values":[[time,"count"],…]},…]}}`,
//! or its `data` or `result` alone. It is read series by series, so that the file is never in memory as a
//! whole. Begin with [`read`], then [`SeriesSeed`].
//!
//! # Source
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>, "Range queries" and "Expression query
//! result formats".

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fault::{At, RecordingFault, at, shortened};
use super::growth::Counts;
use super::list::List;
use super::number::Numbers;
use super::series::SeriesNames;
use super::stamp::{Stamp, written};
use super::time::Unit;
use super::words::{Role, role};
use super::{MOST_ROWS, ReadOptions, Recording, bounded};

/// What was read so far.
struct Answer {
    list: List,
    /// The index of every time, which is in milliseconds.
    times: HashMap<i64, u32>,
    names: SeriesNames,
    numbers: Numbers,
    /// The name of the first metric, which readings of a counter have and `increase()` removes.
    metric: Option<String>,
    /// A matrix was found.
    found: bool,
    /// What is wrong, while the reader of JSON returns to the top with an error of its own.
    fault: Option<RecordingFault>,
}

/// Reads an answer in JSON.
pub(super) fn read(bytes: impl Read, reading: &ReadOptions) -> Result<Recording, At> {
    let mut answer = Answer {
        list: List::default(),
        times: HashMap::new(),
        names: SeriesNames::default(),
        numbers: Numbers::new(b','),
        metric: None,
        found: false,
        fault: None,
    };
    let mut json = serde_json::Deserializer::from_reader(bytes);
    let read = TopSeed(&mut answer).deserialize(&mut json);
    let read = read.and_then(|()| json.end());
    if let Err(error) = read {
        let fault = answer
            .fault
            .take()
            .unwrap_or_else(|| match error.classify() {
                _ if !answer.found => RecordingFault::OtherJson,
                serde_json::error::Category::Syntax
                    if error.to_string().starts_with("trailing") =>
                {
                    RecordingFault::OtherJson
                }
                _ => RecordingFault::Unread(error.to_string()),
            });
        return Err(at(
            error.line() as u64,
            error.column().saturating_sub(1),
            fault,
        ));
    }
    if !answer.found {
        return Err(at(1, 0, RecordingFault::OtherJson));
    }
    let mut notes = answer.names.notes();
    notes.extend(answer.numbers.notes()?);
    let known = answer.metric.map_or(Counts::Queried, Counts::Total);
    answer
        .list
        .recorded(Unit::default(), 0, known, notes, reading)
}

impl Answer {
    /// Keeps what is wrong and stops the reader.
    fn stop<E: Error>(&mut self, fault: RecordingFault) -> E {
        self.fault = Some(fault);
        E::custom("is not traffic")
    }

    /// Adds a series.
    fn add(&mut self, metric: Metric, values: &[(f64, Value)]) -> Result<(), RecordingFault> {
        let name = metric.0.iter().find(|(key, _)| key == "__name__");
        if let Some((_, name)) = name {
            if role(name) == Role::Rate {
                return Err(RecordingFault::Rate(shortened(name)));
            }
            self.metric.get_or_insert_with(|| shortened(name));
        }
        let names = self.names.labelled(&metric.0)?;
        let operation = self.list.operation(names)?;
        for (seconds, value) in values {
            let time = Stamp::of_seconds(*seconds).ok_or_else(|| RecordingFault::UnknownTime {
                found: seconds.to_string(),
                advice: "it must be in seconds since 1970",
            })?;
            let place = match self.times.get(&time) {
                Some(&place) => place,
                None => {
                    let place = self.list.time(label(time), 1)?;
                    self.times.insert(time, place);
                    place
                }
            };
            let count = self.numbers.count(&value.0)?;
            self.list.count(place, operation, count)?;
        }
        Ok(())
    }
}

/// The name of a row: its date, with milliseconds if it has any.
fn label(time: i64) -> String {
    match time % 1000 {
        0 => format!("{}Z", written(time)),
        part => format!("{}.{part:03}Z", written(time)),
    }
}

/// The labels of a series, in the file's order.
#[derive(Debug, Default)]
struct Metric(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Labels;
        impl<'de> Visitor<'de> for Labels {
            type Value = Metric;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metric, A::Error> {
                /// No series has as many.
                const MOST_LABELS: usize = 1000;
                let mut labels = Vec::new();
                while let Some(label) = map.next_entry()? {
                    labels.push(label);
                    if labels.len() > MOST_LABELS {
                        return Err(A::Error::custom("more than 1000 labels"));
                    }
                }
                Ok(Metric(labels))
            }
        }
        from.deserialize_map(Labels)
    }
}

/// A value, which is a number in a text.
#[derive(Debug)]
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Value;

            fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
                to.write_str("a number, with or without quotes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
                Ok(Value(number.to_string()))
            }

            fn visit_unit<E: Error>(self) -> Result<Value, E> {
                Ok(Value(String::new()))
            }
        }
        from.deserialize_any(Text)
    }
}

/// Reads the whole answer, its `data`, or its `result`.
struct TopSeed<'a>(&'a mut Answer);

impl<'de> DeserializeSeed<'de> for TopSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TopSeed<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("an answer of Prometheus to query_range")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" => map.next_value_seed(TopSeed(self.0))?,
                "result" => map.next_value_seed(ResultSeed(self.0))?,
                "resultType" => {
                    let found: String = map.next_value()?;
                    if found != "matrix" {
                        return Err(self.0.stop(RecordingFault::NotARange(shortened(&found))));
                    }
                }
                "timestamps" => return Err(self.0.stop(RecordingFault::Samples)),
                "error" => {
                    let said: String = map.next_value()?;
                    return Err(self.0.stop(RecordingFault::FailedQuery(shortened(&said))));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        ResultSeed(self.0).visit_seq(seq)
    }
}

/// Reads the list of series.
struct ResultSeed<'a>(&'a mut Answer);

impl<'de> DeserializeSeed<'de> for ResultSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(SeriesSeed(self.0))?.is_some() {}
        self.0.found = true;
        Ok(())
    }
}

/// Reads one series.
struct SeriesSeed<'a>(&'a mut Answer);

impl<'de> DeserializeSeed<'de> for SeriesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SeriesSeed<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut metric: Option<Metric> = None;
        let mut values: Option<Vec<(f64, Value)>> = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metric" => metric = Some(map.next_value()?),
                "values" => values = Some(map.next_value_seed(ValuesSeed)?),
                "value" => return Err(self.0.stop(RecordingFault::NotARange("vector".into()))),
                "histograms" => return Err(self.0.stop(RecordingFault::NativeHistogram)),
                "timestamps" => return Err(self.0.stop(RecordingFault::Samples)),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (Some(metric), Some(values)) = (metric, values) else {
            return Err(self.0.stop(RecordingFault::OtherJson));
        };
        self.0.found = true;
        let added = self.0.add(metric, &values);
        added.map_err(|fault| self.0.stop(fault))
    }
}

/// Reads the times and values of a series.
struct ValuesSeed;

impl<'de> DeserializeSeed<'de> for ValuesSeed {
    type Value = Vec<(f64, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ValuesSeed {
    type Value = Vec<(f64, Value)>;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a list of times with values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
            bounded(values.len(), MOST_ROWS, "values in a series").map_err(A::Error::custom)?;
        }
        Ok(values)
    }
}
