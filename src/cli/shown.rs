//! How `weir demo`, `replay` and `simulate` print what came of a run.

use clap::{Args, ValueEnum};
use serde_json::json;
use weir_terminal::{out, outln, say};

use crate::simulate::lines::Run;
use crate::simulate::{RunSummary, WireTally, show};

/// The flags.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "What is printed")]
pub struct Shown {
    /// Print the figures that the run was judged by, and their limits
    #[arg(long)]
    explain: bool,
    /// How to print the result; json has every interval
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

/// A way of printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

impl Shown {
    /// Whether people read it.
    pub(super) fn for_people(self) -> bool {
        self.output == Format::Table
    }

    /// Prints a run: what came of it in a sentence, then the intervals.
    pub(super) fn run(self, run: &Run<'_>, summary: &RunSummary, wire: Option<&WireTally>) {
        if !self.for_people() {
            json_document(&json!({ "run": summary, "wire": wire }));
            return;
        }
        say(&show::sentence(summary));
        outln!();
        if !run.intervals.is_empty() {
            show::intervals(run).print();
        }
        for line in wire.map(show::wire).unwrap_or_default() {
            say(&line);
        }
        match run.verdict {
            Some(verdict) if self.explain => {
                outln!();
                show::explanation(verdict).iter().for_each(|line| say(line));
            }
            Some(verdict) => say(&format!(
                "Judged on {} intervals after a warm-up of {}; --explain says how.",
                verdict.judged, verdict.warm_up
            )),
            None => {}
        }
    }
}

/// Prints a JSON document.
pub(super) fn json_document(document: &serde_json::Value) {
    out!("{document:#}\n");
}
