//! The part of a stored plan about the whole fleet.

use serde::{Deserialize, Serialize};

use crate::allocation::{Figures, FleetPlan, Hold, Trim};
use crate::store::varint::Damage;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fleet {
    budget: f64,
    offered: f64,
    expected_sampled: f64,
    observed_offered: f64,
    observed_sampled: f64,
    pub(super) level: f64,
    completeness: f64,
    covered: f64,
    hold: u8,
    unseen_reserve: f64,
    unseen_sampled: f64,
    default_probability: f64,
    missing: f64,
    trend: f64,
    trend_before: f64,
    forecast_offered: f64,
}

/// Added in version 3: how well the plan serves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Judged {
    due_sampled: f64,
    coverage: f64,
    fairness: f64,
    changed: f64,
}

/// Added in version 4: how the budget was trimmed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Trimmed {
    factor: f64,
    /// Release 0.1.0 smoothed what was sampled here. It begins anew from 0.
    smoothed: f64,
    rest_windows: u32,
}

pub(super) fn fleet_columns(fleet: &FleetPlan) -> Fleet {
    Fleet {
        budget: fleet.budget,
        offered: fleet.offered,
        expected_sampled: fleet.expected_sampled,
        observed_offered: fleet.observed_offered,
        observed_sampled: fleet.observed_sampled,
        level: fleet.level,
        completeness: fleet.completeness,
        covered: fleet.covered,
        hold: hold_code(fleet.hold),
        unseen_reserve: fleet.unseen_reserve,
        unseen_sampled: fleet.unseen_sampled,
        default_probability: fleet.default_probability,
        missing: fleet.missing,
        trend: fleet.trend,
        trend_before: fleet.trend_before,
        forecast_offered: fleet.forecast_offered,
    }
}

pub(super) fn fleet(fleet: &Fleet) -> Result<FleetPlan, Damage> {
    Ok(FleetPlan {
        budget: fleet.budget,
        offered: fleet.offered,
        expected_sampled: fleet.expected_sampled,
        observed_offered: fleet.observed_offered,
        observed_sampled: fleet.observed_sampled,
        level: fleet.level,
        completeness: fleet.completeness,
        covered: fleet.covered,
        hold: hold(fleet.hold)?,
        unseen_reserve: fleet.unseen_reserve,
        unseen_sampled: fleet.unseen_sampled,
        default_probability: fleet.default_probability,
        missing: fleet.missing,
        trend: fleet.trend,
        trend_before: fleet.trend_before,
        forecast_offered: fleet.forecast_offered,
        ..FleetPlan::default()
    })
}

pub(super) fn judged(figures: &Figures) -> Judged {
    Judged {
        due_sampled: figures.due_sampled,
        coverage: figures.coverage,
        fairness: figures.fairness,
        changed: figures.changed,
    }
}

pub(super) fn figures(judged: &Judged) -> Figures {
    Figures {
        due_sampled: judged.due_sampled,
        coverage: judged.coverage,
        fairness: judged.fairness,
        changed: judged.changed,
    }
}

pub(super) fn trimmed(trim: &Trim) -> Trimmed {
    Trimmed {
        factor: trim.factor,
        smoothed: 0.0,
        rest_windows: trim.rest_windows,
    }
}

pub(super) fn trim(trimmed: &Trimmed) -> Trim {
    Trim {
        factor: trimmed.factor,
        rest_windows: trimmed.rest_windows,
        balance: trimmed.factor,
        ..Trim::default()
    }
}

fn hold_code(hold: Hold) -> u8 {
    match hold {
        Hold::None => 0,
        Hold::CutsOnly => 1,
        Hold::Frozen => 2,
    }
}

fn hold(code: u8) -> Result<Hold, Damage> {
    match code {
        0 => Ok(Hold::None),
        1 => Ok(Hold::CutsOnly),
        2 => Ok(Hold::Frozen),
        _ => Err(Damage::OutOfRange),
    }
}
