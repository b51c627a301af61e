//! The table in `docs/performance.md`: one row for each figure, as Markdown.

/// A figure next to the limit measured in the same run, and the ratio wanted.
pub struct Row {
    pub what: String,
    pub figure: String,
    pub limit: String,
    pub ratio: String,
    pub goal: &'static str,
}

impl Row {
    /// A figure that is compared only with a goal.
    pub fn new(what: impl Into<String>, figure: impl Into<String>, goal: &'static str) -> Self {
        Self {
            what: what.into(),
            figure: figure.into(),
            limit: String::new(),
            ratio: String::new(),
            goal,
        }
    }

    /// Sets what it is compared with, and the ratio.
    pub fn beside(mut self, limit: impl Into<String>, ratio: f64) -> Self {
        self.limit = limit.into();
        self.ratio = format!("{ratio:.2}");
        self
    }

    pub fn print(&self) {
        let Self {
            what,
            figure,
            limit,
            ratio,
            goal,
        } = self;
        println!("| {what} | {figure} | {limit} | {ratio} | {goal} |");
    }
}

/// The lines above the first row.
pub fn head() {
    println!("| what | figure | limit in the same run | ratio | goal |");
    println!("|---|---|---|---|---|");
}

/// Seconds in a readable unit.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// A number in thousands.
pub fn thousands(number: f64) -> String {
    format!("{:.1} k", number / 1e3)
}
