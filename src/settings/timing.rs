//! How often plans are computed, and how long data is stored.

use std::time::Duration;

use clap::Args;

use super::parse::{DAY, HOUR, MINUTE, SECOND, duration};

/// How often plans are computed, and how long data is stored.
#[derive(Debug, Clone, Args)]
pub struct TimingSettings {
    /// How often a plan is computed, 1s to 1h. All replicas of a database share it: the first start
    /// stores it there [default: the database's, 60s in a new one]
    #[arg(long, env = "WEIR_INTERVAL", value_name = "DURATION", value_parser = interval)]
    pub interval: Option<Duration>,
    /// How long after its end a window waits for reports [default: a sixth of the interval]
    #[arg(long, env = "WEIR_GRACE", value_name = "DURATION", value_parser = grace)]
    pub grace: Option<Duration>,
    /// Greatest age of a report, from the start of its window, 1m to 24h. Shared like --interval
    /// [default: the database's, 1h in a new one]
    #[arg(
        long,
        env = "WEIR_REPORT_AGE_MAX",
        value_name = "DURATION",
        value_parser = duration(MINUTE, DAY)
    )]
    pub report_age_max: Option<Duration>,
    /// Replace the --interval and --report-age-max stored in the database. The other replicas end
    /// when they notice
    #[arg(long, env = "WEIR_CHANGE_FLEET_SETTINGS")]
    pub change_fleet_settings: bool,
    /// How long the history of each operation is stored, 1h to 90d
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

    /// The most intervals that a window may wait for reports.
    pub const GRACE_INTERVALS_MAX: u32 = 10;

    /// The default grace is the interval divided by this. Agents report six times an interval, so
    /// an agent's last report on a window comes at most that long after its end.
    pub const GRACE_PART: u32 = 6;

    /// The interval of a new database, unless a flag gives another.
    pub const INTERVAL: Duration = Duration::from_secs(60);

    /// The greatest age of a report with a new database, unless a flag gives another.
    pub const REPORT_AGE_MAX: Duration = HOUR;

    /// How long after its end a window waits for reports, with this interval.
    ///
    /// # Errors
    /// If the flag is too large for the interval.
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
        // Without the flag, the interval comes from the database. It is checked once that is known.
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

/// The grace. Its limit is checked with the interval.
pub(crate) fn grace(value: &str) -> Result<Duration, String> {
    let most = TimingSettings::GRACE_INTERVALS_MAX * TimingSettings::INTERVAL_MAX;
    duration(Duration::ZERO, most)(value)
}

/// The interval, in whole milliseconds, because windows are counted in them.
fn interval(value: &str) -> Result<Duration, String> {
    let given = duration(SECOND, TimingSettings::INTERVAL_MAX)(value)?;
    if given.subsec_nanos() % 1_000_000 == 0 {
        Ok(given)
    } else {
        Err("must be whole milliseconds".into())
    }
}
