//! Records what was changed in a report before it was counted: where, and why.

use std::fmt;

use crate::telemetry::metrics::{ClampReason, FoldReason, IgnoreReason, Label, Metrics};

/// How many changes of a kind are listed; more are only counted.
const LISTED: usize = 20;

/// How much of a name that is not valid goes into a log line, in characters.
const SHOWN: usize = 80;

/// The place of a change. Positions count the entries in the order in which the protocol passed
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Which service.
    pub service: usize,
    /// Which of its fields.
    pub field: Field,
}

/// A field of a service, or of one of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The service's name.
    Service,
    /// How many instances it has.
    Instances,
    /// An operation's name.
    Operation(usize),
    /// An operation's class.
    Class(usize),
    /// An operation's requests before sampling.
    Offered(usize),
    /// An operation's sampled requests.
    Sampled(usize),
}

/// Changes of one kind: their number by reason, and the places of the first ones.
#[derive(Debug, Clone)]
pub struct ChangesOfKind<R> {
    by_reason: Vec<(R, u64)>,
    first: Vec<(Spot, R)>,
}

impl<R> Default for ChangesOfKind<R> {
    fn default() -> Self {
        Self {
            by_reason: Vec::new(),
            first: Vec::new(),
        }
    }
}

impl<R: Label + PartialEq> ChangesOfKind<R> {
    fn note(&mut self, service: usize, field: Field, reason: R) {
        match self
            .by_reason
            .iter_mut()
            .find(|(known, _)| *known == reason)
        {
            Some((_, count)) => *count += 1,
            None => self.by_reason.push((reason, 1)),
        }
        if self.first.len() < LISTED {
            self.first.push((Spot { service, field }, reason));
        }
    }

    /// The number of changes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.iter().map(|(_, count)| count).sum()
    }

    /// The number of changes by reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (R, u64)> {
        self.by_reason.iter().copied()
    }

    /// The first changes, with their reasons.
    pub fn first(&self) -> impl ExactSizeIterator<Item = (Spot, R)> {
        self.first.iter().copied()
    }
}

/// Everything that was changed in a report.
#[derive(Debug, Clone, Default)]
pub struct Amendments {
    /// Names that are not valid. Their requests are counted in an overflow entry.
    pub folded: ChangesOfKind<FoldReason>,
    /// Numbers that are out of range. The nearest valid number is counted.
    pub clamped: ChangesOfKind<ClampReason>,
    /// Entries with an impossible number of requests. Nothing is counted for them.
    pub ignored: ChangesOfKind<IgnoreReason>,
    /// The first name that was folded, escaped for a log line.
    sample: Option<Sample>,
}

/// A service's and an operation's name, shortened and escaped.
#[derive(Debug, Clone)]
struct Sample {
    service: String,
    operation: String,
    reason: FoldReason,
}

impl Amendments {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folded.total() + self.clamped.total() + self.ignored.total() == 0
    }

    pub(super) fn fold(
        &mut self,
        service: usize,
        field: Field,
        reason: FoldReason,
        (service_name, operation_name): (&[u8], &[u8]),
    ) {
        self.folded.note(service, field, reason);
        self.sample.get_or_insert_with(|| Sample {
            service: shown(service_name),
            operation: shown(operation_name),
            reason,
        });
    }

    pub(super) fn clamp(&mut self, service: usize, field: Field, reason: ClampReason) {
        self.clamped.note(service, field, reason);
    }

    /// Always returns `None`: an ignored entry has no counts.
    pub(super) fn ignore<T>(
        &mut self,
        service: usize,
        field: Field,
        reason: IgnoreReason,
    ) -> Option<T> {
        self.ignored.note(service, field, reason);
        None
    }

    /// Adds them to the metrics.
    pub(super) fn count(&self, metrics: &Metrics) {
        for (reason, count) in self.folded.by_reason() {
            metrics.entries_folded.of(reason).inc_by(count);
        }
        for (reason, count) in self.clamped.by_reason() {
            metrics.entries_clamped.of(reason).inc_by(count);
        }
        for (reason, count) in self.ignored.by_reason() {
            metrics.entries_ignored.of(reason).inc_by(count);
        }
    }
}

/// For a log line: how many entries were changed, and the first folded name.
impl fmt::Display for Amendments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = [
            (self.folded.total(), "folded"),
            (self.clamped.total(), "clamped"),
            (self.ignored.total(), "ignored"),
        ];
        let told = totals.iter().filter(|(total, _)| *total > 0);
        for (index, (total, what)) in told.enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{total} {what}")?;
        }
        if let Some(sample) = &self.sample {
            write!(
                f,
                "; first folded name ({}): service \"{}\", operation \"{}\"",
                sample.reason.value(),
                sample.service,
                sample.operation
            )?;
        }
        Ok(())
    }
}

/// The beginning of a name, escaped.
fn shown(name: &[u8]) -> String {
    // A character takes at most four bytes, so only the beginning of a long name is converted.
    let start = &name[..name.len().min(4 * SHOWN)];
    let text = String::from_utf8_lossy(start);
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() || start.len() < name.len() {
        shown.push('…');
    }
    shown
}
