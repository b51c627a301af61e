//! Numbers and times as people read them. The command line writes them in the same way.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

/// The mean length of a month, in seconds.
const MONTH_SECONDS: f64 = 365.25 / 12.0 * 86_400.0;

/// A number with three significant digits, and all digits before the point.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".into();
    }
    if magnitude < 1e-4 {
        return format!("{value:.2e}");
    }
    let before = magnitude.log10().floor() as i32 + 1;
    let digits = usize::try_from(3 - before).unwrap_or(0);
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    };
    grouped(&text)
}

/// A number that may not be known.
#[must_use]
pub fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), number)
}

/// A part of one, in percent.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

/// A rate as traces a month, rounded to what a bill needs.
#[must_use]
pub fn a_month(traces_per_second: f64) -> String {
    let traces = traces_per_second * MONTH_SECONDS;
    let (scale, unit) = match traces {
        t if t >= 1e9 => (1e9, " G"),
        t if t >= 1e6 => (1e6, " M"),
        t if t >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    format!("{}{unit}", number(traces / scale))
}

/// A change from one number to another, in percent; words where there was nothing.
#[must_use]
pub fn change(before: f64, after: f64) -> String {
    if before == after {
        return "as before".into();
    }
    if before == 0.0 {
        return "from nothing".into();
    }
    match (after / before - 1.0) * 100.0 {
        part if part.abs() < 0.05 => "as before".into(),
        part if part >= 1000.0 => format!("× {}", number(after / before)),
        part if part > 0.0 => format!("+{} %", number(part)),
        part => format!("−{} %", number(part.abs())),
    }
}

/// A length of time, in its two largest units.
#[must_use]
pub fn length(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        s if s < 10.0 => format!("{} s", number((s * 10.0).round() / 10.0)),
        s if s.round() < 120.0 => format!("{} s", s.round()),
        s if (s / 60.0).round() < 120.0 => format!("{} min", (s / 60.0).round()),
        s if (s / 3_600.0).round() < 48.0 => format!("{} h", (s / 3_600.0).round()),
        s => format!("{} days", (s / 86_400.0).round()),
    }
}

/// A time as a machine reads it, and how long ago it was.
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let seconds = (now - at).num_milliseconds() as f64 / 1000.0;
    html! {
        time datetime=(machine(at)) title=(at.format("%Y-%m-%d %H:%M:%S UTC")) {
            @if seconds >= 0.0 { (length(seconds)) " ago" } @else { "in " (length(-seconds)) }
        }
    }
}

/// A time for machines.
#[must_use]
pub fn machine(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A comma between groups of three digits, from 10,000 on.
fn grouped(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("−", rest),
        None => ("", text),
    };
    let whole = digits.split('.').next().unwrap_or(digits);
    if whole.len() < 5 {
        return format!("{sign}{digits}");
    }
    let mut shown = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at < whole.len() && (whole.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_the_command_line_writes_them() {
        for (value, shown) in [
            (0.0, "0"),
            (4.75, "4.75"),
            (0.03961, "0.0396"),
            (1840.5, "1840"),
            (131_490.2, "131,490"),
            (-12_345.0, "−12,345"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), shown, "{value}");
        }
        assert_eq!(percent(0.0396), "3.96 %");
        assert_eq!(a_month(50.0), "131 M");
        assert_eq!(change(10.0, 5.0), "−50 %");
        assert_eq!(change(1.0, 40.0), "× 40");
    }

    #[test]
    fn lengths_have_one_unit() {
        for (seconds, shown) in [
            (0.04, "0 s"),
            (3.26, "3.3 s"),
            (75.2, "75 s"),
            (130.0, "2 min"),
            (7_199.9, "2 h"),
            (7_300.0, "2 h"),
            (200_000.0, "2 days"),
        ] {
            assert_eq!(length(seconds), shown);
        }
    }
}
