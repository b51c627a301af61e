//! Axes of time and of rates, and the resolution of long runs.

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::course::Course;
use super::ticks::{Tick, dated, elapsed};
use super::{Drawn, FAINT, FONT, GRID, INK};
use crate::verdict::Interval;

/// With more intervals than this, the curves would be solid areas. They are drawn in this many
/// steps instead, each with its mean and its range.
const STEPS: usize = 480;

/// The axis of time: dates where the recording has them, else the time since its start in a unit that
/// suits the length of the run.
pub(super) struct Time {
    pub end: f64,
    /// What the axis shows.
    pub title: String,
    pub ticks: Vec<Tick>,
    scale: f64,
    /// Intervals that are drawn as one point.
    step: usize,
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub at: f64,
    pub least: f64,
    pub mean: f64,
    pub most: f64,
}

impl Time {
    pub fn of(intervals: &[Interval]) -> Self {
        let total: f64 = intervals.iter().map(|interval| interval.seconds).sum();
        let (scale, unit) = match total {
            ..=600.0 => (1.0, "s"),
            ..=36_000.0 => (60.0, "min"),
            ..=432_000.0 => (3600.0, "h"),
            _ => (86_400.0, "days"),
        };
        let end = total / scale;
        let (ticks, title) = match dated(intervals, end) {
            Some(dated) => dated,
            None => (elapsed(end), format!("time since the start ({unit})")),
        };
        Self {
            end,
            title,
            ticks,
            scale,
            step: if intervals.len() > 2 * STEPS {
                intervals.len().div_ceil(STEPS)
            } else {
                1
            },
        }
    }

    /// The scale that charts are drawn on.
    pub fn course(&self) -> Course {
        Course {
            end: self.end,
            ticks: self.ticks.iter().map(|tick| tick.at).collect(),
        }
    }

    /// Where an interval begins, as a part of the axis.
    pub fn part(&self, intervals: &[Interval], interval: usize) -> f64 {
        let before = &intervals[..interval.min(intervals.len())];
        let seconds: f64 = before.iter().map(|interval| interval.seconds).sum();
        seconds / self.scale / self.end
    }

    fn label(&self, at: f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.at == at);
        tick.map_or(String::new(), |tick| tick.label.clone())
    }

    /// Whether a point covers more than one interval.
    pub fn is_stepped(&self) -> bool {
        self.step > 1
    }

    /// A rate as points, each in the middle of its intervals.
    pub fn points(&self, intervals: &[Interval], of: impl Fn(&Interval) -> f64) -> Vec<Point> {
        let mut begin = 0.0;
        let point = |step: &[Interval]| {
            let seconds: f64 = step.iter().map(|interval| interval.seconds).sum();
            let at = (begin + seconds / 2.0) / self.scale;
            begin += seconds;
            let rates = || step.iter().map(&of);
            Point {
                at,
                least: rates().fold(f64::INFINITY, f64::min),
                mean: rates().sum::<f64>() / step.len() as f64,
                most: rates().fold(f64::NEG_INFINITY, f64::max),
            }
        };
        intervals.chunks(self.step).map(point).collect()
    }

    /// The means of a rate.
    pub fn curve(&self, intervals: &[Interval], of: impl Fn(&Interval) -> f64) -> Vec<(f64, f64)> {
        let points = self.points(intervals, of).into_iter();
        points.map(|point| (point.at, point.mean)).collect()
    }
}

/// The outline of a rate's range over all steps.
pub(super) fn outline(points: &[Point]) -> Vec<(f64, f64)> {
    let upper = points.iter().map(|point| (point.at, point.most));
    let lower = points.iter().rev().map(|point| (point.at, point.least));
    upper.chain(lower).collect()
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Course, Y>>;

pub(super) fn mesh(chart: &mut Chart<'_, '_, RangedCoordf64>, time: &Time, what: &str) -> Drawn {
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(FAINT)
        .y_labels(7)
        .y_desc(what)
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .y_label_formatter(&|value| number(*value))
        .x_label_formatter(&|value| time.label(*value))
        .draw()?;
    Ok(())
}

pub(super) fn with_time<Y>(chart: &mut Chart<'_, '_, Y>, time: &Time) -> Drawn
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(FAINT)
        .y_labels(4)
        .y_desc("offered/s")
        .x_desc(&time.title)
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .y_label_formatter(&|value| number(*value))
        .x_label_formatter(&|value| time.label(*value))
        .draw()?;
    Ok(())
}

/// A number for an axis: with separated thousands, and only as many decimals as needed.
pub(super) fn number(value: f64) -> String {
    if value.fract().abs() > 1e-9 && value.abs() < 100.0 {
        let places = if value.abs() < 0.1 { 6 } else { 2 };
        let text = format!("{value:.places$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Tally;

    #[test]
    fn numbers_are_short_and_grouped() {
        let texts = [0.0, 0.001, 0.25, 50.0, 1500.0, 1_234_567.0].map(number);
        assert_eq!(texts, ["0", "0.001", "0.25", "50", "1,500", "1,234,567"]);
    }

    fn run(intervals: usize, seconds: f64) -> Vec<Interval> {
        let interval = |number: usize| Interval {
            label: String::new(),
            seconds,
            budget_factor: 1.0,
            tally: Tally {
                offered: number as u64,
                ..Tally::default()
            },
        };
        (0..intervals).map(interval).collect()
    }

    #[test]
    fn the_unit_suits_the_length() {
        for (intervals, unit) in [(10, "s"), (480, "min"), (1440, "h"), (14_400, "days")] {
            let title = Time::of(&run(intervals, 60.0)).title;
            assert_eq!(title, format!("time since the start ({unit})"));
        }
    }

    #[test]
    fn a_long_run_is_drawn_in_steps_that_keep_their_range() {
        let run = run(14_400, 1.0);
        let time = Time::of(&run);
        assert!(time.is_stepped());
        let points = time.points(&run, Interval::offered);
        assert_eq!(points.len(), STEPS);
        assert_eq!(
            (points[0].least, points[0].most, points[0].mean),
            (0.0, 29.0, 14.5)
        );
        assert_eq!(points[479].most, 14_399.0);
        assert!(!Time::of(&run[..900]).is_stepped());
    }
}
