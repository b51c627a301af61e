//! Says why an operation is served its probability.

/// The numbers behind an operation's probability, beside what decided it.
///
/// Rounded to single precision: they are for people, and no later plan reads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// What bound it. For [`Binding::Level`](crate::Binding::Level) the level that it shares at, in
    /// traces per second and unit of weight; for [`Binding::Floor`](crate::Binding::Floor) the floor,
    /// in traces per second; for everything else a probability.
    pub bound: f32,
    /// The owner of that setting or level.
    pub source: Source,
    /// The weight it shares with.
    pub weight: f32,
    /// What it would be served if only its level, floor and cap decided: no limit on raises, no
    /// hold, no deadband. In [0, 1].
    pub target: f32,
}

impl Reason {
    /// The reason of an operation about which nothing is known.
    pub const UNKNOWN: Self = Self {
        bound: 1.0,
        source: Source::Fleet,
        weight: 1.0,
        target: 1.0,
    };
}

/// The owner of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Source {
    /// The fleet's: everybody's.
    #[default]
    Fleet,
    /// Its group's.
    Group,
    /// Its service's.
    Service,
    /// Its own.
    Operation,
}
