//! Faults as text, as operators write them. Intervals count from 1, as in every table.

use std::ops::Range;
use std::str::FromStr;

use super::{BudgetChange, Burst, Fade, Mint, Rename};
use crate::virtual_time::{End, Loss, Restart};
use weir_allocation::ServiceName;

/// The text of a fault that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NotAFault(&'static str);

impl NotAFault {
    /// With what was expected, and an example.
    #[must_use]
    pub const fn new(expected: &'static str) -> Self {
        Self(expected)
    }
}

/// The most intervals that a text may name.
const MOST: usize = 10_000_000;
/// The most agents that a text may name.
const AGENTS_MAX: usize = 1_000_000;
/// The most names that are minted in an interval.
const MINTED_MAX: usize = 100_000;
/// The most requests that are claimed: as many as a report may.
const CLAIM_MAX: u64 = 1_000_000_000_000;

fn number<T: FromStr + PartialOrd>(text: &str, least: T, most: T) -> Option<T> {
    text.trim()
        .parse()
        .ok()
        .filter(|value| *value >= least && *value <= most)
}

/// Intervals from one, counted from 1, and their number.
fn intervals(from: &str, count: &str) -> Option<Range<usize>> {
    let from = number(from, 1, MOST)? - 1;
    Some(from..from + number(count, 1, MOST)?)
}

/// The reports of some agents, in some intervals.
fn reports(text: &str, queued: bool) -> Option<Loss> {
    let parts: Vec<&str> = text.split(':').collect();
    let [agents, from, count] = parts.as_slice() else {
        return None;
    };
    Some(Loss {
        intervals: intervals(from, count)?,
        agents: number(agents, 1, AGENTS_MAX)?,
        queued,
    })
}

impl FromStr for Loss {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        reports(text, false).ok_or(NotAFault(
            "AGENTS:FROM:COUNT, like 4:61:5 for the reports of four agents that are lost from interval 61 on, for five intervals",
        ))
    }
}

impl Loss {
    /// Reads reports that are held back and arrive together afterwards.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn queued(text: &str) -> Result<Self, NotAFault> {
        reports(text, true).ok_or(NotAFault(
            "AGENTS:FROM:COUNT, like 4:61:5 for the reports of four agents that are held back from interval 61 on, for five intervals",
        ))
    }
}

/// Agents, an interval, and the words that follow.
fn agents_at(text: &str) -> Option<(usize, usize, Vec<&str>)> {
    let (agents, rest) = text.split_once('@')?;
    let mut parts = rest.split(':').map(str::trim);
    let at = number(parts.next()?, 1, MOST)? - 1;
    Some((number(agents, 1, AGENTS_MAX)?, at, parts.collect()))
}

impl FromStr for Restart {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let restart = agents_at(text).and_then(|(agents, at, words)| {
            let last = match words.as_slice() {
                [] => false,
                ["last"] => true,
                _ => return None,
            };
            Some(Self { at, agents, last })
        });
        restart.ok_or(NotAFault(
            "AGENTS@INTERVAL or AGENTS@INTERVAL:last, like 4@61 for four agents that restart under new names in interval 61, and 4@61:last if they send a last report before",
        ))
    }
}

impl FromStr for End {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = agents_at(text).and_then(|(agents, at, words)| {
            let (last, moved) = match words.as_slice() {
                [] => (false, false),
                ["last"] => (true, false),
                ["moved"] => (false, true),
                ["last", "moved"] | ["moved", "last"] => (true, true),
                _ => return None,
            };
            Some(Self {
                at,
                agents,
                last,
                moved,
            })
        });
        end.ok_or(NotAFault(
            "AGENTS@INTERVAL, like 4@61 for four agents that end with their traffic in interval 61; 4@61:last if they send a last report, 4@61:moved if the others get their traffic, 4@61:last:moved for both",
        ))
    }
}

impl FromStr for Fade {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(4, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (from, count, silent) = (part(), part(), part());
        let fade = intervals(from, count).and_then(|fades| {
            let silent = number(silent, 0, MOST)?;
            let service = match parts.next() {
                Some(name) => Some(ServiceName::parse(name).ok()?),
                None => None,
            };
            Some(Self {
                fades,
                silent,
                service,
            })
        });
        fade.ok_or(NotAFault(
            "FROM:COUNT:SILENT or FROM:COUNT:SILENT:SERVICE, like 61:10:30 for traffic that halves ten times from interval 61 on, is silent for 30 intervals and then back",
        ))
    }
}

impl FromStr for BudgetChange {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let change = text.split_once('@').and_then(|(factor, at)| {
            Some(Self {
                factor: number(factor, 1e-6, 1e6)?,
                at: number(at, 1, MOST)? - 1,
            })
        });
        change.ok_or(NotAFault(
            "FACTOR@INTERVAL, like 10@61 for ten times the budget from interval 61 on",
        ))
    }
}

impl FromStr for Mint {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mint = text.split_once('@').and_then(|(names, rest)| {
            let parts: Vec<&str> = rest.split(':').collect();
            let (part, intervals) = match parts.as_slice() {
                [part] => (part, 0..MOST),
                [part, from, count] => (part, intervals(from, count)?),
                _ => return None,
            };
            Some(Self {
                names: number(names, 1, MINTED_MAX)?,
                part: number(part, 0.0, 1.0)?,
                intervals,
            })
        });
        mint.ok_or(NotAFault(
            "NAMES@PART or NAMES@PART:FROM:COUNT, like 10@0.001 for ten names in every interval that are used once, with a thousandth of the traffic",
        ))
    }
}

/// Requests that an additional agent claims, once in each of some intervals; then it falls silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The root requests claimed each time.
    pub offered: u64,
    /// The intervals.
    pub intervals: Range<usize>,
}

impl FromStr for Claimed {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let claimed = text.split_once('@').and_then(|(offered, when)| {
            let (from, count) = when.split_once(':').unwrap_or((when, "1"));
            Some(Self {
                offered: number(offered, 1, CLAIM_MAX)?,
                intervals: intervals(from, count)?,
            })
        });
        claimed.ok_or(NotAFault(
            "REQUESTS@FROM:COUNT, like 1000000000000@61:5 for an agent that claims a trillion requests in each of five intervals",
        ))
    }
}

impl FromStr for Burst {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let burst = text.split_once('@').and_then(|(factor, when)| {
            let (from, count) = when.split_once(':').unwrap_or((when, "1"));
            Some(Self {
                factor: number(factor, 0.0, 10_000.0)?,
                intervals: intervals(from, count)?,
            })
        });
        burst.ok_or(NotAFault(
            "FACTOR@INTERVAL:COUNT, like 10@61:3 for ten times the traffic from interval 61 on for three intervals",
        ))
    }
}

impl FromStr for Rename {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rename = text.split_once('@').and_then(|(part, at)| {
            Some(Self {
                part: number(part, f64::MIN_POSITIVE, 1.0)?,
                at: number(at, 1, MOST)? - 1,
            })
        });
        rename.ok_or(NotAFault(
            "PART@INTERVAL, like 0.3@61 for three in ten operations that are renamed from interval 61 on",
        ))
    }
}
