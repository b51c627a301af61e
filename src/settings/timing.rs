//! How often plans are computed, and how long data is stored.

use std::time::Duration;

use clap::Args;

use super::parse::{DAY, HOUR, MINUTE, SECOND, duration};
use crate::store::StepsKept;

/// How often plans are computed, and how long data is stored.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Plans and history")]
pub struct TimingSettings {
    /// How often a plan is computed, 1s to 1h. All replicas of a database share it: the first start
    /// stores it there [default: the database's, 60s in a new one]
    #[arg(long, env = "WEIR_INTERVAL", value_name = "DURATION", value_parser = interval)]
    pub interval: Option<Duration>,
    /// How long after its end a window waits for reports, up to ten intervals. Shared like
    /// --interval [default: the database's, a sixth of the interval in a new one]
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
    /// Replace shared settings stored in the database: those given of --interval, --report-age-max,
    /// --grace, --history, --history-10m, --history-1h, --history-1d, --retire-after and the three
    /// limits on names. The other replicas end when they notice
    #[arg(long, env = "WEIR_CHANGE_FLEET_SETTINGS")]
    pub change_fleet_settings: bool,
    /// How long the history of each operation is stored, 1h to 90d. Shared like --interval
    /// [default: the database's, 24h in a new one]
    #[arg(
        long,
        env = "WEIR_HISTORY",
        value_name = "DURATION",
        value_parser = duration(HOUR, 90 * DAY)
    )]
    pub history: Option<Duration>,
    /// How long history in steps of ten minutes is stored, of the fleet, its groups and its services,
    /// 2d to 90d. Shared like --interval [default: the database's, 14d in a new one]
    #[arg(
        long = "history-10m",
        env = "WEIR_HISTORY_10M",
        value_name = "DURATION",
        value_parser = duration(2 * DAY, 90 * DAY)
    )]
    pub history_10m: Option<Duration>,
    /// The same in steps of an hour, 2d to 800d. Shared like --interval [default: the database's, 400d
    /// in a new one]
    #[arg(
        long = "history-1h",
        env = "WEIR_HISTORY_1H",
        value_name = "DURATION",
        value_parser = duration(2 * DAY, 800 * DAY)
    )]
    pub history_1h: Option<Duration>,
    /// The same in steps of a day, 2d to 4000d. Shared like --interval [default: the database's, 400d
    /// in a new one]
    #[arg(
        long = "history-1d",
        env = "WEIR_HISTORY_1D",
        value_name = "DURATION",
        value_parser = duration(2 * DAY, 4000 * DAY)
    )]
    pub history_1d: Option<Duration>,
    /// An operation that nobody reports for this long is forgotten, 1h to 90d. Shared like --interval
    /// [default: the database's, 24h in a new one]
    #[arg(
        long,
        env = "WEIR_RETIRE_AFTER",
        value_name = "DURATION",
        value_parser = duration(HOUR, 90 * DAY)
    )]
    pub retire_after: Option<Duration>,
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

    /// How long history is stored with a new database, unless a flag gives another.
    pub const HISTORY: Duration = DAY;

    /// How long coarser steps are stored with a new database, unless flags give others: two weeks, and 13 months.
    pub const STEPS: StepsKept = StepsKept {
        ten_minutes: Duration::from_secs(14 * 24 * 3600),
        hours: Duration::from_secs(400 * 24 * 3600),
        days: Duration::from_secs(400 * 24 * 3600),
    };

    /// How long unused names are stored with a new database, unless a flag gives another.
    pub const RETIRE_AFTER: Duration = DAY;

    /// How long after its end a window waits for reports, with this interval.
    ///
    /// # Errors
    /// If more is `given` than the interval allows.
    pub fn grace(given: Option<Duration>, interval: Duration) -> Result<Duration, String> {
        let most = Self::GRACE_INTERVALS_MAX * interval;
        match given {
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
        let grace = |interval| Self::grace(self.grace, interval);
        if let Some(Err(problem)) = self.interval.map(grace) {
            problems.push(problem);
        }
    }

    /// Whether a flag says something that all replicas share.
    pub(super) fn says_shared(&self) -> bool {
        [
            self.interval,
            self.report_age_max,
            self.grace,
            self.history,
            self.history_10m,
            self.history_1h,
            self.history_1d,
            self.retire_after,
        ]
        .iter()
        .any(Option::is_some)
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
