//! The head of a report: its sender and its window. They must be right, or nothing is counted.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::allocation::{NameError, Timestamp, Window};

/// The limits of a report.
#[derive(Debug, Clone, Copy)]
pub struct ReportLimits {
    /// The length of a bucket: a window may touch [`ReportLimits::BUCKETS`] of them.
    pub bucket: Duration,
    /// The greatest age of a window's start.
    pub age: Duration,
}

impl ReportLimits {
    /// Operations in one report that are counted under their own names, over all services.
    pub const OPERATIONS: usize = 20_000;
    /// Root requests of one operation in one report: far more than any machine serves, and far from
    /// an overflow.
    pub const COUNT: u64 = 1_000_000_000_000;
    /// SDK instances of one service in one report.
    pub const INSTANCES: u32 = 1_000_000;
    /// Buckets that one window may cover.
    pub const BUCKETS: u32 = 60;
    /// The longest window, whatever the length of a bucket.
    pub const WINDOW: Duration = Duration::from_secs(300);
    /// How far into the future a window may end, because agents' clocks differ a little.
    pub const AHEAD: TimeDelta = TimeDelta::seconds(30);

    fn window_seconds_max(self) -> f64 {
        self.bucket
            .saturating_mul(Self::BUCKETS)
            .min(Self::WINDOW)
            .as_secs_f64()
    }
}

/// Why a report is refused as a whole. Each protocol words it for its clients.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// The agent's name is not valid.
    #[error("the agent's name {0}")]
    Agent(NameError),
    /// The sequence does not fit the database's signed integers.
    #[error("the sequence must be below 2^63")]
    Sequence,
    /// The window is empty, too long, or not a number.
    #[error("the window must be between 0.001 and {longest_seconds} seconds long")]
    WindowLength {
        /// The longest window allowed.
        longest_seconds: f64,
    },
    /// The window ends in the future.
    #[error("the window ends in the future: it is {now} here")]
    WindowAhead {
        /// The fleet's time.
        now: DateTime<Utc>,
    },
    /// The window began too long ago.
    #[error("the window began more than {} ago: it is {now} here", humantime::format_duration(*.limit))]
    WindowTooOld {
        /// The oldest start allowed.
        limit: Duration,
        /// The fleet's time.
        now: DateTime<Utc>,
    },
}

/// The head of a report.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// Who sent it.
    pub agent: Cow<'a, str>,
    /// A new one at every start of the agent.
    pub epoch: Uuid,
    /// Increases within the epoch.
    pub sequence: u64,
    /// When the counting began.
    pub window_start: DateTime<Utc>,
    /// How long the counting lasted.
    pub window_seconds: f64,
    /// Whether the agent says that it is its last report.
    pub last: bool,
}

/// The window of a report.
///
/// # Errors
/// If the window is empty, too long or too old, or ends in the future.
pub(super) fn window(
    head: &Head<'_>,
    limits: ReportLimits,
    now: DateTime<Utc>,
) -> Result<Window, ReportError> {
    let longest_seconds = limits.window_seconds_max();
    if !(0.001..=longest_seconds).contains(&head.window_seconds) {
        return Err(ReportError::WindowLength { longest_seconds });
    }
    // At most five minutes, so the conversion only drops what is below a millisecond.
    let milliseconds = (head.window_seconds * 1000.0).round() as i64;
    let end = head
        .window_start
        .checked_add_signed(TimeDelta::milliseconds(milliseconds));
    let latest = now.checked_add_signed(ReportLimits::AHEAD);
    let Some(end) = end.filter(|end| latest.is_none_or(|latest| *end <= latest)) else {
        return Err(ReportError::WindowAhead { now });
    };
    let age = TimeDelta::from_std(limits.age).unwrap_or(TimeDelta::MAX);
    if now.signed_duration_since(head.window_start) > age {
        let limit = limits.age;
        return Err(ReportError::WindowTooOld { limit, now });
    }
    Ok(Window {
        start: Timestamp(head.window_start.timestamp_millis()),
        end: Timestamp(end.timestamp_millis()),
    })
}
