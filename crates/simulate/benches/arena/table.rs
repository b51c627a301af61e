//! Writes the results in Markdown: a table per workload, and every figure in which a peer wins.

use std::fmt::Write as _;

use crate::figures::{Better, FIGURES, Figure, Measured};
use crate::rules::{CONTENDERS, Kind};
use crate::statistics::Mean;

/// The figures of all contenders in one workload, seed by seed.
pub struct Results {
    pub name: String,
    /// The span that was judged; empty if there is only one.
    pub span: &'static str,
    pub says: String,
    pub budget: f64,
    pub seeds: usize,
    pub measured: Vec<Vec<Measured>>,
}

impl Results {
    /// One figure of one contender, seed by seed.
    pub fn figures(&self, contender: usize, figure: usize) -> Vec<f64> {
        let of = self.measured[contender].iter();
        of.filter_map(|measured| measured[figure]).collect()
    }

    /// The name, with the span.
    fn title(&self) -> String {
        if self.span.is_empty() {
            return self.name.clone();
        }
        format!("`{}`, {}", self.name, self.span)
    }

    /// The table of the workload, with the figures that any contender has.
    pub fn table(&self) -> String {
        let mut text = format!("### {}\n\n", capital(&self.title()));
        if self.seeds > 0 {
            let _ = writeln!(
                text,
                "{}. Budget: {:.1} traces a second; {} seeds.\n",
                capital(&self.says),
                self.budget,
                self.seeds,
            );
        }
        let anybody = |figure: &usize| {
            (0..CONTENDERS.len()).any(|place| !self.figures(place, *figure).is_empty())
        };
        let figures: Vec<usize> = (0..FIGURES.len()).filter(anybody).collect();
        let names: Vec<&str> = figures.iter().map(|&figure| FIGURES[figure].name).collect();
        let _ = writeln!(text, "| | {} |", names.join(" | "));
        let _ = writeln!(text, "|---{}|", "|---:".repeat(figures.len()));
        for (place, contender) in CONTENDERS.iter().enumerate() {
            if self.measured[place].is_empty() {
                continue;
            }
            let cells: Vec<String> = figures
                .iter()
                .map(|&number| shown(&FIGURES[number], &self.figures(place, number)))
                .collect();
            let _ = writeln!(text, "| {} | {} |", contender.name, cells.join(" | "));
        }
        text
    }

    /// A line for every figure in which the mean of a peer is better than Weir's.
    fn wins(&self) -> String {
        let weir = CONTENDERS
            .iter()
            .position(|contender| contender.kind == Kind::Weir)
            .unwrap();
        let mut text = String::new();
        for (number, figure) in FIGURES.iter().enumerate() {
            let own = self.figures(weir, number);
            // Peers that win beyond chance, and the others.
            let (mut clear, mut doubtful) = (Vec::new(), Vec::new());
            for (place, contender) in CONTENDERS.iter().enumerate() {
                let other = self.figures(place, number);
                if contender.kind != Kind::Peer || other.is_empty() || own.is_empty() {
                    continue;
                }
                let lag = lag(figure.better, &other, &own);
                let won = format!("{} {}", contender.name, shown(figure, &other));
                if lag.is_below_zero() {
                    clear.push(won);
                } else if lag.mean < 0.0 {
                    doubtful.push(won);
                }
            }
            if clear.len() + doubtful.len() > 0 {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    self.title(),
                    figure.name,
                    shown(figure, &own),
                    clear.join("; "),
                    doubtful.join("; "),
                );
            }
        }
        text
    }
}

/// By how much a peer is worse, seed by seed.
fn lag(better: Better, other: &[f64], own: &[f64]) -> Mean {
    let cost = |figure: f64| match better {
        Better::Lower => figure,
        Better::Higher => -figure,
        Better::NearZero => figure.abs(),
    };
    let pairs = other.iter().zip(own);
    let lags: Vec<f64> = pairs
        .map(|(other, own)| cost(*other) - cost(*own))
        .collect();
    Mean::of(&lags).expect("both have figures")
}

/// The list of figures in which a peer wins.
pub fn wins<'a>(results: impl Iterator<Item = &'a Results>) -> String {
    let lines: String = results.map(Results::wins).collect();
    let head = "### Where a peer wins\n\n";
    if lines.is_empty() {
        return format!("{head}Nowhere.\n");
    }
    format!(
        "{head}All figures, by workload, in which a peer's mean is better than Weir's. Better \
         beyond chance means that the 95 % interval of the difference, paired by seed, does not \
         include 0.\n\n\
         | workload | figure | Weir | better beyond chance | better, but within chance |\n\
         |---|---|---|---|---|\n{lines}"
    )
}

/// A mean and its interval.
pub fn shown(figure: &Figure, figures: &[f64]) -> String {
    let Some(estimate) = Mean::of(figures) else {
        return "–".to_owned();
    };
    let mean = figure.scale * estimate.mean;
    let decimals = if mean.abs() >= 1000.0 {
        0
    } else {
        figure.decimals
    };
    let sign = matches!(figure.better, Better::NearZero) && mean > 0.0;
    let sign = if sign { "+" } else { "" };
    let half = figure.scale * estimate.half;
    if half.is_infinite() {
        return format!("{sign}{mean:.decimals$}");
    }
    format!("{sign}{mean:.decimals$} ± {half:.decimals$}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Puts a text between the markers of a section of a document.
///
/// # Errors
/// If the document has no such section.
pub fn placed(document: &str, section: &str, text: &str) -> Result<String, String> {
    let begin = format!("<!-- arena: {section} -->");
    let end = format!("<!-- arena: end of {section} -->");
    let missing = |marker: &str| format!("the document has no line {marker}");
    let (before, rest) = document.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!(
        "{before}{begin}\n\n{}\n\n{end}{after}",
        text.trim()
    ))
}
