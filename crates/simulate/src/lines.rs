//! The intervals of a run as programs read them: lines of a CSV file, or of JSON.

use serde::Serialize;

use super::verdict::{Interval, Verdict};

/// A run to write down.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its intervals.
    pub intervals: &'a [Interval],
    /// Its budget, in traces per second.
    pub budget: f64,
    /// Its verdict, if there is one.
    pub verdict: Option<&'a Verdict>,
}

/// An interval of a run.
///
/// # Units
/// Errors and allowances are parts of the budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntervalLine {
    /// Its number, from 1 on.
    pub interval: usize,
    /// The recorded row where it began.
    pub recorded: String,
    /// Its length.
    pub seconds: f64,
    /// Root requests.
    pub offered: u64,
    /// Sampled traces.
    pub sampled: u64,
    /// The mean of what the probabilities would sample.
    pub expected_sampled: f64,
    /// The same of the reference controller.
    pub reference_expected_sampled: f64,
    /// One standard deviation of sampling noise, in traces.
    pub sampling_deviation: f64,
    /// The budget in force.
    pub budget_traces_per_second: f64,
    /// The sampled rate.
    pub sampled_traces_per_second: f64,
    /// How far the sampled rate is from the target.
    pub error: f64,
    /// The error that the verdict allows.
    pub allowance: Option<f64>,
}

impl Run<'_> {
    /// The intervals, one after the other.
    pub fn lines(&self) -> impl Iterator<Item = IntervalLine> {
        let intervals = self.intervals.iter().enumerate();
        intervals.map(|(number, interval)| self.line(number, interval))
    }

    fn line(&self, number: usize, interval: &Interval) -> IntervalLine {
        let tally = &interval.tally;
        let allowance = |verdict: &Verdict| places(verdict.allowances[number], 5);
        IntervalLine {
            interval: number + 1,
            recorded: interval.label.clone(),
            seconds: interval.seconds,
            offered: tally.offered,
            sampled: tally.served.count,
            expected_sampled: places(tally.served.expected, 3),
            reference_expected_sampled: places(tally.reference.expected, 3),
            sampling_deviation: places(tally.served.variance.sqrt(), 3),
            budget_traces_per_second: interval.budget(self.budget),
            sampled_traces_per_second: places(interval.sampled(), 3),
            error: places(interval.error(self.budget), 5),
            allowance: self.verdict.map(allowance),
        }
    }
}

/// A number with a fixed count of decimal places.
fn places(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// Writes every interval of some runs as a line of CSV, one run after the other.
///
/// # Errors
/// If the writer fails.
pub fn write_csv<'a>(
    to: impl std::io::Write,
    runs: impl IntoIterator<Item = Run<'a>>,
) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(to);
    for run in runs {
        for line in run.lines() {
            writer.serialize(line)?;
        }
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};

    #[test]
    fn the_csv_has_a_line_per_interval_in_columns_with_names() {
        let interval = Interval {
            label: "480".into(),
            seconds: 2.0,
            budget_factor: 1.0,
            tally: Tally {
                offered: 6000,
                served: Sampled {
                    count: 104,
                    expected: 102.0,
                    variance: 100.0,
                },
                reference: Sampled {
                    count: 99,
                    expected: 101.0,
                    variance: 99.0,
                },
            },
        };
        let run = Run {
            intervals: &[interval.clone(), interval],
            budget: 50.0,
            verdict: None,
        };
        let mut bytes = Vec::new();
        write_csv(&mut bytes, [run]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("interval,recorded,seconds,offered,sampled,expected_sampled,"));
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line, "1,480,2.0,6000,104,102.0,101.0,10.0,50.0,52.0,0.04,");
    }
}
