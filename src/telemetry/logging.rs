//! Log lines, on standard error.

use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

use super::seldom::{PERIOD, Seldom};

/// Not logged unless the directives name it, because any client could fill the log:
///
/// * The HTTP server writes an error for every request that it cannot read.
///   `weir_malformed_requests_total` counts them.
/// * The database driver writes a warning for every slow statement and for every slow wait for a
///   connection. Weir logs slow calls itself, now and then, and `weir_database_call_seconds` counts
///   them.
const QUIET: &str = "actix_http=off,sqlx=off";

/// Starts logging for the whole process, including panics. A second call changes nothing.
pub fn start(json: bool, directives: &str) {
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_ansi(ansi).try_init()
    };
    // The only possible error is that there is a subscriber already, as in tests.
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Writes a panic as a log line, so that it has the format of the log.
/// Requests may panic by the thousand, so it is one line in [`PERIOD`] for each place in the code.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let Some(unsaid) = PANICS.pass(at.as_deref().unwrap_or_default()) else {
        return;
    };
    let thread = std::thread::current();
    tracing::error!(
        panic = panic.payload_as_str().unwrap_or("no message"),
        at,
        thread = thread.name(),
        unsaid,
        "a thread panicked"
    );
}

/// Where panics came from, and when each place may be logged again.
struct Places(Mutex<Vec<(String, Seldom)>>);

static PANICS: Places = Places(Mutex::new(Vec::new()));

impl Places {
    /// Whether a panic at this place is logged; if so, how many were not logged since the last one
    /// that was.
    fn pass(&self, at: &str) -> Option<u64> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lines)) = places.iter().find(|(place, _)| place == at) {
            return lines.pass();
        }
        let lines = Seldom::new(PERIOD);
        let passed = lines.pass();
        places.push((at.to_owned(), lines));
        passed
    }
}

/// An error and its sources, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line += ": ";
        line += &error.to_string();
        source = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_logged_now_and_then_for_each_place() {
        let places = Places(Mutex::default());
        let passed = ["a.rs:1:1", "b.rs:2:2", "a.rs:1:1", "a.rs:1:1"].map(|at| places.pass(at));
        assert_eq!(passed, [Some(0), Some(0), None, None]);
    }
}
