//! A scale from 0 to the end of a run, with ticks where they say something.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// The scale.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub end: f64,
    /// Where its ticks are.
    pub ticks: Vec<f64>,
}

impl Ranged for Course {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = if self.end > 0.0 {
            value / self.end
        } else {
            0.0
        };
        from + (f64::from(to - from) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.end
    }
}

impl ValueFormatter<f64> for Course {}
