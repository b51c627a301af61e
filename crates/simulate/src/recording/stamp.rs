//! The spellings of a time that databases, spreadsheets and metrics systems write.

mod zone;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use zone::without_zone;

/// A time as a row's name says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Milliseconds since 1970, given as a number.
    Epoch(i64),
    /// A date and a time with an offset from UTC, in milliseconds since 1970.
    Zoned(i64),
    /// A date, with or without a time, of an unknown zone, in milliseconds.
    Local(i64),
    /// A time of day, in milliseconds.
    Clock(i64),
    /// A position in a sequence, in thousandths.
    Number(i64),
}

/// Numbers from here on count from 1970. It is 1973 in seconds.
const EPOCH_FROM: i64 = 100_000_000;
/// The end of 2099, in seconds since 1970.
const EPOCH_UNTIL: i64 = 4_102_444_800;
/// Dates and times without their zone. `%d/%m/%Y` is absent: it cannot be told from `%m/%d/%Y`.
const INSTANTS: [&str; 17] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %I:%M %p",
    "%Y%m%d %H%M%S",
    // Kibana, spreadsheets, JavaScript, mail headers, access logs, C.
    "%b %d, %Y @ %H:%M:%S%.f",
    "%b %d, %Y, %I:%M:%S %p",
    "%b %d, %Y, %I:%M %p",
    "%b %d, %Y %H:%M:%S%.f",
    "%b %d, %Y %H:%M",
    "%a %b %d %Y %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S%.f",
    "%d %b %Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
];
const CLOCKS: [&str; 4] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"];

impl Stamp {
    /// Reads a time; none if it has no known spelling, or could be one of two times.
    pub fn parse(label: &str) -> Option<Self> {
        /// No spelling of a time is as long.
        const LONGEST: usize = 80;
        let label = label.trim();
        if label.len() > LONGEST {
            return None;
        }
        let written_out = written_out(label);
        if let Some((whole, part)) = decimal(written_out.as_deref().unwrap_or(label)) {
            return numeric(whole, part);
        }
        let (text, offset) = without_zone(label)?;
        let text = spelled(text);
        let instant = |format: &&str| NaiveDateTime::parse_from_str(&text, format).ok();
        let date = || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
        let local = INSTANTS
            .iter()
            .find_map(instant)
            .or_else(|| Some(date()?.and_time(NaiveTime::MIN)));
        match (local, offset) {
            (Some(local), Some(offset)) => Some(Self::Zoned(
                local.and_utc().timestamp_millis() - offset * 60_000,
            )),
            (Some(local), None) => Some(Self::Local(local.and_utc().timestamp_millis())),
            (None, _) => clock(&text).map(Self::Clock),
        }
    }

    /// A time in seconds since 1970, as in an answer in JSON.
    pub fn of_seconds(seconds: f64) -> Option<i64> {
        let sound = (EPOCH_FROM as f64..EPOCH_UNTIL as f64).contains(&seconds);
        sound.then(|| (1000.0 * seconds).round() as i64)
    }

    pub fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Whether a text is meant as a time, though it may not be readable as one. `t0` is not.
    pub fn is_meant(label: &str) -> bool {
        label.starts_with(|first: char| first.is_ascii_digit()) || label.contains(':')
    }
}

