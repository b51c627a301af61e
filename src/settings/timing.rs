//! How often plans are made and how long data is kept.

use std::time::Duration;

use clap::Args;

use super::parse::{DAY, HOUR, MINUTE, SECOND, duration};

/// How many intervals a window waits for reports at most.
const GRACE_INTERVALS_MAX: u32 = 10;

/// The part of the interval that a window waits for reports by default: agents report six times an
/// interval, so an agent's last report on a window comes at most that long after its end.
const GRACE_PART: u32 = 6;

/// How often plans are made and how long data is kept.
#[derive(Debug, Clone, Args)]
pub struct TimingSettings {
    /// How often a plan is computed, 1s to 1h
    #[arg(
        long,
        env = "WEIR_INTERVAL",
        default_value = "60s",
        value_name = "DURATION",
        value_parser = interval
    )]
    pub interval: Duration,
    /// How long after its end a window still waits for reports [default: a sixth of the interval]
    #[arg(
        long,
        env = "WEIR_GRACE",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, GRACE_INTERVALS_MAX * HOUR)
    )]
    pub grace: Option<Duration>,
    /// The oldest report accepted, by the start of its window, 1m to 24h
    #[arg(
        long,
        env = "WEIR_REPORT_AGE_MAX",
        default_value = "1h",
        value_name = "DURATION",
        value_parser = duration(MINUTE, DAY)
    )]
    pub report_age_max: Duration,
    /// How long per-operation history is kept, 1h to 90d
    #[arg(
        long,
        env = "WEIR_HISTORY",
        default_value = "24h",
        value_name = "DURATION",
        value_parser = duration(HOUR, 90 * DAY)
    )]
    pub history: Duration,
    /// An operation that nobody reports for this long is forgotten, 1h to 90d
    #[arg(
        long,
        env = "WEIR_RETIRE_AFTER",
        default_value = "24h",
        value_name = "DURATION",
        value_parser = duration(HOUR, 90 * DAY)
    )]
    pub retire_after: Duration,
}

impl TimingSettings {
    /// How long after its end a window waits for reports.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace.unwrap_or(self.interval / GRACE_PART)
    }

    pub(super) fn check(&self, problems: &mut Vec<String>) {
        let most = GRACE_INTERVALS_MAX * self.interval;
        if let Some(grace) = self.grace.filter(|grace| *grace > most) {
            problems.push(format!(
                "--grace {}: must be at most {GRACE_INTERVALS_MAX} intervals, which is {}",
                humantime::format_duration(grace),
                humantime::format_duration(most)
            ));
        }
    }
}

/// The interval: windows are counted in milliseconds.
fn interval(value: &str) -> Result<Duration, String> {
    let given = duration(SECOND, HOUR)(value)?;
    if given.subsec_nanos() % 1_000_000 == 0 {
        Ok(given)
    } else {
        Err("must be whole milliseconds".into())
    }
}
