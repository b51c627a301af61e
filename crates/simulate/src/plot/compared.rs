//! Draws several budgets in one plot: a curve for each, above the offered rate.

use plotters::prelude::*;

use super::axis::{Time, mesh, outline};
use super::{
    Drawn, FOOT, HEAD, LEFT, Marks, PlotError, PlotTexts, RIGHT, SIZE, axis_end, legend_entry,
    level, mark, offered, titles,
};
use crate::verdict::Interval;

/// The colours of the curves, in the order of the budgets; repeated if there are more.
const COLOURS: [RGBColor; 6] = [
    RGBColor(9, 105, 218),
    RGBColor(227, 98, 9),
    RGBColor(26, 127, 55),
    RGBColor(130, 80, 223),
    RGBColor(191, 57, 137),
    RGBColor(154, 103, 0),
];

const PALE: RGBColor = RGBColor(222, 222, 222);

/// Draws the sampled traces of each budget.
///
/// # Errors
/// If there is no interval to draw, or the drawing fails.
pub fn compared(texts: &PlotTexts, runs: &[(f64, &[Interval])]) -> Result<String, PlotError> {
    let Some((_, intervals)) = runs.first().filter(|(_, intervals)| !intervals.is_empty()) else {
        return Err(PlotError("no interval was played".to_owned()));
    };
    let mut picture = String::new();
    draw(&mut picture, texts, runs, intervals).map_err(|error| PlotError(error.to_string()))?;
    Ok(texts.finish(&picture))
}

fn draw(
    picture: &mut String,
    texts: &PlotTexts,
    runs: &[(f64, &[Interval])],
    intervals: &[Interval],
) -> Drawn {
    let root = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    titles(&root, texts)?;
    let mut left = LEFT as i32;
    for (place, (budget, _)) in runs.iter().enumerate() {
        let colour = &COLOURS[place % COLOURS.len()];
        left = legend_entry(&root, left, &format!("sampled at {budget}"), colour, 2)?;
    }
    let time = Time::of(intervals);
    if time.is_stepped() {
        legend_entry(&root, left, "pale: from least to most", &PALE, 10)?;
    }
    let marks = Marks::of(&texts.events, &time, intervals);
    marks.draw(&root)?;
    let head = HEAD + marks.height();
    let (_, below) = root.split_vertically(head);
    let (upper, lower) = below.split_vertically(SIZE.1 - head - FOOT);
    let highest = runs
        .iter()
        .map(|(budget, intervals)| axis_end(intervals, *budget))
        .fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&upper)
        .margin_left(12)
        .margin_right(RIGHT)
        .margin_top(4)
        .x_label_area_size(24)
        .y_label_area_size(LEFT - 12)
        .build_cartesian_2d(time.course(), 0.0..highest)?;
    mesh(&mut chart, &time, "traces/s")?;
    chart.draw_series(marks.at.iter().map(|at| mark(*at, 0.0, highest)))?;
    let curves = || COLOURS.iter().cycle().zip(runs);
    for (colour, (_, intervals)) in curves().filter(|_| time.is_stepped()) {
        let range = outline(&time.points(intervals, Interval::sampled));
        chart.draw_series(std::iter::once(Polygon::new(
            range,
            colour.mix(0.2).filled(),
        )))?;
    }
    for (colour, (budget, intervals)) in curves() {
        let level = level(&time, intervals, *budget);
        chart.draw_series(LineSeries::new(level, colour.mix(0.5).stroke_width(1)))?;
        let curve = time.curve(intervals, Interval::sampled);
        chart.draw_series(LineSeries::new(curve, colour.stroke_width(1)))?;
    }
    offered(&lower, &time, &marks, intervals)?;
    root.present()?;
    Ok(())
}
