//! The rules: what each holds of, for how long, and what it says.

use super::{About, Found, Rule, Severity};
use weir_words::{number as said, percent};

/// A clock that is further off than this, in seconds.
const CLOCK_OFFSET_SECONDS: f64 = 5.0;

/// The part of the traffic whose agents report, under which some are missing.
const COMPLETE: f64 = 0.9;

/// All of them, in the order of `deploy/prometheus/alerts.rules.yaml`.
pub const RULES: &[Rule] = &[
    Rule {
        holds: |seen| {
            of(seen
                .budget_kept
                .filter(|of| !of.is_budget_kept())
                .map(|of| of.part()))
        },
        says: |found| format!("the fleet samples {} of its budget", percent(found.value)),
        ..fleet("WeirBudgetMissed", 10)
    },
    Rule {
        holds: |seen| {
            of(seen
                .applied
                .filter(|of| of.verdict() == Some(false))
                .map(|of| of.part()))
        },
        says: |found| {
            let part = percent(found.value);
            format!(
                "SDKs do not apply the probabilities that they are served: {part} of what was due was sampled"
            )
        },
        ..fleet("WeirProbabilitiesNotApplied", 10)
    },
    Rule {
        holds: |seen| above(1.0 - seen.emergency_factor, 0.0, seen.emergency_factor),
        says: |found| {
            format!(
                "an emergency multiplies everything that is served by {}",
                said(found.value)
            )
        },
        ..fleet("WeirEmergency", 10)
    },
    Rule {
        holds: |seen| match seen.budget > 0.0 {
            true => above(seen.missing, 0.0, seen.missing),
            false => Vec::new(),
        },
        says: |found| {
            format!(
                "floors and pins exceed the budget by {} traces/s",
                said(found.value)
            )
        },
        ..fleet("WeirFloorsInfeasible", 5)
    },
    Rule {
        holds: |seen| {
            let groups = seen.group_missing.iter();
            groups
                .map(|(group, value)| Found {
                    subject: Some(group.clone()),
                    value: *value,
                })
                .collect()
        },
        says: |found| {
            let group = found.subject.as_deref().unwrap_or_default();
            format!(
                "floors in the group {group} exceed its cap by {} traces/s",
                said(found.value)
            )
        },
        ..fleet("WeirGroupFloorsInfeasible", 5)
    },
    Rule {
        holds: |seen| above(COMPLETE - seen.completeness, 0.0, seen.completeness),
        says: |found| {
            let part = percent(found.value);
            format!("agents with {part} of the usual traffic report; the others are missing")
        },
        ..fleet("WeirAgentsMissing", 3)
    },
    Rule {
        holds: |seen| some(seen.services_released),
        says: |found| {
            format!(
                "the SDKs of missing agents of {} services have stopped polling",
                found.value
            )
        },
        ..fleet("WeirAgentsReleased", 2)
    },
    Rule {
        holds: |seen| match seen.intervals_ahead > 1 && seen.late_seconds > 0.0 {
            true => of(Some(seen.late_seconds)),
            false => Vec::new(),
        },
        says: |found| {
            format!(
                "agents report {} s late; plans look further ahead",
                said(found.value)
            )
        },
        ..fleet("WeirAgentsLate", 15)
    },
    Rule {
        holds: |seen| some(seen.claims),
        says: |found| format!("{} counts that were reported are not believed", found.value),
        stays: 15,
        ..fleet("WeirClaimsHeldApart", 0)
    },
    Rule {
        holds: |seen| some(seen.minting),
        says: |found| {
            format!(
                "{} services report operations that never come back",
                found.value
            )
        },
        ..fleet("WeirNamesMinted", 15)
    },
    Rule {
        holds: |seen| some(seen.not_applying),
        says: |found| {
            format!(
                "{} services sample everything, although they are served less",
                found.value
            )
        },
        ..fleet("WeirStrategyNotApplied", 10)
    },
    Rule {
        holds: |seen| some(seen.waiting_for_edges),
        says: |found| {
            format!(
                "{} services are set to tail, and no edge decides about them",
                found.value
            )
        },
        ..fleet("WeirTailWaiting", 10)
    },
    Rule {
        holds: |seen| match seen.plan_stale {
            true => of(Some(seen.plan_age_seconds)),
            false => Vec::new(),
        },
        says: |found| format!("the plan that is served is {} s old", found.value.round()),
        ..replica("WeirPlanStale", Severity::Page, 2)
    },
    Rule {
        holds: |seen| when(seen.plan_unreadable),
        says: |_| "the current plan cannot be read; the newest that can be is served".into(),
        ..replica("WeirPlanUnreadable", Severity::Page, 3)
    },
    Rule {
        holds: |seen| {
            let offset = seen.clock_offset_seconds;
            above(offset.abs(), CLOCK_OFFSET_SECONDS, offset)
        },
        says: |found| {
            format!(
                "this machine's clock differs by {} s from the database's",
                said(found.value)
            )
        },
        ..replica("WeirClockOffset", Severity::Warn, 5)
    },
    Rule {
        holds: |seen| when(seen.oidc_keys_failing),
        says: |_| {
            "the keys of the provider of OpenID Connect cannot be read; nobody can sign in".into()
        },
        ..replica("WeirOidcKeysUnread", Severity::Warn, 10)
    },
    Rule {
        holds: |seen| when(!seen.database_available),
        says: |_| {
            "the database does not answer; the last plan is served, and agents send their reports again".into()
        },
        ..replica("WeirDatabaseUnavailable", Severity::Page, 1)
    },
    Rule {
        holds: |seen| when(!seen.database_sound),
        says: |_| "the database lacks a table, a key or a right; nothing is written".into(),
        ..replica("WeirDatabaseUnsound", Severity::Page, 1)
    },
];

/// An alert about the fleet that nobody is woken for. Its figures say what it holds of.
const fn fleet(name: &'static str, intervals: u32) -> Rule {
    Rule {
        name,
        severity: Severity::Warn,
        about: About::Fleet,
        intervals,
        stays: 0,
        holds: |_| Vec::new(),
        says: |_| String::new(),
    }
}

/// An alert about one replica.
const fn replica(name: &'static str, severity: Severity, intervals: u32) -> Rule {
    Rule {
        severity,
        about: About::Replica,
        ..fleet(name, intervals)
    }
}

fn of(value: Option<f64>) -> Vec<Found> {
    let found = |value| Found {
        subject: None,
        value,
    };
    value.map(found).into_iter().collect()
}

fn above(value: f64, bound: f64, shown: f64) -> Vec<Found> {
    of((value > bound).then_some(shown))
}

fn some(count: usize) -> Vec<Found> {
    of((count > 0).then_some(count as f64))
}

fn when(holds: bool) -> Vec<Found> {
    of(holds.then_some(1.0))
}
