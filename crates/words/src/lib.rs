//! Figures, lengths of time and names as people read them, on a terminal and on a page.
//!
//! The command line and the console have them from here, so both write a figure in the same way. It depends on nothing:
//! a server without the commands needs no terminal for its console.

/// The mean length of a month, in seconds.
const MONTH_SECONDS: f64 = 365.25 / 12.0 * 86_400.0;

/// A name from outside, without anything that would move the cursor or turn the text around.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || turns {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

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

/// A part of one, in percent.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

/// A part of one that is added or taken away, in percent with one decimal.
#[must_use]
pub fn signed_percent(part: f64) -> String {
    let shown = format!("{:.1}", (part * 100.0).abs());
    let shown = shown.trim_end_matches(".0");
    match part {
        _ if shown == "0" => "±0 %".into(),
        more if more > 0.0 => format!("+{shown} %"),
        _ => format!("−{shown} %"),
    }
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

/// A number that may not be known.
#[must_use]
pub fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), number)
}

/// A length of time, in the largest unit of which there are two.
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

/// A change from one number to another, in percent; words where there was nothing.
#[must_use]
pub fn change(before: f64, after: f64) -> String {
    if before == after {
        return "as before".into();
    }
    if before == 0.0 {
        return "from nothing".into();
    }
    let part = (after / before - 1.0) * 100.0;
    match part {
        part if part.abs() < 0.05 => "as before".into(),
        part if part >= 1000.0 => format!("× {}", number(after / before)),
        part => format!(
            "{}{} %",
            if part > 0.0 { "+" } else { "−" },
            number(part.abs())
        ),
    }
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
    fn numbers_have_three_digits_that_count() {
        let cases = [
            (0.0, "0"),
            (50.0, "50"),
            (50.04, "50"),
            (4.75, "4.75"),
            (0.03961, "0.0396"),
            (0.00001, "1.00e-5"),
            (1840.5, "1840"),
            (131_490.2, "131,490"),
            (1_234_567.0, "1,234,567"),
            (-12_345.0, "−12,345"),
            (9.999, "10"),
            (f64::NAN, "–"),
        ];
        for (value, shown) in cases {
            assert_eq!(number(value), shown, "{value}");
        }
        assert_eq!(percent(0.0396), "3.96 %");
        assert_eq!(signed_percent(0.01), "+1 %");
        assert_eq!(signed_percent(-0.306), "−30.6 %");
        assert_eq!(signed_percent(-0.00945), "−0.9 %");
        assert_eq!(signed_percent(-0.0001), "±0 %");
        assert_eq!(a_month(50.0), "131 M");
        assert_eq!(a_month(0.0), "0");
    }

    #[test]
    fn changes_say_their_direction() {
        assert_eq!(change(10.0, 15.0), "+50 %");
        assert_eq!(change(10.0, 5.0), "−50 %");
        assert_eq!(change(0.0, 5.0), "from nothing");
        assert_eq!(change(0.0, 0.0), "as before");
        assert_eq!(change(1.0, 40.0), "× 40");
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        assert_eq!(known(None), "–");
        assert_eq!(known(Some(4.75)), "4.75");
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

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(printable("GET /x"), "GET /x");
        assert_eq!(printable("a\u{1b}[2J\n"), "a\\u{1b}[2J\\u{a}");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
    }
}
