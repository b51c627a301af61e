//! Shows a run's progress: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::say;
use crate::simulate::Interval;

/// The number of lines over a whole run, if standard error is not a terminal.
const LINES: usize = 10;

/// Shows the progress and the last interval's figures on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    intervals: usize,
    budget: f64,
}

impl Progress {
    pub(super) fn new(intervals: usize, budget: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:16} {pos} of {len}, {eta} left  {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(intervals as u64).with_style(style)
        });
        Self {
            bar,
            intervals,
            budget,
        }
    }

    pub(super) fn show(&self, number: usize, interval: &Interval) {
        let message = format!(
            "kept {:.1} of {} traces/s ({:+.1} %), {:.0} offered",
            interval.sampled(),
            self.budget,
            100.0 * interval.error(self.budget),
            interval.offered(),
        );
        let done = number + 1;
        match &self.bar {
            Some(bar) => {
                bar.set_position(done as u64);
                bar.set_message(message);
            }
            None if done.is_multiple_of(self.intervals.div_ceil(LINES)) => {
                say(&format!("interval {done} of {}: {message}", self.intervals));
            }
            None => {}
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
