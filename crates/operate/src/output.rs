//! What a command prints: a table for people, or JSON or YAML for programs.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::yaml;

/// The flag of every command that shows something.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// How to print the answer; json and yaml have all that the service says
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT", global = true)]
    output: Format,
}

/// A way of printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// As the service says it
    Json,
    /// The same as YAML
    Yaml,
}

impl Output {
    /// Whether people read it.
    pub fn for_people(self) -> bool {
        self.output == Format::Table
    }

    /// Prints a value, or lets `people` say it.
    pub fn print(self, value: &Value, people: impl FnOnce()) {
        match self.output {
            Format::Table => people(),
            Format::Json => weir_terminal::outln!("{value:#}"),
            Format::Yaml => weir_terminal::out!("{}", yaml::write(value)),
        }
    }
}
