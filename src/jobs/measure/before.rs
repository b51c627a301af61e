//! The windows before a change.

use super::heard::Heard;
use super::{WINDOWS, acts_from};
use crate::allocation::Timestamp;
use crate::store::PlanRow;

/// The windows before a change.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The last that had ended, oldest first. SDKs held plans of one revision in all of them; there may be none.
    pub windows: Vec<PlanRow>,
    /// The end of the window whose plan SDKs held when the first of them began: they show what came until then.
    /// Without windows, that of the last plan before the change.
    pub since: Option<Timestamp>,
}

impl Before {
    /// The windows before a change, of the plans before it, oldest first.
    pub(super) fn of(earlier: &[PlanRow], changed_at: i64) -> Self {
        let Some(last) = earlier.last() else {
            return Self::default();
        };
        let alike = |of: &&PlanRow| of.configuration_revision == last.configuration_revision;
        let of_one: Vec<&PlanRow> = earlier.iter().filter(alike).collect();
        let shows = |of: &&&PlanRow| {
            of.window.start.0 >= acts_from(of_one[0]) && of.window.end.0 <= changed_at
        };
        let heard = of_one
            .iter()
            .filter(shows)
            .filter(|of| Heard::is_enough(of));
        let last = heard.rev().take(WINDOWS);
        let mut windows: Vec<PlanRow> = last.map(|of| (*of).clone()).collect();
        windows.reverse();
        let held = |first: &PlanRow| {
            let mut held = of_one.iter().rev();
            held.find(|of| acts_from(of) <= first.window.start.0)
        };
        let newest = windows.first().and_then(held).or(of_one.last());
        let since = newest.map(|of| of.window.end);
        Self { windows, since }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::allocation::Window;

    const INTERVAL: i64 = 60_000;

    /// The plan of a window, which is published six seconds after it.
    fn plan(number: u64, configuration_revision: u64) -> PlanRow {
        let start = number as i64 * INTERVAL;
        let published = start + INTERVAL + 6_000;
        PlanRow {
            number,
            window: Window {
                start: Timestamp(start),
                end: Timestamp(start + INTERVAL),
            },
            configuration_revision,
            published_at: DateTime::from_timestamp_millis(published).expect("a time"),
            summary: r#"{"completeness":1.0,"window_covered":1.0}"#.into(),
        }
    }

    fn found(revisions: &[u64], changed_at: i64) -> (Vec<u64>, Option<i64>) {
        let plans = (0..).zip(revisions);
        let plans: Vec<PlanRow> = plans.map(|(number, of)| plan(number, *of)).collect();
        let before = Before::of(&plans, changed_at);
        let numbers = before.windows.iter().map(|of| of.number).collect();
        (numbers, before.since.map(|since| since.0 / INTERVAL))
    }

    /// The plan of window 0 acts in full at 126 s, so in window 3 as the first.
    #[test]
    fn the_windows_before_show_one_revision_alone() {
        let end = |number: i64| (number + 1) * INTERVAL;
        assert_eq!(found(&[1; 7], end(6)), (vec![4, 5, 6], Some(2)));
        assert_eq!(found(&[1; 7], end(6) - 1), (vec![3, 4, 5], Some(1)));
        assert_eq!(found(&[1, 1, 2, 2, 2, 2], end(5)), (vec![5], Some(3)));
        assert_eq!(found(&[1, 1, 1, 2, 2, 2], end(5)), (vec![], Some(6)));
        assert_eq!(found(&[], end(5)), (vec![], None));
    }
}
