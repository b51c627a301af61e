//! Draws a run as SVG: sampled traces against the budget, and the offered rate.

mod axis;
mod compared;
mod course;
mod events;
mod picture;
mod ticks;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::verdict::{Interval, Verdict};

use axis::{Time, mesh, outline, with_time};
use events::Marks;

pub use compared::compared;
pub use events::Event;
pub use picture::accessible;

/// The texts of a plot.
#[derive(Debug, Clone, Default)]
pub struct PlotTexts {
    /// The first line.
    pub title: String,
    /// The second, smaller line.
    pub subtitle: String,
    /// What it shows, for those who do not see it.
    pub description: String,
    /// What happened.
    pub events: Vec<Event>,
}

impl PlotTexts {
    /// Completes a picture.
    fn finish(&self, picture: &str) -> String {
        let mut description = format!("{}. {}", self.subtitle, self.description);
        for event in &self.events {
            description.push_str(&format!(
                " Interval {}: {}.",
                event.interval + 1,
                event.what
            ));
        }
        accessible(picture, &self.title, &description)
    }
}

/// Why the plot could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the plot: {0}")]
pub struct PlotError(String);

const SIZE: (u32, u32) = (1000, 560);
/// Pixels above the curves for the title and the legend.
const HEAD: u32 = 96;
/// Pixels of the lower curve, including its axis.
const FOOT: u32 = 176;
const LEFT: u32 = 76;
const RIGHT: u32 = 24;
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(228, 231, 235);
const SAMPLED: RGBColor = RGBColor(9, 105, 218);
const REFERENCE: RGBColor = RGBColor(227, 98, 9);
const RANGE: RGBColor = RGBColor(182, 211, 245);
const BAND: RGBColor = RGBColor(218, 234, 252);
const OFFERED: RGBColor = RGBColor(110, 119, 129);
const MARK: RGBColor = RGBColor(140, 149, 159);

/// From this ratio of largest to smallest value, the axis of the lower curve is logarithmic.
const LOGARITHMIC_FROM: f64 = 20.0;

