//! The growth as a picture: three curves over the number of operations, next to linear growth.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::growth::Size;

const SIZE: (u32, u32) = (1000, 400);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(228, 231, 235);
const MEASURED: RGBColor = RGBColor(9, 105, 218);
const LINEAR: RGBColor = RGBColor(227, 98, 9);

const MIB: f64 = 1024.0 * 1024.0;

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the sizes that were measured.
pub fn svg(sizes: &[Size]) -> Result<String, Box<dyn std::error::Error>> {
    let mut picture = String::new();
    {
        let root = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let title = (FONT, 20).into_font().style(FontStyle::Bold).color(&INK);
        let text = "What a plan costs, by the number of operations";
        root.draw(&Text::new(text, (24, 14), title))?;
        let small = (FONT, 14).into_font();
        let note = "measured (blue); straight growth through the largest (orange, dashed)";
        root.draw(&Text::new(note, (24, 42), small.color(&FAINT)))?;
        let (_, below) = root.split_vertically(70);
        let panels = below.split_evenly((1, 3));
        panel(&panels[0], "seconds", sizes, |size| size.cycle.seconds())?;
        panel(&panels[1], "peak memory, MiB", sizes, |size| {
            size.cycle.peak_memory_mib
        })?;
        panel(&panels[2], "stored a window, MiB", sizes, |size| {
            let disk = &size.disk;
            (disk.history + disk.body + disk.deltas) * size.cycle.operations as f64 / MIB
        })?;
        root.present()?;
    }
    Ok(picture)
}

fn panel(area: &Area<'_>, what: &str, sizes: &[Size], figure: fn(&Size) -> f64) -> Drawn {
    let points: Vec<(f64, f64)> = sizes
        .iter()
        .map(|size| (size.cycle.operations as f64, figure(size)))
        .collect();
    let (first, last) = (points[0], points[points.len() - 1]);
    let straight = |operations: f64| (operations, last.1 * operations / last.0);
    let lowest = first.1.min(straight(first.0).1);
    let mut chart = ChartBuilder::on(area)
        .caption(what, (FONT, 15).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(
            (first.0 * 0.8..last.0 * 1.25).log_scale(),
            (lowest * 0.7..last.1 * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(FAINT)
        .x_desc("operations")
        .label_style((FONT, 12).into_font().color(&INK))
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    chart.draw_series(DashedLineSeries::new(
        [straight(first.0), straight(last.0)],
        6,
        4,
        LINEAR.stroke_width(1),
    ))?;
    chart.draw_series(LineSeries::new(points, MEASURED.stroke_width(2)).point_size(4))?;
    Ok(())
}

/// A round number of operations.
fn short(number: f64) -> String {
    if number < 1e6 {
        format!("{} k", number / 1e3)
    } else {
        format!("{} M", number / 1e6)
    }
}
