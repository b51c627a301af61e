//! Sums amounts that are at most some known whole: order-independent and cheap.
//!
//! Every term is cut to a multiple of one tiny unit and added as an integer, so the order of the terms
//! cannot change a bit. [`ExactSum`](crate::sum::ExactSum) loses nothing over the whole range of `f64` but
//! is several times slower. Here the whole is known, and so is what is too small to matter.

/// Bits that the unit lies below the whole. A term is at most 2⁹¹ units, so 2³⁵ of them fit before an
/// `i128` overflows, and a million terms lose less than 2⁻⁷⁰ of the whole.
const BITS: i32 = 90;

const MANTISSA_BITS: i32 = 52;
const EXPONENT_BIAS: i32 = 1023;

/// The unit that amounts are counted in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    whole: f64,
    exponent: i32,
}

/// A number of units.
pub(crate) type Units = i128;

impl Unit {
    /// The unit for sums of amounts up to `whole`, which is a normal number above 0.
    pub(crate) fn of(whole: f64) -> Self {
        Self {
            whole,
            exponent: exponent(whole) - BITS,
        }
    }

    /// Converts an amount to units; above the whole it counts as the whole, and a value that is not a
    /// positive number counts as 0.
    pub(crate) fn count(self, amount: f64) -> Units {
        let amount = amount.min(self.whole);
        if amount < f64::MIN_POSITIVE {
            return 0;
        }
        let bits = amount.to_bits();
        let mantissa = (bits & ((1 << MANTISSA_BITS) - 1)) | (1 << MANTISSA_BITS);
        let shift = exponent(amount) - MANTISSA_BITS - self.exponent;
        match shift {
            0.. => Units::from(mantissa) << shift,
            -63..0 => Units::from(mantissa >> -shift),
            _ => 0,
        }
    }

    /// Units as an amount, rounded once.
    pub(crate) fn amount(self, units: Units) -> f64 {
        units as f64 * power_of_two(self.exponent)
    }

    /// Sums amounts.
    pub(crate) fn sum(self, amounts: impl Iterator<Item = f64>) -> Units {
        amounts.map(|amount| self.count(amount)).sum()
    }
}

/// The exponent of a normal number.
fn exponent(value: f64) -> i32 {
    ((value.to_bits() >> MANTISSA_BITS) & 0x7ff) as i32 - EXPONENT_BIAS
}

/// 2 to a power in the range of normal numbers.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + EXPONENT_BIAS) as u64) << MANTISSA_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_back() {
        for whole in [1e-100, 0.3, 1.0, 500.0, 1e100] {
            let unit = Unit::of(whole);
            for part in [1.0, 0.1, 1.0 / 3.0, 1e-6] {
                let amount = unit.amount(unit.count(whole * part));
                assert!(
                    (amount / (whole * part) - 1.0).abs() < 1e-15,
                    "{whole} {part}"
                );
            }
        }
    }

    #[test]
    fn what_is_too_large_counts_as_the_whole_and_what_is_no_amount_as_none() {
        let unit = Unit::of(2.0);
        assert_eq!(unit.amount(unit.count(f64::INFINITY)), 2.0);
        assert_eq!(unit.amount(unit.count(1e99)), 2.0);
        for none in [0.0, -1.0, 1e-90, 5e-324] {
            assert_eq!(unit.count(none), 0, "{none}");
        }
    }

    #[test]
    fn a_million_small_terms_are_not_lost() {
        let unit = Unit::of(1e6);
        let sum = unit.sum(std::iter::repeat_n(0.1, 1_000_000));
        assert!((unit.amount(sum) / 1e5 - 1.0).abs() < 1e-15);
    }
}