/// Draws a run.
///
/// # Errors
/// If there is no interval to draw, or the drawing fails.
pub fn svg(
    texts: &PlotTexts,
    intervals: &[Interval],
    budget: f64,
    verdict: Option<&Verdict>,
) -> Result<String, PlotError> {
    if intervals.is_empty() {
        return Err(PlotError("no interval was played".to_owned()));
    }
    let mut picture = String::new();
    draw(&mut picture, texts, intervals, budget, verdict)
        .map_err(|error| PlotError(error.to_string()))?;
    Ok(texts.finish(&picture))
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(
    picture: &mut String,
    texts: &PlotTexts,
    intervals: &[Interval],
    budget: f64,
    verdict: Option<&Verdict>,
) -> Drawn {
    let root = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let time = Time::of(intervals);
    head(&root, texts, &time, verdict.is_some())?;
    let marks = Marks::of(&texts.events, &time, intervals);
    marks.draw(&root)?;
    let head = HEAD + marks.height();
    let (_, below) = root.split_vertically(head);
    let (upper, lower) = below.split_vertically(SIZE.1 - head - FOOT);
    sampled(&upper, &time, &marks, intervals, budget, verdict)?;
    offered(&lower, &time, &marks, intervals)?;
    root.present()?;
    Ok(())
}

fn titles(root: &Area<'_>, texts: &PlotTexts) -> Drawn {
    let title = (FONT, 22).into_font().style(FontStyle::Bold).color(&INK);
    root.draw(&Text::new(texts.title.clone(), (LEFT as i32, 14), title))?;
    let small = (FONT, 14).into_font().color(&FAINT);
    root.draw(&Text::new(texts.subtitle.clone(), (LEFT as i32, 42), small))?;
    Ok(())
}

fn head(root: &Area<'_>, texts: &PlotTexts, time: &Time, band: bool) -> Drawn {
    titles(root, texts)?;
    let mut left = LEFT as i32;
    let range = time.is_stepped();
    let entries = [
        (true, "sampled", SAMPLED, 2),
        (range, "least to most sampled", RANGE, 10),
        (
            true,
            "reference: exact counts, one interval late",
            REFERENCE,
            1,
        ),
        (true, "budget", INK, 2),
        (band && !range, "allowance", BAND, 10),
    ];
    for (_, name, colour, width) in entries.into_iter().filter(|(shown, ..)| *shown) {
        left = legend_entry(root, left, name, &colour, width)?;
    }
    Ok(())
}

/// Draws a swatch and its name; returns where the next one may begin.
fn legend_entry(
    root: &Area<'_>,
    left: i32,
    name: &str,
    colour: &RGBColor,
    width: u32,
) -> Result<i32, Box<dyn std::error::Error>> {
    const TOP: i32 = 76;
    let swatch = vec![(left, TOP), (left + 24, TOP)];
    root.draw(&PathElement::new(swatch, colour.stroke_width(width)))?;
    let style = (FONT, 14)
        .into_font()
        .color(&INK)
        .pos(Pos::new(HPos::Left, VPos::Center));
    root.draw(&Text::new(name.to_owned(), (left + 30, TOP), style))?;
    // At this size a character needs about seven pixels, or six in long names.
    let letters = name.chars().count() as i32;
    Ok(left + 30 + (7 * letters).min(6 * letters + 20) + 22)
}

fn sampled(
    area: &Area<'_>,
    time: &Time,
    marks: &Marks,
    intervals: &[Interval],
    budget: f64,
    verdict: Option<&Verdict>,
) -> Drawn {
    let highest = axis_end(intervals, budget);
    let mut chart = ChartBuilder::on(area)
        .margin_left(12)
        .margin_right(RIGHT)
        .margin_top(4)
        .x_label_area_size(24)
        .y_label_area_size(LEFT - 12)
        .build_cartesian_2d(time.course(), 0.0..highest)?;
    let points = time.points(intervals, Interval::sampled);
    if time.is_stepped() {
        let range = Polygon::new(outline(&points), RANGE.filled());
        chart.draw_series(std::iter::once(range))?;
    } else if let Some(verdict) = verdict {
        chart.draw_series(std::iter::once(band(time, intervals, budget, verdict)))?;
    }
    mesh(&mut chart, time, "traces/s")?;
    chart.draw_series(marks.at.iter().map(|at| mark(*at, 0.0, highest)))?;
    chart.draw_series(LineSeries::new(
        level(time, intervals, budget),
        INK.stroke_width(2),
    ))?;
    chart.draw_series(LineSeries::new(
        time.curve(intervals, Interval::reference),
        REFERENCE.stroke_width(1),
    ))?;
    let curve = points.iter().map(|point| (point.at, point.mean));
    let size = if intervals.len() > 150 { 0 } else { 2 };
    let width = if intervals.len() > 150 { 1 } else { 2 };
    chart.draw_series(LineSeries::new(curve, SAMPLED.stroke_width(width)).point_size(size))?;
    Ok(())
}

/// A line through a chart where something happened.
fn mark(at: f64, from: f64, to: f64) -> PathElement<(f64, f64)> {
    PathElement::new(vec![(at, from), (at, to)], MARK.stroke_width(1))
}

/// The budget over time.
fn level(time: &Time, intervals: &[Interval], budget: f64) -> Vec<(f64, f64)> {
    let mut points = time.curve(intervals, |interval| interval.budget(budget));
    let first = points.first().map_or(budget, |point| point.1);
    let last = points.last().map_or(budget, |point| point.1);
    points.insert(0, (0.0, first));
    points.push((time.end, last));
    points
}

/// The end of the axis of sampled rates.
fn axis_end(intervals: &[Interval], budget: f64) -> f64 {
    let rates = intervals.iter().flat_map(|interval| {
        [
            interval.sampled(),
            interval.reference(),
            interval.budget(budget),
        ]
    });
    1.08 * rates.fold(budget, f64::max)
}

/// The range of sampled rates that the verdict allows, interval by interval, after the warm-up.
fn band(
    time: &Time,
    intervals: &[Interval],
    budget: f64,
    verdict: &Verdict,
) -> Polygon<(f64, f64)> {
    let edge = |sign: f64| {
        let points = time.points(intervals, Interval::offered);
        let judged = verdict.allowances.iter().zip(points);
        judged
            .zip(time.points(intervals, |interval| interval.budget(budget)))
            .skip(verdict.warm_up)
            .map(move |((allowance, point), budget)| {
                let budget = budget.mean;
                let target = budget.min(point.mean);
                (point.at, (target + sign * allowance * budget).max(0.0))
            })
            .collect::<Vec<_>>()
    };
    let mut outline = edge(1.0);
    outline.extend(edge(-1.0).into_iter().rev());
    Polygon::new(outline, BAND.filled())
}

fn offered(area: &Area<'_>, time: &Time, marks: &Marks, intervals: &[Interval]) -> Drawn {
    let rates = || intervals.iter().map(Interval::offered);
    let highest = rates().fold(0.0, f64::max);
    // A quiet interval must not stretch a logarithmic axis without limit; silent ones are ignored.
    let spoken = rates().filter(|rate| *rate > 0.0);
    let lowest = spoken.fold(f64::INFINITY, f64::min).max(highest / 1e6);
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_left(12)
        .margin_right(RIGHT)
        .margin_top(10)
        .margin_bottom(6)
        .x_label_area_size(46)
        .y_label_area_size(LEFT - 12);
    let style = OFFERED.stroke_width(2);
    if highest > LOGARITHMIC_FROM * lowest {
        let range = (0.7 * lowest..1.4 * highest).log_scale();
        let mut chart = builder.build_cartesian_2d(time.course(), range)?;
        with_time(&mut chart, time)?;
        let ends = (0.7 * lowest, 1.4 * highest);
        chart.draw_series(marks.at.iter().map(|at| mark(*at, ends.0, ends.1)))?;
        let curve = time.curve(intervals, |interval| interval.offered().max(lowest));
        chart.draw_series(LineSeries::new(curve, style))?;
    } else {
        let end = (1.15 * highest).max(1.0);
        let mut chart = builder.build_cartesian_2d(time.course(), 0.0..end)?;
        with_time(&mut chart, time)?;
        chart.draw_series(marks.at.iter().map(|at| mark(*at, 0.0, end)))?;
        let curve = time.curve(intervals, Interval::offered);
        chart.draw_series(AreaSeries::new(curve, 0.0, OFFERED.mix(0.15)).border_style(style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sampled, Tally};

    fn run(offered: impl Fn(usize) -> u64) -> Vec<Interval> {
        let sampled = Sampled {
            count: 100,
            expected: 100.0,
            variance: 100.0,
        };
        (0..20)
            .map(|number| Interval {
                label: number.to_string(),
                seconds: 2.0,
                budget_factor: 1.0,
                tally: Tally {
                    offered: offered(number),
                    served: sampled,
                    reference: sampled,
                },
            })
            .collect()
    }

    fn texts() -> PlotTexts {
        PlotTexts {
            title: "A < B".to_owned(),
            subtitle: "20 intervals".to_owned(),
            description: "Kept 50 of 50 traces/s.".to_owned(),
            events: vec![Event {
                interval: 5,
                what: "three times the traffic".to_owned(),
            }],
        }
    }

    #[test]
    fn a_picture_names_what_it_shows() {
        let picture = svg(&texts(), &run(|_| 6000), 50.0, None).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        for text in [
            "A &lt; B",
            "traces/s",
            "offered/s",
            "time since the start (s)",
            "budget",
            "three times the traffic",
            "Interval 6: three times",
            "prefers-color-scheme",
        ] {
            assert!(picture.contains(text), "{text} is missing");
        }
        assert!(!picture.contains("NaN") && !picture.contains("allowance"));
    }

    #[test]
    fn wild_and_empty_traffic_are_drawn_too() {
        for run in [run(|number| 10_u64.pow(number as u32 % 8)), run(|_| 0)] {
            let picture = svg(&texts(), &run, 50.0, None).unwrap();
            assert!(!picture.contains("NaN"));
        }
    }

    #[test]
    fn a_run_without_intervals_has_no_picture() {
        assert!(svg(&texts(), &[], 50.0, None).is_err());
    }
}
