//! Statistics: what a client's sampler has counted since it last told.
//!
//! # Source
//! AWS X-Ray API Reference, `GetSamplingTargets`. Clients differ: some call the sampled requests
//! `SampleCount`, and tell the time in milliseconds.

use std::borrow::Cow;

use serde::Deserialize;

/// Times from here on are in milliseconds: in seconds it is the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// The most statistics of a request. A client has one for each rule.
pub const STATISTICS_MAX: usize = 2 * super::rules::RULES_MAX;

/// The longest identity of a client that is read, in bytes; they have 24.
const CLIENT_MAX: usize = 128;

/// What a client has counted under one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics<'a> {
    /// Which client: another one with each start.
    pub client: Cow<'a, str>,
    /// The name of the rule.
    pub rule: Cow<'a, str>,
    /// When it was counted, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The requests that the sampler was asked about.
    pub offered: u64,
    /// Those that it sampled.
    pub sampled: u64,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    /// It is not JSON of this form.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
    /// It has too many statistics.
    #[error("SamplingStatisticsDocuments has more than {STATISTICS_MAX} entries")]
    TooMany,
}

/// A request for targets.
#[derive(Debug, PartialEq, Default)]
pub struct Request<'a> {
    /// What can be counted.
    pub statistics: Vec<Statistics<'a>>,
    /// The names of rules, and why what was counted under them cannot be read.
    pub unreadable: Vec<(Cow<'a, str>, &'static str)>,
}

/// Reads a request for targets.
///
/// # Errors
/// The body is not of this form. An entry that is wrong is only left out.
pub fn parse(body: &[u8]) -> Result<Request<'_>, StatisticsError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let body: Body<'_> = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| StatisticsError::Malformed(error.to_string()))?;
    reader
        .end()
        .map_err(|error| StatisticsError::Malformed(error.to_string()))?;
    let documents = body.documents.unwrap_or_default();
    if documents.len() > STATISTICS_MAX {
        return Err(StatisticsError::TooMany);
    }
    let mut request = Request::default();
    for document in documents {
        match document.read() {
            Ok(statistics) => request.statistics.push(statistics),
            Err(unreadable) => request.unreadable.push(unreadable),
        }
    }
    Ok(request)
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "SamplingStatisticsDocuments", borrow)]
    documents: Option<Vec<Document<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    #[serde(rename = "ClientID", borrow)]
    client: Cow<'a, str>,
    #[serde(borrow)]
    rule_name: Cow<'a, str>,
    timestamp: f64,
    request_count: f64,
    #[serde(alias = "SampleCount")]
    sampled_count: Option<f64>,
    borrow_count: Option<f64>,
}

impl<'a> Document<'a> {
    fn read(self) -> Result<Statistics<'a>, (Cow<'a, str>, &'static str)> {
        let (Some(offered), Some(sampled), Some(borrowed)) = (
            count(self.request_count),
            count(self.sampled_count.unwrap_or(0.0)),
            count(self.borrow_count.unwrap_or(0.0)),
        ) else {
            return Err((self.rule_name, "a count is not a whole number"));
        };
        let Some(time_ns) = nanoseconds(self.timestamp) else {
            return Err((self.rule_name, "Timestamp is not a time"));
        };
        if self.client.is_empty() || self.client.len() > CLIENT_MAX {
            return Err((self.rule_name, "ClientID must have 1 to 128 bytes"));
        }
        Ok(Statistics {
            client: self.client,
            rule: self.rule_name,
            time_ns,
            offered,
            // What a client takes from a reservoir, of which it has none here, is sampled too.
            sampled: sampled.saturating_add(borrowed).min(offered),
        })
    }
}

/// A whole number, if it is one.
fn count(value: f64) -> Option<u64> {
    let most = crate::ingest::ReportLimits::COUNT as f64;
    (value >= 0.0 && value <= most && value.fract() == 0.0).then_some(value as u64)
}

/// Seconds, or milliseconds if they cannot be seconds, in nanoseconds.
fn nanoseconds(timestamp: f64) -> Option<u64> {
    let seconds = match timestamp {
        milliseconds if milliseconds >= MILLISECONDS_FROM => milliseconds / 1000.0,
        seconds => seconds,
    };
    // Microseconds: more digits than a float has for the time of today.
    let microseconds = (seconds * 1e6).round();
    let valid = microseconds > 0.0 && seconds < MILLISECONDS_FROM;
    valid.then_some(microseconds as u64)?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(documents: &str) -> Request<'static> {
        let body = format!(r#"{{"SamplingStatisticsDocuments":[{documents}]}}"#);
        parse(body.leak().as_bytes()).unwrap()
    }

    #[test]
    fn clients_differ() {
        let seconds = r#"{"ClientID":"c","RuleName":"r","Timestamp":1795167121,"RequestCount":2000,
            "BorrowCount":0,"SampledCount":1017}"#;
        let milliseconds = r#"{"ClientID":"c","RuleName":"r","Timestamp":1795167121000,
            "RequestCount":2000,"SampleCount":1017.0,"BorrowCount":0,"Other":null}"#;
        let (seconds, milliseconds) = (read(seconds), read(milliseconds));
        assert_eq!(seconds, milliseconds);
        let only = &seconds.statistics[0];
        assert_eq!((only.offered, only.sampled), (2000, 1017));
        assert_eq!(only.time_ns, 1_795_167_121_000_000_000);
    }

    #[test]
    fn wrong_entries_are_left_out() {
        let cases = [
            (r#""RequestCount":-1,"Timestamp":1"#, "count"),
            (r#""RequestCount":0.5,"Timestamp":1"#, "count"),
            (r#""RequestCount":1e300,"Timestamp":1"#, "count"),
            (r#""RequestCount":1,"Timestamp":-1"#, "Timestamp"),
            (r#""RequestCount":1,"Timestamp":1e300"#, "Timestamp"),
            (r#""RequestCount":1,"Timestamp":1e-9"#, "Timestamp"),
            (
                r#""RequestCount":1,"Timestamp":35903342444446"#,
                "Timestamp",
            ),
        ];
        for (fields, said) in cases {
            let request = read(&format!(r#"{{"ClientID":"c","RuleName":"r",{fields}}}"#));
            assert_eq!(request.statistics, [], "{fields}");
            assert!(request.unreadable[0].1.contains(said), "{fields}");
        }
    }

    #[test]
    fn bodies_of_another_form_are_refused() {
        let bodies = [
            "",
            "[]",
            "{",
            r#"{"SamplingStatisticsDocuments":[{}]}"#,
            "{} x",
        ];
        for body in bodies {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        let nothing = r#"{"SamplingStatisticsDocuments":null}"#;
        assert_eq!(parse(nothing.as_bytes()).unwrap(), Request::default());
        assert_eq!(parse(b"{}").unwrap(), Request::default());
        let many = vec![
            r#"{"ClientID":"c","RuleName":"r","Timestamp":1,"RequestCount":1}"#;
            STATISTICS_MAX + 1
        ];
        let body = format!(r#"{{"SamplingStatisticsDocuments":[{}]}}"#, many.join(","));
        assert_eq!(parse(body.as_bytes()), Err(StatisticsError::TooMany));
    }
}
