//! Figures and times on a page. Figures are written as the command line writes them: by `weir-words`.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

pub use weir_words::{a_month, change, known, length, number, percent};

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
