//! How often plans are made and how long data is kept.

use std::time::Duration;

use clap::Args;

use super::parse::{DAY, HOUR, MINUTE, SECOND, duration};

/// How often plans are made and how long data is kept.
#[derive(Debug, Clone, Args)]
pub struct TimingSettings {
    /// How often a plan is computed, 1s to 1h. All replicas of a database share it: the first
    /// start writes it there [default: what the database says, 60s in a new one]
    #[arg(long, env = "WEIR_INTERVAL", value_name = "DURATION", value_parser = interval)]
    pub interval: Option<Duration>,
    /// How long after its end a window still waits for reports [default: a sixth of the interval]
    #[arg(long, env = "WEIR_GRACE", value_name = "DURATION", value_parser = grace)]
    pub grace: Option<Duration>,
    /// The oldest report accepted, by the start of its window, 1m to 24h. Shared like --interval
    /// [default: what the database says, 1h in a new one]
    #[arg(
        long,
        env = "WEIR_REPORT_AGE_MAX",
        value_name = "DURATION",
        value_parser = duration(MINUTE, DAY)
    )]
    pub report_age_max: Option<Duration>,
    /// Write --interval and --report-age-max to the database, where other values are. The other
    /// replicas end when they notice
    #[arg(long, env = "WEIR_CHANGE_FLEET_SETTINGS")]
    pub change_fleet_settings: bool,
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
    /// The longest interval.
    pub const INTERVAL_MAX: Duration = HOUR;

    /// How many intervals a window waits for reports at most.
    pub const GRACE_INTERVALS_MAX: u32 = 10;

    /// The part of the interval that a window waits for reports by default: agents report six
    /// times an interval, so an agent's last report on a window comes at most that long after its
    /// end.
    pub const GRACE_PART: u32 = 6;

    /// The interval of a database that has none, unless a flag says another.
    pub const INTERVAL: Duration = Duration::from_secs(60);

    /// The oldest report accepted with a database that does not say, unless a flag does.
    pub const REPORT_AGE_MAX: Duration = HOUR;

    /// How long after its end a window waits for reports, with this interval.
    ///
    /// # Errors
    /// Says so where a flag asks for more than the interval allows.
    pub fn grace(&self, interval: Duration) -> Result<Duration, String> {
        let most = Self::GRACE_INTERVALS_MAX * interval;
        match self.grace {
            Some(grace) if grace > most => Err(format!(
                "--grace {}: must be at most {} intervals, which is {}",
                humantime::format_duration(grace),
                Self::GRACE_INTERVALS_MAX,
                humantime::format_duration(most)
            )),
            Some(grace) => Ok(grace),
            None => Ok(interval / Self::GRACE_PART),
        }
    }

    pub(super) fn check(&self, problems: &mut Vec<String>) {
        // Without a flag the database says the interval: it is checked once that is known.
        if let Some(Err(problem)) = self.interval.map(|interval| self.grace(interval)) {
            problems.push(problem);
        }
        if self.change_fleet_settings && self.interval.is_none() && self.report_age_max.is_none() {
            problems.push(
                "--change-fleet-settings: give --interval or --report-age-max to change".into(),
            );
        }
    }
}

/// The grace, which with most intervals may be less.
pub(crate) fn grace(value: &str) -> Result<Duration, String> {
    let most = TimingSettings::GRACE_INTERVALS_MAX * TimingSettings::INTERVAL_MAX;
    duration(Duration::ZERO, most)(value)
}

/// The interval: windows are counted in milliseconds.
fn interval(value: &str) -> Result<Duration, String> {
    let given = duration(SECOND, TimingSettings::INTERVAL_MAX)(value)?;
    if given.subsec_nanos() % 1_000_000 == 0 {
        Ok(given)
    } else {
        Err("must be whole milliseconds".into())
    }
}
