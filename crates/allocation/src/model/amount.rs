//! Numbers of plans: amounts, probabilities and priorities, whatever operators and damaged plans say.

/// Amounts and weights are cut to this, so that no quotient, product or sum of them leaves the range of
/// `f64`: a hundred orders of magnitude above any fleet.
pub(crate) const LARGEST: f64 = 1e100;

/// Smaller amounts count as 0; smaller weights are raised to this.
pub(crate) const SMALLEST: f64 = 1e-100;

/// The order in which floors are kept when they do not all fit: higher priorities first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The first to give up their floors.
    pub const LOWEST: Self = Self(0);

    /// The last to.
    pub const HIGHEST: Self = Self(9);

    /// How many there are.
    pub(crate) const COUNT: usize = Self::HIGHEST.0 as usize + 1;

    /// The priority of this number, from 0 to 9; what is above counts as the highest.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self(number.min(Self::HIGHEST.0))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    /// In the middle, so that others can rank before and behind.
    fn default() -> Self {
        Self(5)
    }
}

/// Cuts a rate to the range that is computed with; NaN and negatives become 0.
pub(crate) fn amount(value: f64) -> f64 {
    if value >= SMALLEST {
        value.min(LARGEST)
    } else {
        0.0
    }
}

/// Sums amounts. What is none is left out: a damaged plan may hold NaN.
pub(crate) fn total(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().fold(0.0, |sum, term| sum + amount(term))
}

/// Cuts a value to a probability; NaN becomes `otherwise`.
pub(crate) fn probability(value: f64, otherwise: f64) -> f64 {
    if value.is_nan() {
        otherwise
    } else {
        value.clamp(0.0, 1.0)
    }
}
