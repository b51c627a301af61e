//! What is recorded of changes: who, what, why, and what came of it.

use chrono::{DateTime, Utc};

/// The longest reason, in bytes.
pub const REASON_MAX: usize = 1024;

/// The most entries that are stored.
pub const AUDIT_ENTRIES_MAX: i64 = 20_000;

/// What somebody did. Written in the transaction that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// Who.
    pub by: String,
    /// What kind of name that is.
    pub kind: String,
    /// The role that it had; none if it needed none.
    pub role: Option<String>,
    /// The address that the request came from; none for what was done on the host.
    pub address: Option<String>,
    /// What sent it.
    pub origin: Origin,
    /// What was done.
    pub action: AuditAction,
    /// What it was done to; none for the whole configuration.
    pub subject: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The revisions of the configuration before and after; none if it was not changed.
    pub revisions: Option<(u64, u64)>,
    /// What differs, a JSON document.
    pub change: String,
    /// The effect that is expected, a JSON document.
    pub predicted: Option<String>,
}

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Rises with each entry.
    pub id: u64,
    /// When, on the database's clock.
    pub at: DateTime<Utc>,
    /// What was written with the change.
    pub entry: NewAuditEntry,
    /// The effect that was seen, a JSON document; none until it is known.
    pub measured: Option<String>,
}

/// Which entries are asked for, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditAsked {
    /// Only entries before this one.
    pub before: Option<u64>,
    /// Only from this time on.
    pub start: Option<DateTime<Utc>>,
    /// Only before this time.
    pub end: Option<DateTime<Utc>>,
    /// Only by this name.
    pub by: Option<String>,
    /// Only this action.
    pub action: Option<AuditAction>,
    /// Only of this subject.
    pub subject: Option<String>,
    /// The most entries that are returned.
    pub limit: u32,
}

/// What sends changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// A program that does not say what it is.
    #[default]
    Api,
    /// The command line.
    Cli,
    /// A file that the command line applies.
    File,
    /// The console.
    Ui,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 4] = [Self::Api, Self::Cli, Self::File, Self::Ui];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
            Self::File => "file",
            Self::Ui => "ui",
        }
    }

    /// The origin with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.name() == name)
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditAction {
    /// The configuration was changed, in whatever part.
    #[default]
    ConfigurationChanged,
    /// An older revision was written again.
    ConfigurationRolledBack,
    /// The budget was changed.
    BudgetChanged,
    /// The coverage was changed.
    CoverageChanged,
    /// The reserve for the lower bound was changed.
    LowerBoundChanged,
    /// The mode was changed.
    ModeChanged,
    /// A freeze was begun or changed.
    FreezeChanged,
    /// A freeze was ended.
    FreezeEnded,
    /// An emergency was begun or changed.
    EmergencyChanged,
    /// An emergency was ended.
    EmergencyEnded,
    /// A rule was added.
    RuleAdded,
    /// A rule was changed.
    RuleChanged,
    /// A rule was deleted.
    RuleDeleted,
    /// A boost was added.
    BoostAdded,
    /// A token was created.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// Names of silent operations were forgotten.
    NamesForgotten,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 17] = [
        Self::ConfigurationChanged,
        Self::ConfigurationRolledBack,
        Self::BudgetChanged,
        Self::CoverageChanged,
        Self::LowerBoundChanged,
        Self::ModeChanged,
        Self::FreezeChanged,
        Self::FreezeEnded,
        Self::EmergencyChanged,
        Self::EmergencyEnded,
        Self::RuleAdded,
        Self::RuleChanged,
        Self::RuleDeleted,
        Self::BoostAdded,
        Self::TokenCreated,
        Self::TokenRevoked,
        Self::NamesForgotten,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigurationChanged => "configuration.changed",
            Self::ConfigurationRolledBack => "configuration.rolled_back",
            Self::BudgetChanged => "budget.changed",
            Self::CoverageChanged => "coverage.changed",
            Self::LowerBoundChanged => "lower_bound.changed",
            Self::ModeChanged => "mode.changed",
            Self::FreezeChanged => "freeze.changed",
            Self::FreezeEnded => "freeze.ended",
            Self::EmergencyChanged => "emergency.changed",
            Self::EmergencyEnded => "emergency.ended",
            Self::RuleAdded => "rule.added",
            Self::RuleChanged => "rule.changed",
            Self::RuleDeleted => "rule.deleted",
            Self::BoostAdded => "boost.added",
            Self::TokenCreated => "token.created",
            Self::TokenRevoked => "token.revoked",
            Self::NamesForgotten => "names.forgotten",
        }
    }

    /// The action with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
