//! Whether the counts of a window were in when its plan was made. A plan's figures of what was seen are of those that were.

use serde::Deserialize;

use crate::store::PlanRow;

/// The least part of the usual traffic whose agents are not missing, and the least part of the window that was in.
const COMPLETENESS_LEAST: f64 = 0.9;
const COVERED_LEAST: f64 = 0.5;

/// How much of a window was in, as its plan says.
#[derive(Deserialize)]
pub(super) struct Heard {
    completeness: f64,
    window_covered: f64,
}

impl Heard {
    /// What a plan says; none if it cannot be read.
    fn of(plan: &PlanRow) -> Option<Self> {
        serde_json::from_str(&plan.summary).ok()
    }

    /// Whether a plan's window can be compared with others.
    pub(super) fn is_enough(plan: &PlanRow) -> bool {
        Self::of(plan).is_some_and(|of| {
            of.completeness >= COMPLETENESS_LEAST && of.window_covered >= COVERED_LEAST
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::compared;
    use super::*;
    use crate::allocation::{Timestamp, Window};

    fn plan((number, (completeness, covered)): (u64, (f64, f64))) -> PlanRow {
        let start = number as i64 * 60_000;
        let summary =
            serde_json::json!({ "completeness": completeness, "window_covered": covered });
        PlanRow {
            number,
            window: Window {
                start: Timestamp(start),
                end: Timestamp(start + 60_000),
            },
            configuration_revision: 1,
            published_at: DateTime::from_timestamp_millis(start + 66_000).expect("a time"),
            summary: summary.to_string(),
        }
    }

    fn numbers(said: &[(f64, f64)]) -> Vec<u64> {
        let plans: Vec<PlanRow> = (0..).zip(said.iter().copied()).map(plan).collect();
        compared(&plans).iter().map(|of| of.number).collect()
    }

    #[test]
    fn windows_whose_counts_were_missing_are_passed_over() {
        let (whole, none, late) = ((1.0, 1.0), (1.0, 0.0), (1.0, 0.8));
        assert_eq!(numbers(&[whole; 5]), [0, 1, 2]);
        assert_eq!(
            numbers(&[none, none, whole, (0.4, 1.0), late, whole]),
            [2, 4, 5]
        );
        let silent = [none; 40];
        assert_eq!(numbers(&silent), [0_u64; 0]);
        let back = [&silent[..11], &[whole; 9]].concat();
        assert_eq!(numbers(&back), [11, 12], "it is not waited for ever");
        let unreadable = PlanRow {
            summary: String::new(),
            ..plan((1, whole))
        };
        assert!(!Heard::is_enough(&unreadable));
    }
}
