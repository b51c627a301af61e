//! What a column or a label contains, by its name.
//!
//! Names are compared in lower case and without marks, so that `service.name`, `service_name` and
//! `ServiceName` are one.

mod known;

use super::time::Unit;
use known::{
    BESIDE_TIMES, COUNT, COUNT_ENDS, LABELS, MEASURES, OPERATION, OTHER_END, RATES, SERIES,
    SERVICE, SPAN, TIMES, UNITS, VALUES,
};

/// What a column or label contains. Where several contain the same, the one of the lowest rank is
/// used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    Time(TimeRole),
    Service(u8),
    Operation(u8),
    /// What a trace turned out to be.
    Class,
    /// The name or the labels of a series.
    Series,
    Count(u8),
    /// Requests per second or minute.
    Rate,
    /// A quantity that is no number of requests, such as a latency or a number of errors.
    Measure,
    /// The id of a trace or span: then a line is a span.
    Span,
    /// The upper bound of a histogram's bucket.
    Bucket,
    /// Something else that distinguishes counts, such as a status.
    Label,
    Unknown,
}

/// A column of times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeRole {
    pub unit: Unit,
    pub rank: u8,
    /// The name says nothing else.
    pub exact: bool,
    /// It may be a part of a time only, like a date or an hour.
    pub part: bool,
}

/// What a column or label of this name contains.
pub(super) fn role(name: &str) -> Role {
    let words = words(name);
    let joined = words.concat();
    let is = |known: &[&str]| known.contains(&joined.as_str());
    if is(&SPAN) {
        return Role::Span;
    }
    if is_rate(name, &words) {
        return Role::Rate;
    }
    if is(&["le"]) {
        return Role::Bucket;
    }
    if is(&["class"]) {
        return Role::Class;
    }
    if let Some(rank) = names(&SERVICE, &joined, &["servicename"])
        && !words.iter().any(|word| OTHER_END.contains(&word.as_str()))
    {
        return Role::Service(rank);
    }
    let ends = ["spanname", "operationname", "transactionname"];
    if let Some(rank) = names(&OPERATION, &joined, &ends) {
        return Role::Operation(rank);
    }
    if is(&LABELS) || joined.starts_with("service") {
        return Role::Label;
    }
    if is(&SERIES) {
        return Role::Series;
    }
    if is(&COUNT) {
        return Role::Count(0);
    }
    quantity(&words)
}

/// What a column of this name contains, if it is of times or of numbers.
fn quantity(words: &[String]) -> Role {
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let percentile = |word: &String| {
        word.strip_prefix('p')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let first = words.first().map_or("", String::as_str);
    let last = words.last().map_or("", String::as_str);
    // A histogram of durations counts requests, too.
    if last == "count" && has(&["duration", "latency"]) {
        return Role::Count(1);
    }
    let waited = has(&["response"]) && has(&["time"]);
    if has(&MEASURES) || waited || words.iter().any(percentile) {
        return Role::Measure;
    }
    if let Some(time) = time(words) {
        return Role::Time(time);
    }
    if COUNT_ENDS.contains(&last) || first == "count" {
        return Role::Count(1);
    }
    if VALUES.contains(&first) {
        return Role::Count(2);
    }
    Role::Unknown
}

/// Whether a column of this name cannot be an operation of its own, beside others in a table.
pub(super) fn is_no_operation(name: &str) -> bool {
    let joined = words(name).concat();
    let is = |known: &[&str]| known.contains(&joined.as_str());
    let exact = is(&COUNT) || is(&LABELS) || is(&SPAN) || is(&MEASURES) || is(&VALUES[..1]);
    let timed = time(&words(name)).is_some_and(|time| time.exact);
    !name.contains('/') && (exact || timed || is(&SERIES))
}

/// Whether a name says that it is a total, as those of counters do.
pub(super) fn is_total(name: &str) -> bool {
    words(name).last().is_some_and(|last| last == "total")
}

/// Whether a name says that it counts per second.
fn is_rate(name: &str, words: &[String]) -> bool {
    let per = words.windows(2).any(|pair| {
        pair[0] == "per" && ["s", "sec", "second", "min", "minute"].contains(&pair[1].as_str())
    });
    let rate = |word: &String| {
        let after = word.strip_prefix("rate");
        // Rules record rates under names like `job:requests:rate5m`.
        let recorded = after.is_some_and(|after| {
            after.is_empty() || after.starts_with(|first: char| first.is_ascii_digit())
        });
        recorded || RATES.contains(&word.as_str())
    };
    let name = name.to_ascii_lowercase();
    let fraction = name.trim_end_matches([')', ']']).rsplit_once('/');
    let fraction = fraction.is_some_and(|(whole, unit)| {
        let counted = whole.ends_with(|last: char| last.is_alphanumeric() || last == ')');
        counted && !whole.contains('/') && ["s", "sec", "second", "min", "minute"].contains(&unit)
    });
    // A route may have the word.
    let route = name.contains('/') && !name.contains('(');
    // `timestamp per minute` is a time.
    let timed = words.iter().any(|word| is_time(word));
    fraction || (per && !timed) || (!route && words.iter().any(rate))
}

/// The words of a name, in lower case: `ServiceName`, `service.name` and `SERVICE_NAME` have two.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in name.chars() {
        let known = letter.is_alphanumeric();
        let begins = !before.is_alphanumeric() || (before.is_lowercase() && letter.is_uppercase());
        if known && begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| known) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words
}

/// The rank of a name among known ones.
fn names(known: &[&[&str]], joined: &str, ends: &[&str]) -> Option<u8> {
    if ends.iter().any(|end| joined.ends_with(end)) {
        return Some(0);
    }
    let rank = known.iter().position(|names| names.contains(&joined))?;
    Some(rank as u8)
}

fn is_time(word: &str) -> bool {
    TIMES.iter().any(|(known, _)| *known == word)
}

/// Whether a name with these words is of times.
fn time(words: &[String]) -> Option<TimeRole> {
    let unit = |word: &String| UNITS.iter().find(|(known, ..)| known == word);
    let known = |word: &String| TIMES.iter().find(|(known, _)| known == word);
    let units: Vec<_> = words.iter().filter_map(unit).collect();
    let number = units.first().map(|(_, seconds, _)| *seconds);
    let ends = words
        .iter()
        .any(|word| ["end", "stop", "until"].contains(&word.as_str()));
    if let Some((_, rank)) = words.iter().find_map(known) {
        let plain = words.iter().all(|word| {
            is_time(word) || unit(word).is_some() || BESIDE_TIMES.contains(&word.as_str())
        });
        return Some(TimeRole {
            // `timestamp per 5 minutes` does not count minutes.
            unit: Unit {
                number: number.filter(|_| plain),
                row: None,
            },
            rank: rank + if plain { 0 } else { 3 } + u8::from(ends),
            exact: plain,
            part: plain && words.len() == 1 && words[0] == "time",
        });
    }
    let (word, seconds, part) = units.into_iter().find(|(_, _, part)| *part)?;
    Some(TimeRole {
        unit: Unit {
            number,
            // A date may have a time, whatever its column is called.
            row: (*word != "date").then_some(*seconds),
        },
        rank: if words.len() == 1 { 2 } else { 5 },
        exact: words.len() == 1,
        part: *part,
    })
}
