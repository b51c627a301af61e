//! Signals that would end a command stop it in order instead.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::say;

/// A signal's name, and the signal.
type End = (&'static str, fn() -> SignalKind);

/// Signals that end a process by default and can be caught. `SIGPIPE` is not among them, because
/// Rust programs ignore it from the start.
const ENDS: [End; 7] = [
    ("SIGHUP", SignalKind::hangup),
    ("SIGINT", SignalKind::interrupt),
    ("SIGQUIT", SignalKind::quit),
    ("SIGTERM", SignalKind::terminate),
    ("SIGALRM", SignalKind::alarm),
    ("SIGUSR1", SignalKind::user_defined1),
    ("SIGUSR2", SignalKind::user_defined2),
];

/// Cancels `stop` at the first signal that would end the process, and prints `what` happens now.
pub(super) fn stop_on_signal(stop: CancellationToken, what: &'static str) {
    let ignored = ignored_signals();
    for (name, kind) in ENDS {
        let kind = kind();
        // A signal that the caller made this process ignore stays ignored, as with nohup.
        let bit = u32::try_from(kind.as_raw_value()).unwrap_or_default();
        let is_ignored = 1_u64
            .checked_shl(bit.saturating_sub(1))
            .is_some_and(|mask| ignored & mask != 0);
        if is_ignored {
            continue;
        }
        if let Ok(arrived) = signal(kind) {
            tokio::spawn(wait(arrived, name, what, stop.clone()));
        }
    }
}

async fn wait(
    mut arrived: Signal,
    name: &'static str,
    what: &'static str,
    stop: CancellationToken,
) {
    // Continues after the first signal, so that a second one does not end the process half-way.
    while arrived.recv().await.is_some() {
        if !stop.is_cancelled() {
            stop.cancel();
            say(&format!("weir: {name}: {what}"));
        }
    }
}

/// The signals that this process ignores, one bit each; 0 if the system does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}
