//! Series: what the fleet, its groups and its services did, step by step.

use sha2::{Digest, Sha256};

use super::Incarnation;
use crate::allocation::{Class, ServiceId, Timestamp, Window};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Parts of a trace in which fractions are counted, so that sums of any steps are exact.
pub const TRACE_PARTS: f64 = 1024.0;

/// The length of the steps that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeriesStep {
    /// A window, whatever its length.
    Window,
    /// Ten minutes; an hour of them in a row.
    TenMinutes,
    /// An hour; a day of them in a row.
    Hour,
    /// A day.
    Day,
}

impl SeriesStep {
    /// The steps that windows are summed into, the finest first.
    pub const COARSE: [Self; 3] = [Self::TenMinutes, Self::Hour, Self::Day];

    /// The length of a step, in milliseconds; 0 for a window, which says its own.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        match self {
            Self::Window => 0,
            Self::TenMinutes => 10 * MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// The time of a row, in milliseconds; 0 for a window.
    #[must_use]
    pub fn row_milliseconds(self) -> i64 {
        match self {
            Self::Window => 0,
            Self::TenMinutes => HOUR,
            Self::Hour | Self::Day => DAY,
        }
    }

    /// The steps of a row.
    #[must_use]
    pub fn in_row(self) -> usize {
        match self {
            Self::Window => 1,
            _ => usize::try_from(self.row_milliseconds() / self.milliseconds()).unwrap_or(1),
        }
    }
}

/// Sums of one step. Fractions of traces are counted in parts: [`TRACE_PARTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests that were counted as sampled.
    pub sampled: u64,
    /// The part of `due` of which nobody says how many were sampled, in parts of a trace.
    pub unsaid: u64,
    /// Traces that were due by what SDKs were served, in parts of a trace.
    pub due: u64,
    /// The variance of their number that chance explains, in parts of a trace.
    pub variance: u64,
    /// What might be sampled: the budget of the fleet, the cap of a group; in parts of a trace.
    pub budget: u64,
    /// The time of which that is known, in milliseconds.
    pub budget_milliseconds: u64,
}

impl Sums {
    /// The figures, in the order in which they are stored. The last two are those of the fleet and of groups.
    #[must_use]
    pub fn figures(&self) -> [u64; 7] {
        let Self {
            offered,
            sampled,
            unsaid,
            due,
            variance,
            budget,
            budget_milliseconds,
        } = *self;
        [
            offered,
            sampled,
            unsaid,
            due,
            variance,
            budget,
            budget_milliseconds,
        ]
    }

    /// The figures, to be changed.
    pub fn figures_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.offered,
            &mut self.sampled,
            &mut self.unsaid,
            &mut self.due,
            &mut self.variance,
            &mut self.budget,
            &mut self.budget_milliseconds,
        ]
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        for (sum, other) in self.figures_mut().into_iter().zip(others.figures()) {
            *sum = sum.saturating_add(other);
        }
    }
}

/// Which time of a step was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Covered {
    /// The windows.
    pub windows: u64,
    /// Their time, in milliseconds.
    pub milliseconds: u64,
    /// Windows that could not be read. They are missing in the sums.
    pub unreadable: u64,
}

impl Covered {
    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        self.windows = self.windows.saturating_add(others.windows);
        self.milliseconds = self.milliseconds.saturating_add(others.milliseconds);
        self.unreadable = self.unreadable.saturating_add(others.unreadable);
    }
}

/// Whose sums.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeriesKey {
    /// A service by its number.
    Number(ServiceId),
    /// A service or a group by its name. The fleet is the group without a name.
    Name(String),
}

impl SeriesKey {
    /// What decides the part that it is in.
    #[must_use]
    pub fn hash(&self) -> u8 {
        match self {
            Self::Number(service) => service.0.to_le_bytes()[0],
            Self::Name(name) => Sha256::digest(name)[0],
        }
    }
}

/// The content of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesBlock {
    /// How much of each step was counted, in the row of the fleet; empty in those of services.
    pub covered: Vec<Covered>,
    /// Each one's sums, as many as the row has steps, in ascending order of keys.
    pub entries: Vec<(SeriesKey, Vec<Sums>)>,
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRow {
    /// The length of its steps.
    pub step: SeriesStep,
    /// Its time.
    pub window: Window,
    /// Which part of the fleet it is.
    pub part: SeriesPart,
    /// Encoded by [`series_codec`](crate::store::series_codec).
    pub payload: Vec<u8>,
}

/// A part of the fleet in rows of their own, so that who asks for one service reads little.
///
/// 0 is the fleet and its groups. The services of a step are in 1, 2, 4, … or 64 parts, as many as they need; the
/// number of a part is how many there are plus its place among them.
///
/// The requests of a class are in parts of their own, with the same numbers and 256 more for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesPart(pub u16);

impl SeriesPart {
    /// The fleet and its groups.
    pub const FLEET: Self = Self(0);

    /// How many numbers of parts there are of all requests, and of those of each class.
    const OF_CLASS: u16 = 256;

