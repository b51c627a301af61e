//! Shows a run in a terminal, and writes it to a CSV file.

use std::fmt::Write;

use super::verdict::Verdict;
use super::verdict::{Check, DEVIATIONS, Interval, ONE_MISS_IN, REFERENCE_FACTOR, SLACK};
use super::wire::WireTally;

/// Up to this many intervals are shown in full.
const SHOWN_IN_FULL: usize = 30;
/// Of more, this many of the first, the worst and the last.
const SHOWN_OF_EACH: usize = 5;

/// The intervals as lines of text: all of them, or the first, the worst and the last.
#[must_use]
pub fn intervals(intervals: &[Interval], budget: f64, verdict: Option<&Verdict>) -> String {
    let mut text = format!(
        "{:>9}  {:>16}  {:>12}  {:>8}  {:>9}  {:>9}  {:>8}  {:>10}\n",
        "interval",
        "recorded",
        "offered/s",
        "budget",
        "sampled/s",
        "reference",
        "error",
        "allowance"
    );
    let line = |text: &mut String, number: usize| {
        let interval = &intervals[number];
        let allowance = verdict.map_or("-".to_owned(), |verdict| match number < verdict.warm_up {
            true => "warm-up".to_owned(),
            false => format!("±{:.1} %", 100.0 * verdict.allowances[number]),
        });
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>9}  {:>16}  {:>12.1}  {:>8.1}  {:>9.1}  {:>9.1}  {:>+6.1} %  {allowance:>10}",
            number + 1,
            shortened(&interval.label),
            interval.offered(),
            interval.budget(budget),
            interval.sampled(),
            interval.reference(),
            100.0 * interval.error(budget),
        );
    };
    if intervals.len() <= SHOWN_IN_FULL {
        (0..intervals.len()).for_each(|number| line(&mut text, number));
    } else {
        let last = intervals.len() - SHOWN_OF_EACH;
        let middle = SHOWN_OF_EACH..last;
        (0..SHOWN_OF_EACH).for_each(|number| line(&mut text, number));
        let _ = writeln!(
            text,
            "{:>9}  the {SHOWN_OF_EACH} worst of {} between:",
            "",
            middle.len()
        );
        worst(intervals, middle, budget).for_each(|number| line(&mut text, number));
        let _ = writeln!(text, "{:>9}  the last {SHOWN_OF_EACH}:", "");
        (last..intervals.len()).for_each(|number| line(&mut text, number));
    }
    totals(&mut text, intervals, budget);
    text
}

/// The indexes of the largest errors, in order of time.
fn worst(
    intervals: &[Interval],
    among: std::ops::Range<usize>,
    budget: f64,
) -> impl Iterator<Item = usize> {
    let error = |number: &usize| intervals[*number].error(budget).abs();
    let mut places: Vec<usize> = among.collect();
    places.sort_by(|a, b| error(b).total_cmp(&error(a)));
    places.truncate(SHOWN_OF_EACH);
    places.sort_unstable();
    places.into_iter()
}

fn totals(text: &mut String, intervals: &[Interval], budget: f64) {
    let seconds: f64 = intervals.iter().map(|interval| interval.seconds).sum();
    if seconds <= 0.0 {
        return;
    }
    let offered: u64 = intervals.iter().map(|i| i.tally.offered).sum();
    let sampled: u64 = intervals.iter().map(|i| i.tally.served.count).sum();
    let reference: f64 = intervals.iter().map(|i| i.tally.reference.expected).sum();
    let _ = writeln!(
        text,
        "{:>9}  {:>16}  {:>12.1}  {budget:>8.1}  {:>9.1}  {:>9.1}   ({offered} offered, {sampled} sampled in {seconds:.0} s)",
        "all",
        "",
        offered as f64 / seconds,
        sampled as f64 / seconds,
        reference / seconds,
    );
}

