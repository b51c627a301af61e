//! Alerts that Weir gives by itself, for those without Prometheus: a log line when one begins and when it ends, and a
//! request to a webhook.
//!
//! The names, bounds and durations are those of `deploy/prometheus/alerts.rules.yaml`; docs/operations.md says what to do
//! about each. Here are those that one replica can judge by what it holds in memory. Those that need counters over time,
//! or another process to notice that this one is gone, are Prometheus's alone.
//!
//! [`Watch`] looks once a second, and makes a [`Seen`] of what is served and known. [`RULES`] say what holds of it, and
//! [`Judge`] turns that into [`Notice`]s: one when a rule has held for long enough, one when it holds no more. An alert
//! about the fleet is judged by every replica, from the same plan, and said by the one that leads: so a new leader
//! neither says it again nor forgets that it ends. An alert about a replica is said by that replica.
//! [`Webhook`] sends notices, in order.
//!
//! | what happens | what is done |
//! |---|---|
//! | the webhook does not answer, or with 408, 429, 5xx | the notice is sent again, five times in all, then dropped: a log line and a metric say so |
//! | it refuses otherwise | it is not sent again: as above |
//! | notices come faster than they can be sent | 64 wait; the oldest one is dropped, as above |
//! | nobody leads while an alert about the fleet begins | nobody says it; Prometheus notices that nobody leads |
//! | the process starts again while an alert goes on | it is said again after its duration |

mod judge;
mod rules;
mod seen;
mod watch;
mod webhook;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use judge::Judge;
pub use rules::RULES;
pub use seen::{Seen, Windows};
pub use watch::Watch;
pub use webhook::{Webhook, WebhookUrl};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Traces or control are being lost now.
    Page,
    /// Somebody should look within the day.
    Warn,
}

/// What an alert is about, and so who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The fleet: the leader says it.
    Fleet,
    /// One replica, which says it itself.
    Replica,
}

/// When there is an alert, and what it says.
#[derive(Debug)]
pub struct Rule {
    /// Its name, as in `deploy/prometheus/alerts.rules.yaml`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// For how many intervals it must hold.
    pub intervals: u32,
    /// For how many intervals it stays after it held.
    pub stays: u32,
    /// What it holds of: nothing if all is well.
    pub holds: fn(&Seen) -> Vec<Found>,
    /// What it says of the figure.
    pub says: fn(&Found) -> String,
}

/// Something of which a rule holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Which one, where there are several, such as a group.
    pub subject: Option<String>,
    /// The figure that is out of bounds.
    pub value: f64,
}

/// Whether an alert begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It begins.
    Begun,
    /// It ends.
    Ended,
}

/// What is said of an alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The name of the alert.
    pub alert: &'static str,
    /// Whether it begins or ends.
    pub state: Turn,
    /// How bad it is.
    pub severity: Severity,
    /// Which one, where there are several.
    pub subject: Option<String>,
    /// The figure that is out of bounds, or was last.
    pub value: f64,
    /// All of it in a sentence.
    pub text: String,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// When this is said.
    pub at: DateTime<Utc>,
    /// Where it is said what to do.
    pub runbook: String,
    #[serde(skip)]
    about: About,
}
