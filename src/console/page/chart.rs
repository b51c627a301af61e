//! A chart over time: what was kept, against what was wanted, with what was changed meanwhile.
//!
//! It is drawn here, so it is there without JavaScript. The script draws it again, with a cursor that shows figures, from
//! the same figures in `data-chart`.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde::Serialize;

use super::format::{known, machine, number};

/// The size of the drawing.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;

/// Room for the axes.
const LEFT: f64 = 52.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;

/// Steps of the time axis, in minutes.
const TICKS: [i64; 16] = [
    1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 20_160, 43_200,
];

/// The most labels of the time axis.
const TICKS_MAX: i64 = 8;

/// A step. What is not known is a gap.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// What was kept.
    pub kept: Option<f64>,
    /// What was wanted: the budget, or a cap.
    pub wanted: Option<f64>,
    /// Between which values chance explains what is kept.
    pub chance: Option<(f64, f64)>,
}

/// Something that was changed.
#[derive(Debug, Clone)]
pub struct Marker {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in words.
    pub text: String,
    /// Where more of it is.
    pub href: Option<String>,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The id of the figure, once on a page.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// What is wanted is called this.
    pub wanted: &'static str,
    /// The first and the last moment.
    pub span: (DateTime<Utc>, DateTime<Utc>),
    /// The steps, oldest first.
    pub points: Vec<Point>,
    /// What was changed.
    pub markers: Vec<Marker>,
}

/// What the script draws.
#[derive(Serialize)]
struct Figures<'a> {
    span: (f64, f64),
    at: Vec<f64>,
    kept: Vec<Option<f64>>,
    budget: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
    marks: Vec<(f64, &'a str)>,
}

impl Chart {
    /// The figure, with its table.
    #[must_use]
    pub fn shown(&self) -> Markup {
        if self.points.iter().all(|point| point.kept.is_none()) {
            return html! { p.quiet { "Nothing was counted in this time." } };
        }
        let figures = serde_json::to_string(&self.figures()).unwrap_or_default();
        html! {
            figure.chart id=(self.id) data-chart=(figures) {
                (self.drawn())
                div.plot hx-morph-skip {}
                figcaption.legend {
                    // With a cursor, the script writes the figures of a step into them.
                    span.kept { "kept" span.value {} }
                    @if self.has_wanted() { span.wanted { (self.wanted) span.value {} } }
                    @if self.has_chance() {
                        span.chance { "what chance explains, 19 times of 20" span.value {} }
                    }
                    @if !self.markers.is_empty() { span.marked { "a change" } }
                    span.moment { "UTC" span.value {} }
                }
                (self.table())
            }
        }
    }

    /// Whether anything was wanted in this time: a service without a cap has no such line.
    fn has_wanted(&self) -> bool {
        self.points.iter().any(|point| point.wanted.is_some())
    }

    fn has_chance(&self) -> bool {
        self.points.iter().any(|point| point.chance.is_some())
    }