/// The judgement, its figures, and the criterion it followed.
#[must_use]
pub fn verdict(verdict: &Verdict) -> String {
    let percent = |part: f64| format!("{:.2} %", 100.0 * part);
    let signed = |part: f64| format!("{:+.2} %", 100.0 * part);
    let mut text = format!("{:<34}{:>12}{:>12}\n", "of the budget", "Weir", "reference");
    for (what, ours, theirs) in [
        (
            "mean |error|",
            percent(verdict.served.absolute),
            percent(verdict.reference.absolute),
        ),
        (
            "mean |error| without sampling noise",
            percent(verdict.served.systematic),
            percent(verdict.reference.systematic),
        ),
        (
            "bias",
            signed(verdict.served.bias),
            signed(verdict.reference.bias),
        ),
    ] {
        let _ = writeln!(text, "{what:<35}{ours:>11}{theirs:>12}");
    }
    let within = verdict.judged as f64 - verdict.misses.measured;
    let _ = writeln!(
        text,
        "intervals within their allowance   {within} of {} ({:.1} %)\n",
        verdict.judged,
        100.0 * within / verdict.judged as f64
    );
    criterion(&mut text, verdict);
    text
}

fn criterion(text: &mut String, verdict: &Verdict) {
    let slack = 100.0 * SLACK;
    let share = |check: Check| {
        format!(
            "{:.2} % ≤ {:.2} %",
            100.0 * check.measured,
            100.0 * check.allowed
        )
    };
    let lines = [
        (
            verdict.tracking.holds(),
            "tracking",
            share(verdict.tracking),
            format!(
                "mean |error| without sampling noise ≤ {REFERENCE_FACTOR} × reference + {slack} %"
            ),
        ),
        (
            verdict.bias.holds(),
            "bias",
            share(verdict.bias),
            format!(
                "|bias| ≤ |reference's| + {slack} % + {DEVIATIONS} standard errors of sampling noise"
            ),
        ),
        (
            verdict.misses.holds(),
            "intervals",
            format!(
                "{} missed ≤ {}",
                verdict.misses.measured, verdict.misses.allowed
            ),
            format!(
                "|error| ≤ reference's (this interval or the last) + {slack} % + {DEVIATIONS} σ, but for one in {ONE_MISS_IN}"
            ),
        ),
        (
            verdict.protocol,
            "protocol",
            if verdict.protocol { "met" } else { "broken" }.to_owned(),
            "every strategy usable by every client, every request reported exactly once".to_owned(),
        ),
    ];
    for (holds, name, figures, rule) in lines {
        let mark = if holds { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{mark}  {name:<10} {figures:<20} {rule}");
    }
    let _ = writeln!(
        text,
        "\n{}: judged on {} intervals after a warm-up of {}",
        if verdict.passes() { "PASS" } else { "FAIL" },
        verdict.judged,
        verdict.warm_up
    );
}

/// The requests and answers of a run, and what went wrong.
#[must_use]
pub fn wire(wire: &WireTally) -> String {
    let mut text = format!(
        "{} polls answered, {} failed; {} reports counted ({} sent again, {} known already), {} refused\n",
        wire.polls_answered,
        wire.polls_failed,
        wire.reports_counted,
        wire.reports_unanswered,
        wire.reports_duplicate,
        wire.reports_rejected,
    );
    let trouble = [
        ("first unusable strategy", &wire.first_violation),
        ("last failed poll", &wire.last_poll_failure),
        ("last report sent again", &wire.last_report_failure),
        ("first refused report", &wire.first_rejection),
    ];
    for (what, why) in trouble {
        if let Some(why) = why {
            let _ = writeln!(text, "{what}: {why}");
        }
    }
    if wire.offered != wire.offered_reported {
        let _ = writeln!(
            text,
            "{} requests offered, but {} in acknowledged reports",
            wire.offered, wire.offered_reported
        );
    }
    text
}

/// Writes every interval as a line of CSV.
///
/// # Errors
/// If the writer fails.
pub fn write_csv(
    to: impl std::io::Write,
    intervals: &[Interval],
    budget: f64,
    verdict: Option<&Verdict>,
) -> Result<(), csv::Error> {
    let run = Run {
        intervals,
        budget,
        verdict,
    };
    write_runs(to, std::iter::once(run))
}

/// A run to write.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its intervals.
    pub intervals: &'a [Interval],
    /// Its budget, in traces per second.
    pub budget: f64,
    /// Its verdict, if there is one.
    pub verdict: Option<&'a Verdict>,
}

