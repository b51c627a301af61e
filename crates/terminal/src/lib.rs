//! What commands print for people. Everything fits the terminal: tables leave columns out and say
//! so, sentences are broken into lines. Colour is for terminals, and for none with `NO_COLOR`.
//!
//! Nothing here panics if the output was closed, as `weir services | head -1` closes it.

mod table;

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use textwrap::Options;
use unicode_width::UnicodeWidthStr;

pub use table::Table;
pub use weir_words::{a_month, change, number, percent, printable, signed_percent};

/// For what is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what is not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what needs a look.
pub const LOOK: Style = AnsiColor::Yellow.on_default();
/// For titles.
pub const BOLD: Style = Style::new().bold();

/// The width where the terminal does not say one.
const WIDTH: usize = 80;

/// The width to fit: that of the terminal; none if the output is a file or a pipe.
#[must_use]
pub fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(wide)
}

fn wide() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.into())
}

/// The terminal's lines.
#[must_use]
pub fn lines() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, lines)| lines.0.into())
}

/// Whether standard output was closed by its reader.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. Does nothing if it was closed.
pub fn write(text: Arguments<'_>) {
    let mut to = anstream::stdout();
    if to.write_fmt(text).and_then(|()| to.flush()).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Whether nobody reads standard output any more: what was written last found it closed.
#[must_use]
pub fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Prints, like `print!`, without a panic if standard output was closed.
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => { $crate::write(format_args!($($text)*)) };
}

/// Prints a line, like `println!`, without a panic if standard output was closed.
#[macro_export]
macro_rules! outln {
    () => { $crate::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a sentence, in lines that fit the terminal.
#[macro_export]
macro_rules! sayln {
    ($($text:tt)*) => { $crate::say(&format!($($text)*)) };
}

/// Prints a paragraph, in lines that fit the terminal.
pub fn say(text: &str) {
    outln!("{}", wrapped(text, width()));
}

/// Writes a paragraph to standard error, in lines that fit the terminal.
pub fn note(text: &str) {
    let terminal = std::io::stderr().is_terminal();
    let text = wrapped(text, terminal.then(wide));
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A paragraph in lines of this width; as it is without one. Marks of style take no place.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    match width {
        // A URL that is cut cannot be opened.
        Some(width) => textwrap::fill(text, Options::new(width.max(1)).break_words(false)),
        None => text.to_owned(),
    }
}

/// A text without marks of style.
#[must_use]
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// The columns that a line takes on a terminal.
#[must_use]
pub fn plain_width(line: &str) -> usize {
    plain(line).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_between_words() {
        let text = "Kept 50.5 of 50 traces/s (+1 %).";
        assert_eq!(wrapped(text, Some(20)), "Kept 50.5 of 50\ntraces/s (+1 %).");
        assert_eq!(wrapped(text, None), text);
        let styled = format!("{GOOD}Kept 50.5 of 50{GOOD:#} traces/s (+1 %).");
        assert_eq!(wrapped(&styled, Some(20)).lines().count(), 2);
    }
}
