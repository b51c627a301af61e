//! Small drawings in tables: they have no script and no style of their own, so they are there without JavaScript.

use maud::{Markup, html};

use super::format::percent;

/// The size of a sparkline.
const SPARK: (f64, f64) = (96.0, 22.0);

/// The width of a whole bar.
const BAR: f64 = 96.0;

/// The course of a figure. What is not known is a gap.
#[must_use]
pub fn sparkline(values: &[Option<f64>], label: &str) -> Markup {
    let (width, height) = SPARK;
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let step = width / (values.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut pen_down = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let part = if most > 0.0 { value / most } else { 0.0 };
        let (x, y) = (at as f64 * step, height - 2.0 - part * (height - 4.0));
        path += &format!("{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
        // A point alone is a dot.
        if !pen_down {
            path += &format!("L{x:.1} {y:.1}");
        }
        pen_down = true;
    }
    html! {
        svg.spark viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(label) {
            path d=(path) {}
        }
    }
}

/// A part of a whole.
#[must_use]
pub fn bar(part: f64) -> Markup {
    let width = (part.clamp(0.0, 1.0) * BAR).max(1.0);
    html! {
        span.part {
            svg.level viewBox=(format!("0 0 {BAR} 10")) aria-hidden="true" {
                rect.whole width=(BAR) height="10" rx="2" {}
                rect.filled width=(format!("{width:.1}")) height="10" rx="2" {}
            }
            span { (percent(part)) }
        }
    }
}

/// A figure before and after, against the most of both of a table.
#[must_use]
pub fn pair(before: f64, after: f64, most: f64) -> Markup {
    let width = |value: f64| match most > 0.0 {
        true => format!("{:.1}", (value / most).clamp(0.0, 1.0) * BAR),
        false => "0".to_owned(),
    };
    html! {
        svg.pair viewBox=(format!("0 0 {BAR} 14")) aria-hidden="true" {
            rect.before width=(width(before)) height="6" rx="1" {}
            rect.after width=(width(after)) y="8" height="6" rx="1" {}
        }
    }
}