    fn figures(&self) -> Figures<'_> {
        let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1000.0;
        let each = |of: fn(&Point) -> Option<f64>| {
            let all = self.points.iter().map(of);
            all.map(|value| value.map(rounded)).collect()
        };
        Figures {
            span: (seconds(self.span.0), seconds(self.span.1)),
            at: self.points.iter().map(|point| seconds(point.at)).collect(),
            kept: each(|point| point.kept),
            budget: each(|point| point.wanted),
            low: each(|point| point.chance.map(|of| of.0)),
            high: each(|point| point.chance.map(|of| of.1)),
            marks: self
                .markers
                .iter()
                .map(|mark| (seconds(mark.at), &*mark.text))
                .collect(),
        }
    }

    /// The figures for those who do not look at the drawing.
    fn table(&self) -> Markup {
        html! {
            details.table {
                summary { "The figures as a table" }
                div.scroll tabindex="0" role="group" aria-label=(format!("{}, as a table", self.title)) {
                    table {
                        caption { (self.title) }
                        thead { tr {
                            th scope="col" { "From" }
                            th.figure scope="col" { "Kept/s" }
                            @if self.has_wanted() { th.figure scope="col" { (self.wanted) "/s" } }
                            @if self.has_chance() { th.figure scope="col" { "Chance explains" } }
                        } }
                        tbody {
                            @for point in self.points.iter().rev().filter(|point| point.kept.is_some()) {
                                tr {
                                    th scope="row" { time datetime=(machine(point.at)) {
                                        (point.at.format("%Y-%m-%d %H:%M:%S"))
                                    } }
                                    td.figure { (known(point.kept)) }
                                    @if self.has_wanted() { td.figure { (known(point.wanted)) } }
                                    @if self.has_chance() { td.figure { (between(point.chance)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn drawn(&self) -> Markup {
        let most = self.most();
        let lines = [
            ("kept", self.line(most, |point| point.kept)),
            ("wanted", self.line(most, |point| point.wanted)),
        ];
        html! {
            svg.drawn viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(format!("{}-what", self.id)) {
                title id=(format!("{}-what", self.id)) { (self.title) }
                @for value in levels(most) {
                    path.grid d=(format!("M{LEFT} {0:.1}H{WIDTH}", y(value, most))) {}
                    text x=(LEFT - 6.0) y=(format!("{:.1}", y(value, most) + 4.0)) text-anchor="end" { (number(value)) }
                }
                @for at in self.ticks() {
                    text x=(format!("{:.1}", self.x(at))) y=(HEIGHT - 8.0) text-anchor="middle" { (self.label(at)) }
                }
                path.chance d=(self.band(most)) {}
                @for (name, line) in lines { path class=(name) d=(line) {} }
                @for mark in &self.markers { (self.mark(mark)) }
            }
        }
    }

    fn mark(&self, mark: &Marker) -> Markup {
        let x = self.x(mark.at);
        let line = html! {
            path.mark d=(format!("M{x:.1} {TOP}V{}", HEIGHT - BOTTOM)) {}
            circle.mark cx=(format!("{x:.1}")) cy=(TOP) r="4" { title { (mark.text) } }
        };
        match &mark.href {
            Some(href) => html! { a href=(href) aria-label=(mark.text) { (line) } },
            None => line,
        }
    }

    fn x(&self, at: DateTime<Utc>) -> f64 {
        let (start, end) = self.span;
        let whole = (end - start).num_milliseconds().max(1) as f64;
        let part = (at - start).num_milliseconds() as f64 / whole;
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - 4.0)
    }

    fn most(&self) -> f64 {
        let all = self.points.iter();
        let values = all.flat_map(|of| [of.kept, of.wanted, of.chance.map(|of| of.1)]);
        values.flatten().fold(0.0, f64::max).max(1e-9) * 1.05
    }

    fn line(&self, most: f64, of: fn(&Point) -> Option<f64>) -> String {
        let (mut path, mut pen_down) = (String::new(), false);
        for point in &self.points {
            let Some(value) = of(point) else {
                pen_down = false;
                continue;
            };
            let (x, y) = (self.x(point.at), y(value, most));
            path += &match pen_down {
                true => format!("L{x:.1} {y:.1}"),
                // A step alone is a dot.
                false => format!("M{x:.1} {y:.1}h0.1"),
            };
            pen_down = true;
        }
        path
    }

    fn band(&self, most: f64) -> String {
        let mut path = String::new();
        let runs = self.points.split(|point| point.chance.is_none());
        for run in runs.filter(|run| !run.is_empty()) {
            let at = |point: &Point, value: f64| {
                format!("{:.1} {:.1}", self.x(point.at), y(value, most))
            };
            let top = run.iter().map(|of| at(of, of.chance.unwrap_or_default().1));
            let low = run
                .iter()
                .rev()
                .map(|of| at(of, of.chance.unwrap_or_default().0));
            let all: Vec<String> = top.chain(low).collect();
            path += &format!("M{}Z", all.join("L"));
        }
        path
    }

    /// The moments of the time axis.
    fn ticks(&self) -> Vec<DateTime<Utc>> {
        let (start, end) = self.span;
        let step = self.tick();
        let first = start.timestamp().div_euclid(step * 60) + 1;
        let all = (first..).map(|count| DateTime::from_timestamp(count * step * 60, 0));
        let last = end - TimeDelta::seconds((end - start).num_seconds() / 40);
        let all = all.map_while(|at| at.filter(|at| *at < last));
        all.take(2 * TICKS_MAX as usize).collect()
    }

    fn tick(&self) -> i64 {
        let minutes = (self.span.1 - self.span.0).num_minutes();
        let mut steps = TICKS.into_iter();
        steps
            .find(|step| minutes / step <= TICKS_MAX)
            .unwrap_or(43_200)
    }

    fn label(&self, at: DateTime<Utc>) -> String {
        let midnight = at.timestamp().rem_euclid(86_400) == 0;
        let form = if midnight { "%Y-%m-%d" } else { "%H:%M" };
        at.format(form).to_string()
    }
}

fn y(value: f64, most: f64) -> f64 {
    let height = HEIGHT - TOP - BOTTOM;
    TOP + height * (1.0 - (value / most).clamp(0.0, 1.0))
}

/// The labels of the other axis: a few round values.
fn levels(most: f64) -> Vec<f64> {
    let step = 10f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * step)
        .find(|step| most / step <= 5.0)
        .unwrap_or(most);
    (0..=5)
        .map(|count| f64::from(count) * step)
        .filter(|value| *value <= most)
        .collect()
}

/// Four digits are enough to draw.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

fn between(values: Option<(f64, f64)>) -> String {
    values.map_or_else(
        || "–".into(),
        |(low, high)| format!("{} to {}", number(low), number(high)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).unwrap()
    }

    fn chart(kept: &[Option<f64>]) -> Chart {
        let points = kept.iter().enumerate().map(|(place, kept)| Point {
            at: at(place as i64),
            kept: *kept,
            wanted: Some(50.0),
            chance: kept.map(|_| (40.0, 60.0)),
        });
        Chart {
            id: "kept",
            title: "Kept".into(),
            wanted: "budget",
            span: (at(0), at(kept.len() as i64)),
            points: points.collect(),
            markers: vec![Marker {
                at: at(2),
                text: "<b>".into(),
                href: None,
            }],
        }
    }

    #[test]
    fn what_is_not_known_is_a_gap_and_names_are_escaped() {
        let chart = chart(&[Some(50.0), Some(55.0), None, Some(45.0)]);
        let line = chart.line(100.0, |point| point.kept);
        assert_eq!(line.matches('M').count(), 2, "{line}");
        let shown = chart.shown().into_string();
        assert!(
            shown.contains("&lt;b&gt;") && !shown.contains("<b>"),
            "{shown}"
        );
        assert_eq!(shown.matches("<tr>").count(), 4, "{shown}");
    }

    #[test]
    fn the_legend_and_the_table_have_what_is_drawn() {
        let mut chart = chart(&[Some(50.0)]);
        let shown = chart.shown().into_string();
        assert!(
            shown.contains("40 to 60") && shown.contains("budget/s"),
            "{shown}"
        );
        chart.points[0].wanted = None;
        chart.points[0].chance = None;
        let shown = chart.shown().into_string();
        assert!(!shown.to_lowercase().contains("chance explains"), "{shown}");
        assert!(!shown.contains(">budget"), "{shown}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let shown = chart(&[None, None]).shown().into_string();
        assert!(shown.contains("Nothing was counted"));
    }

    #[test]
    fn axes_have_few_round_labels() {
        assert_eq!(levels(105.0), [0.0, 50.0, 100.0]);
        assert_eq!(levels(4.2), [0.0, 1.0, 2.0, 3.0, 4.0]);
        for minutes in [7, 60, 1440, 10_080, 43_200] {
            let mut chart = chart(&[Some(1.0)]);
            chart.span = (at(3), at(3 + minutes));
            let ticks = chart.ticks().len() as i64;
            assert!((2..=TICKS_MAX).contains(&ticks), "{minutes}: {ticks}");
        }
    }
}
