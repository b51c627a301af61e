//! The intervals of a run as a table: all of them, or the first, the worst and the last.

use std::ops::Range;

use weir_terminal::{BAD, BOLD, Table};

use crate::lines::Run;
use crate::verdict::{Interval, Verdict};

/// Up to this many intervals are shown in full.
const SHOWN_IN_FULL: usize = 30;
/// Of more, this many of the first, the worst and the last.
const SHOWN_OF_EACH: usize = 5;
/// The most characters of a row's name.
const LABEL: usize = 16;

/// The table.
#[must_use]
pub fn intervals(run: &Run<'_>) -> Table {
    let mut shown = Table::new(&[
        ">interval",
        "recorded",
        ">offered/s",
        ">sampled/s",
        ">error",
        ">allowance",
        ">reference",
        ">budget",
    ]);
    let count = run.intervals.len();
    if count <= SHOWN_IN_FULL {
        add(&mut shown, run, 0..count);
    } else {
        let middle = SHOWN_OF_EACH..count - SHOWN_OF_EACH;
        add(&mut shown, run, 0..middle.start);
        shown.between(format!(
            "the {SHOWN_OF_EACH} worst of {} between:",
            middle.len()
        ));
        add(&mut shown, run, worst(run, middle.clone()));
        shown.between(format!("the last {SHOWN_OF_EACH}:"));
        add(&mut shown, run, middle.end..count);
    }
    totals(&mut shown, run);
    shown
}

fn add(shown: &mut Table, run: &Run<'_>, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let interval = &run.intervals[number];
        let error = interval.error(run.budget);
        let (allowance, missed) = match run.verdict {
            None => ("–".to_owned(), false),
            Some(verdict) if number < verdict.warm_up => ("warm-up".to_owned(), false),
            Some(Verdict { allowances, .. }) => {
                let allowed = allowances[number];
                (format!("±{:.1} %", 100.0 * allowed), error.abs() > allowed)
            }
        };
        let style = if missed { BAD } else { anstyle::Style::new() };
        shown.styled(
            style,
            [
                (number + 1).to_string(),
                interval.label.chars().take(LABEL).collect(),
                format!("{:.1}", interval.offered()),
                format!("{:.1}", interval.sampled()),
                format!("{:+.1} %", 100.0 * error),
                allowance,
                format!("{:.1}", interval.reference()),
                format!("{:.1}", interval.budget(run.budget)),
            ],
        );
    }
}

/// The indexes of the largest errors, in order of time.
fn worst(run: &Run<'_>, among: Range<usize>) -> Vec<usize> {
    let error = |number: &usize| run.intervals[*number].error(run.budget).abs();
    let mut places: Vec<usize> = among.collect();
    places.sort_by(|a, b| error(b).total_cmp(&error(a)));
    places.truncate(SHOWN_OF_EACH);
    places.sort_unstable();
    places
}

fn totals(shown: &mut Table, run: &Run<'_>) {
    let seconds: f64 = run.intervals.iter().map(|interval| interval.seconds).sum();
    if seconds <= 0.0 {
        return;
    }
    let sum = |of: fn(&Interval) -> f64| run.intervals.iter().map(of).sum::<f64>() / seconds;
    shown.styled(
        BOLD,
        [
            "all".into(),
            format!("{seconds:.0} s"),
            format!("{:.1}", sum(|it| it.tally.offered as f64)),
            format!("{:.1}", sum(|it| it.tally.served.count as f64)),
            String::new(),
            String::new(),
            format!("{:.1}", sum(|it| it.tally.reference.expected)),
            format!("{:.1}", run.budget),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};
    use crate::wire::WireTally;

    fn run(count: usize) -> Vec<Interval> {
        let of = |count: u64| Sampled {
            count,
            expected: 102.0,
            variance: 100.0,
        };
        (0..count)
            .map(|number| Interval {
                label: format!("2019-07-01 00:{number:02}"),
                seconds: 2.0,
                budget_factor: 1.0,
                tally: Tally {
                    offered: 1_234_567,
                    served: of(if number == 20 { 170 } else { 104 }),
                    reference: of(99),
                },
            })
            .collect()
    }

    fn lines(intervals: &[Interval]) -> Vec<String> {
        let verdict = Verdict::of(intervals, &WireTally::default(), 50.0, 2);
        let shown = super::intervals(&Run {
            intervals,
            budget: 50.0,
            verdict: verdict.as_ref(),
        });
        shown.lines(80)
    }

    #[test]
    fn a_short_run_is_shown_whole_within_80_columns() {
        let lines = lines(&run(8));
        assert_eq!(lines.len(), 1 + 8 + 1 + 1, "{lines:#?}");
        assert!(lines[9].contains("all"), "{lines:#?}");
        assert!(lines[10].starts_with("(no room for: budget"), "{lines:#?}");
        for line in lines {
            assert!(weir_terminal::plain_width(&line) <= 80, "{line}");
        }
    }

    #[test]
    fn a_long_run_shows_its_worst_and_marks_what_missed() {
        let lines = lines(&run(60));
        let worst = lines.iter().find(|line| line.contains("+70.0 %"));
        let worst = worst.expect("is shown");
        assert!(
            worst.contains("00:20") && worst.starts_with(&BAD.to_string()),
            "{worst}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line == "the 5 worst of 50 between:")
        );
    }
}