/// Writes every interval of some runs as a line of CSV, one run after the other.
///
/// # Errors
/// If the writer fails.
pub fn write_runs<'a>(
    to: impl std::io::Write,
    runs: impl Iterator<Item = Run<'a>>,
) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record([
        "interval",
        "recorded",
        "seconds",
        "offered",
        "sampled",
        "expected_sampled",
        "reference_expected_sampled",
        "sampling_deviation",
        "budget_traces_per_second",
        "sampled_traces_per_second",
        "error",
        "allowance",
    ])?;
    for run in runs {
        for (number, interval) in run.intervals.iter().enumerate() {
            writer.write_record(run.line(number, interval))?;
        }
    }
    writer.flush()?;
    Ok(())
}

impl Run<'_> {
    fn line(&self, number: usize, interval: &Interval) -> [String; 12] {
        let tally = &interval.tally;
        let allowance = |verdict: &Verdict| format!("{:.5}", verdict.allowances[number]);
        [
            (number + 1).to_string(),
            interval.label.clone(),
            interval.seconds.to_string(),
            tally.offered.to_string(),
            tally.served.count.to_string(),
            format!("{:.3}", tally.served.expected),
            format!("{:.3}", tally.reference.expected),
            format!("{:.3}", tally.served.variance.sqrt()),
            interval.budget(self.budget).to_string(),
            format!("{:.3}", interval.sampled()),
            format!("{:.5}", interval.error(self.budget)),
            self.verdict.map_or(String::new(), allowance),
        ]
    }
}

/// A label shortened to its column.
fn shortened(label: &str) -> String {
    label.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};

    fn run(count: usize) -> Vec<Interval> {
        (0..count)
            .map(|number| Interval {
                label: format!("{}", 480 + number),
                seconds: 2.0,
                budget_factor: 1.0,
                tally: Tally {
                    offered: 6000,
                    served: Sampled {
                        count: if number == 20 { 170 } else { 104 },
                        expected: 102.0,
                        variance: 100.0,
                    },
                    reference: Sampled {
                        count: 99,
                        expected: 101.0,
                        variance: 99.0,
                    },
                },
            })
            .collect()
    }

    #[test]
    fn a_short_run_is_shown_whole() {
        let run = run(8);
        let text = intervals(&run, 50.0, None);
        assert_eq!(text.lines().count(), 1 + 8 + 1, "{text}");
        assert!(text.contains("all"), "{text}");
    }

    #[test]
    fn a_long_run_shows_its_worst() {
        let run = run(60);
        let judged = Verdict::of(&run, &WireTally::default(), 50.0, 2);
        let text = intervals(&run, 50.0, judged.as_ref());
        assert_eq!(text.lines().count(), 1 + 15 + 2 + 1, "{text}");
        let worst = text
            .lines()
            .find(|line| line.contains("+70.0 %"))
            .expect("is shown");
        assert!(worst.contains("500"), "{worst}");
    }

    #[test]
    fn the_verdict_states_its_criterion() {
        let run = run(30);
        let judged = Verdict::of(&run, &WireTally::default(), 50.0, 2).unwrap();
        let text = verdict(&judged);
        assert!(text.contains("PASS: judged on 28 intervals"), "{text}");
        assert!(text.contains("1.25 × reference + 2 %"), "{text}");
    }

    #[test]
    fn the_csv_has_a_line_per_interval() {
        let mut bytes = Vec::new();
        write_csv(&mut bytes, &run(3), 50.0, None).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 4);
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line,
            "1,480,2,6000,104,102.000,101.000,10.000,50,52.000,0.04000,"
        );
    }
}