    /// The most parts, as a power of two.
    const MOST_LOG: u32 = 6;

    /// How many services a part may have before there are more parts.
    const SERVICES: usize = 512;

    /// How many parts there are of that many services.
    #[must_use]
    pub fn count(services: usize) -> usize {
        let parts = services.div_ceil(Self::SERVICES).max(1);
        parts.next_power_of_two().min(1 << Self::MOST_LOG)
    }

    /// The part of a service where there are `parts`.
    #[must_use]
    pub fn of(hash: u8, parts: usize) -> Self {
        let place = usize::from(hash) % parts;
        Self(u8::try_from(parts + place).unwrap_or(u8::MAX).into())
    }

    /// The same part of the requests of a class; of all requests without one.
    #[must_use]
    pub fn of_class(self, class: Option<Class>) -> Self {
        let number = class.map_or(0, |class| class as u16 + 1);
        Self(self.all().0 + number * Self::OF_CLASS)
    }

    /// The same part of all requests.
    #[must_use]
    pub fn all(self) -> Self {
        Self(self.0 % Self::OF_CLASS)
    }

    /// The class whose requests it has; none if it has all.
    ///
    /// # Errors
    /// The number of the class, if a later release has more of them.
    pub fn class(self) -> Result<Option<Class>, u16> {
        let number = self.0 / Self::OF_CLASS;
        let mut classes = Class::ALL.into_iter();
        let found = classes.find(|class| *class as u16 + 1 == number);
        match number {
            0 => Ok(None),
            _ => found.map(Some).ok_or(number),
        }
    }

    /// Every part that a service may be in, however many there are.
    #[must_use]
    pub fn candidates(hash: u8) -> [Self; 7] {
        std::array::from_fn(|log| Self::of(hash, 1 << log))
    }
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesAsked {
    /// The length of their steps.
    pub step: SeriesStep,
    /// The first instant of the first row.
    pub from: Timestamp,
    /// Rows that start here or later are left out.
    pub until: Timestamp,
    /// Which of them.
    pub of: SeriesOf,
    /// The class whose requests are asked for; all requests without one.
    pub class: Option<Class>,
}

/// Which parts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesOf {
    /// The fleet and its groups.
    Fleet,
    /// These, and the services with this hash.
    Service(u8),
    /// The fleet, its groups and all services.
    Services,
    /// The same, of all requests and of each class.
    All,
}

/// Rows to write, and the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSeries<'a> {
    /// The rows. They replace others of the same part and start.
    pub rows: &'a [SeriesRow],
    /// The incarnation in which the names of their numbers were found.
    pub names: Incarnation,
    /// History must be summed up to here at present.
    pub after: Option<Timestamp>,
    /// Afterwards, it is summed up to here.
    pub until: Option<Timestamp>,
}

/// Up to where history is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeriesMark {
    /// All windows that start before this are in the steps; none before the first time.
    pub until: Option<Timestamp>,
    /// The start of the newest window that has a row.
    pub newest_window: Option<Timestamp>,
}

/// How long steps of each length are kept; whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsKept {
    /// Ten minutes.
    pub ten_minutes: std::time::Duration,
    /// Hours.
    pub hours: std::time::Duration,
    /// Days.
    pub days: std::time::Duration,
}

/// Rows of series that may be deleted: those that ended before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesBefore {
    /// Of windows.
    pub windows: Timestamp,
    /// Of ten minutes.
    pub ten_minutes: Timestamp,
    /// Of hours.
    pub hours: Timestamp,
    /// Of days.
    pub days: Timestamp,
}

impl SeriesBefore {
    /// Everything before one instant.
    #[must_use]
    pub fn all(before: Timestamp) -> Self {
        Self {
            windows: before,
            ten_minutes: before,
            hours: before,
            days: before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_however_many_parts_there_are() {
        for (services, parts) in [(0, 1), (512, 1), (513, 2), (10_000, 32), (9_000_000, 64)] {
            assert_eq!(SeriesPart::count(services), parts);
            for hash in [0, 1, 63, 64, 255] {
                let part = SeriesPart::of(hash, parts);
                assert!(SeriesPart::candidates(hash).contains(&part), "{hash}");
                assert!(part > SeriesPart::FLEET && part.0 < 128);
            }
        }
    }

    #[test]
    fn the_parts_of_classes_are_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for part in [SeriesPart::FLEET, SeriesPart(1), SeriesPart(127)] {
            for class in Class::ALL.map(Some).into_iter().chain([None]) {
                let own = part.of_class(class);
                assert!(seen.insert(own), "{own:?}");
                assert_eq!((own.all(), own.class()), (part, Ok(class)));
                assert_eq!(own.of_class(None), part);
            }
        }
        assert_eq!(SeriesPart(5 * 256 + 1).class(), Err(5));
    }

    #[test]
    fn rows_hold_whole_steps() {
        assert_eq!(SeriesStep::COARSE.map(SeriesStep::in_row), [6, 24, 1]);
        assert_eq!(SeriesStep::Window.in_row(), 1);
    }
}