/// What to write instead of a time that cannot be read.
pub(super) fn advice(label: &str) -> &'static str {
    const USUAL: &str =
        "write times like 2021-03-01T11:00:00Z, 2021-03-01 11:00:00 or seconds since 1970";
    let label = label.trim();
    let numbers = |text: &str, mark: char| {
        let mut parts = text.split(mark);
        let short = |part: Option<&str>| {
            part.is_some_and(|part| {
                matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        short(parts.next()) && short(parts.next()) && parts.next().is_some()
    };
    if ['/', '.', '-'].iter().any(|&mark| numbers(label, mark)) {
        return "the day and the month cannot be told apart: write 2021-03-01 11:00:00";
    }
    if rounded(label) {
        return "it is rounded: write all digits of the seconds since 1970";
    }
    if decimal(label).is_some_and(|(whole, _)| hour(whole).is_some()) {
        return "it may be a date or seconds since 1970: write 2021-03-01T11:00:00Z";
    }
    let zone = label.rsplit(' ').next().unwrap_or("");
    let named = zone.len() >= 2 && zone.bytes().all(|byte| byte.is_ascii_alphabetic());
    if named && label.contains(':') && !["am", "pm"].contains(&zone.to_lowercase().as_str()) {
        return "the name of the time zone is not unique: write UTC or an offset like +02:00";
    }
    USUAL
}

/// Splits a number into its whole part and its thousandths.
fn decimal(text: &str) -> Option<(&str, i64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let thousandths = format!("{part:0<3}");
    Some((whole, thousandths[..3].parse().ok()?))
}

/// The number in `1.614596400000e+09`, if it has all digits before its point.
fn written_out(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let (first, more) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = digits(first) && digits(more) && more.len() >= exponent;
    let (before, after) = more.split_at_checked(exponent).filter(|_| whole)?;
    Some(match after {
        "" => format!("{first}{before}"),
        after => format!("{first}{before}.{after}"),
    })
}

/// Whether this is a number like `1.61E+09`. Whatever is behind its digits is lost.
fn rounded(text: &str) -> bool {
    text.contains(['e', 'E']) && text.parse::<f64>().is_ok()
}

/// A large number counts from 1970; its size shows the unit. Numbers of 8, 12 and 14 digits may be
/// dates without any marks, which the sizes of the units leave free.
fn numeric(whole: &str, part: i64) -> Option<Stamp> {
    let number: i64 = whole.parse().ok()?;
    if part == 0 && matches!(whole.len(), 8 | 12 | 14) {
        let padded = format!("{whole:0<14}");
        let date = NaiveDateTime::parse_from_str(&padded, "%Y%m%d%H%M%S").ok();
        if let Some(date) = date.filter(|_| whole.starts_with("19") || whole.starts_with("20")) {
            return Some(Stamp::Local(date.and_utc().timestamp_millis()));
        }
    }
    if number < EPOCH_FROM {
        return Some(Stamp::Number(1000 * number + part));
    }
    if hour(whole).is_some() {
        return None;
    }
    let in_unit =
        |unit: i64| (EPOCH_FROM * unit..EPOCH_UNTIL.saturating_mul(unit)).contains(&number);
    if in_unit(1) {
        return Some(Stamp::Epoch(1000 * number + part));
    }
    let units = [1000, 1_000_000, 1_000_000_000];
    let unit = units.into_iter().find(|&unit| in_unit(unit))?;
    Some(Stamp::Epoch(number / (unit / 1000)))
}

/// The date and hour that ten digits may be. As seconds since 1970 they are in 2032 or later.
fn hour(whole: &str) -> Option<NaiveDateTime> {
    let dated = whole.len() == 10 && (whole.starts_with("19") || whole.starts_with("20"));
    let text = dated.then(|| format!("{whole}0000"))?;
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%S").ok()
}

/// One spelling for what differs in marks only: `2021/03/01T11:00:00,5` is `2021-03-01 11:00:00.5`.
fn spelled(text: &str) -> String {
    let digit = |place: usize| text.as_bytes().get(place).is_some_and(u8::is_ascii_digit);
    let year_first = (0..4).all(digit) && !digit(4);
    let hour_only =
        year_first && text.len() == 13 && [10, 11, 12].map(digit) == [false, true, true];
    let mut letters: Vec<char> = text.chars().collect();
    for place in 1..letters.len() {
        let between = letters[place - 1].is_ascii_digit()
            && letters.get(place + 1).is_some_and(char::is_ascii_digit);
        letters[place] = match letters[place] {
            '/' if year_first => '-',
            'T' | 't' if between => ' ',
            ',' if between && year_first => '.',
            letter => letter,
        };
    }
    letters.extend(":00".chars().filter(|_| hour_only));
    letters.into_iter().collect()
}

/// A time of day in milliseconds.
fn clock(text: &str) -> Option<i64> {
    let time = CLOCKS
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let seconds = i64::from(time.num_seconds_from_midnight());
    Some(1000 * seconds + i64::from(time.nanosecond() / 1_000_000))
}

/// Writes a time in milliseconds: a date with a time, or hours and minutes.
pub(super) fn written(milliseconds: i64) -> String {
    const TEN_DAYS: i64 = 864_000;
    let after = |time: &DateTime<_>| time.timestamp() >= TEN_DAYS;
    match DateTime::from_timestamp_millis(milliseconds).filter(after) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => format!(
            "{}:{:02}",
            milliseconds / 3_600_000,
            milliseconds / 60_000 % 60
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> i64 {
        match Stamp::parse(text) {
            Some(Stamp::Epoch(time) | Stamp::Zoned(time) | Stamp::Local(time)) => time,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_instant_is_read_in_every_usual_spelling() {
        let expected = instant("2022-08-22T03:53:00Z");
        for text in [
            "2022-08-22 03:53",
            "2022-08-22 03:53:00",
            "2022-08-22 03:53:00.000",
            "2022-08-22 03:53:00,000",
            "2022-08-22T03:53:00",
            "2022-08-22T03:53",
            "2022-08-22T03:53Z",
            "2022-08-22T03:53:00.000000000Z",
            "2022/08/22 03:53",
            "2022/08/22 03:53:00 AM",
            "2022-08-22T05:53:00+02:00",
            "2022-08-22T05:53:00.000+0200",
            "2022-08-22 05:53:00+02",
            "2022-08-22 09:23:00+05:30",
            "2022-08-21 23:53:00 -0400",
            "2022-08-22 03:53:00 UTC",
            "2022-08-22 03:53:00.000000 UTC",
            "2022-08-22 03:53:00Z",
            "2022-08-22 03:53:00+00",
            "2022-08-22 03:53:00 +0000 UTC",
            "2022-08-22 05:53:00 +0200 CEST",
            "2022-08-22T05:53:00+02:00[Europe/Berlin]",
            "Mon Aug 22 2022 05:53:00 GMT+0200 (Central European Summer Time)",
            "Mon, 22 Aug 2022 03:53:00 GMT",
            "Mon, 22 Aug 2022 03:53:00 +0000",
            "Aug 22, 2022 @ 03:53:00.000",
            "Aug 22, 2022, 3:53:00 AM",
            "22/Aug/2022:03:53:00 +0000",
            "Mon Aug 22 03:53:00 2022",
            "20220822T035300Z",
            "20220822035300",
            "202208220353",
            "1661140380",
            "1661140380.0",
            "1661140380.000",
            "1.661140380e+09",
            "1.661140380000000000e+09",
            "1661140380000",
            "1661140380000.0",
            "1661140380000000",
            "1661140380000000000",
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
        let midnight = expected - (3 * 60 + 53) * 60_000;
        assert_eq!(instant("2022-08-22"), midnight);
        assert_eq!(instant("20220822"), midnight);
        assert_eq!(instant("2022-08-22 03"), midnight + 3 * 3_600_000);
        assert_eq!(instant("1661140380.25"), expected + 250);
        assert_eq!(Stamp::parse("09:01"), Some(Stamp::Clock(541 * 60_000)));
        assert_eq!(Stamp::parse("9:01 PM"), Some(Stamp::Clock(1261 * 60_000)));
        assert_eq!(Stamp::parse("480"), Some(Stamp::Number(480_000)));
        assert_eq!(Stamp::parse("1.5"), Some(Stamp::Number(1500)));
    }

    #[test]
    fn what_may_be_two_times_is_none_and_says_what_to_write() {
        for (text, said) in [
            ("t0", "write times like"),
            ("", "write times like"),
            ("-3", "write times like"),
            ("2022-13-01", "write times like"),
            ("24:61", "write times like"),
            ("9999999999", "write times like"),
            ("2022-08-22 03:53:00+99", "write times like"),
            ("2022-08-22 03:53 CET", "time zone"),
            ("2022-08-22 03:53:00 Europe", "time zone"),
            ("08/09/2022 03:53", "day and the month"),
            ("8.9.2022 03:53:00", "day and the month"),
            ("1.66E+09", "rounded"),
            ("2022082203", "a date or seconds"),
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
            assert!(advice(text).contains(said), "{text}: {}", advice(text));
        }
        assert_eq!(Stamp::parse(&"1".repeat(5000)), None);
        assert_eq!(Stamp::parse("2022-08-22 ä+é"), None);
    }
}
