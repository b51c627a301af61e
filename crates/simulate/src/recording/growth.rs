//! Tells the readings of a counter, which only grow, from counts.

use super::fault::RecordingFault;

/// How often counts rise and fall from one row to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    rises: u64,
    falls: u64,
    before: Option<f64>,
}

/// Counts that hardly ever fall are taken for readings after three rises if their name says that they are
/// a total, else after ten. Counts of requests fall as often as they rise; a counter falls when
/// its process starts, say once in twenty rows.
const FEW_RISES: u64 = 3;
const MANY_RISES: u64 = 10;
const RISES_PER_FALL: u64 = 20;

impl Growth {
    /// The next counts are of another series.
    pub fn begin(&mut self) {
        self.before = None;
    }

    /// The count of the next row.
    pub fn add(&mut self, count: f64) {
        if let Some(before) = self.before {
            self.rises += u64::from(count > before);
            self.falls += u64::from(count < before);
        }
        self.before = Some(count);
    }

    fn is_counter(self, rises: u64) -> bool {
        self.rises >= rises && self.falls * RISES_PER_FALL <= self.rises
    }

    /// A note if counts that are not known to be a counter's look like its readings.
    ///
    /// # Errors
    /// If they are readings.
    pub fn note(self, counts: Counts) -> Result<Option<String>, RecordingFault> {
        let refused = |name: &str| Err(RecordingFault::Counter(name.to_owned()));
        match counts {
            Counts::Total(name) if self.is_counter(FEW_RISES) => refused(&name),
            Counts::Queried if self.is_counter(MANY_RISES) => refused("the series"),
            _ => Ok(self.is_counter(MANY_RISES).then(|| {
                "the counts only grow: if they are the readings of a counter, export its increase() instead"
                    .to_owned()
            })),
        }
    }
}

/// What is known of counts beside their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Counts {
    /// They have the name of a total.
    Total(String),
    /// They come from a query of counters, which may have left out `increase()`.
    Queried,
    /// Nothing.
    Plain,
}

impl Counts {
    /// What values of a query are read as.
    pub fn queried(&self, row_seconds: f64) -> Option<String> {
        (*self != Self::Plain).then(|| {
            format!(
                "a value is read as the requests of a row, {row_seconds} s: it must be an increase() over that time, not a rate"
            )
        })
    }
}
