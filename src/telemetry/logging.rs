//! Log lines, to standard error.

use tracing_subscriber::EnvFilter;

/// What is not logged unless the directives name it: the HTTP server writes an error for every
/// request that it cannot read, so any client could fill the log. `weir_malformed_requests_total`
/// counts them.
const QUIET: &str = "actix_http=off";

/// Starts logging for the whole process, panics too; a second call changes nothing.
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
    // The only error is that a subscriber is there already, as in tests.
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Writes a panic as a log line, so that it has the log's format and reaches the log's readers.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!(
        panic = panic.payload_as_str().unwrap_or("no message"),
        at = panic.location().map(tracing::field::display),
        thread = thread.name(),
        "a thread panicked"
    );
}

/// An error with its sources, in one line.
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
