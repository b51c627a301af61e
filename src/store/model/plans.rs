//! Plans as they are stored, and the conditions for publishing one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{HistoryRow, Incarnation};
use crate::allocation::Window;

/// Identifies a plan. After the database has gone back in time, a number may be used again; an
/// identity is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanMark {
    /// The plan's number.
    pub number: u64,
    /// Random.
    pub identity: Uuid,
}

/// A lease, as the caller believes to hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The lease's name.
    pub lease: &'static str,
    /// The holder.
    pub holder: Uuid,
    /// The term of the lease. After the database has gone back in time, another holder may have the
    /// same term.
    pub term: u64,
}

/// A plan to publish, and the conditions.
#[derive(Debug, Clone, Copy)]
pub struct NewPlan<'a> {
    /// The lease must be held like this.
    pub claim: Claim,
    /// This plan must be the current one; its number is lower than the new one's.
    pub replaces: Option<PlanMark>,
    /// The plan.
    pub plan: &'a StoredPlan,
    /// The history of its window, and corrections of others.
    pub history: &'a [HistoryRow],
}

/// A plan as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlan {
    /// Its number, which is higher than its parent's.
    pub number: u64,
    /// Its identity: random. Zero in a plan that is not the current one, because only the current
    /// plan's identity is stored.
    pub identity: Uuid,
    /// The term it was computed under.
    pub term: u64,
    /// A state of the dictionary in which its numbers, and those of its history, have their names.
    /// For a plan that was read, it is the state of the dictionary at that moment.
    pub names: Incarnation,
    /// The window that it was computed from.
    pub window: Window,
    /// The configuration revision it was computed from.
    pub configuration_revision: u64,
    /// When it was published, to the millisecond.
    pub published_at: DateTime<Utc>,
    /// Its figures for the fleet as a JSON document, for people and dashboards.
    pub summary: String,
    /// The whole plan, encoded by [`plan_codec`](crate::store::plan_codec).
    pub body: Vec<u8>,
}

impl StoredPlan {
    /// The mark that identifies it.
    #[must_use]
    pub fn mark(&self) -> PlanMark {
        PlanMark {
            number: self.number,
            identity: self.identity,
        }
    }
}

/// A plan without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Its number.
    pub number: u64,
    /// The window that it was computed from.
    pub window: Window,
    /// The configuration revision it was computed from.
    pub configuration_revision: u64,
    /// When it was published, to the millisecond.
    pub published_at: DateTime<Utc>,
    /// As [`StoredPlan::summary`].
    pub summary: String,
}

/// The answer to publishing a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// It is the current plan now.
    Published,
    /// Another leader has taken over: the lease has another holder or another term.
    StaleTerm,
    /// Another plan is current than the one to replace; this is its number, 0 for none.
    StaleParent(u64),
    /// Its numbers may belong to other names now: the database went back in time. The names must be
    /// read again, and the plan computed again.
    OtherNames,
}
