//! Sums that do not depend on the order of their terms.
//!
//! Floating-point addition is not associative, so a plain sum over shuffled input differs in its last bits,
//! and plans must not. So terms are added as integers: exactly ([`ExactSum`]), or as multiples of a tiny
//! [`Unit`].

/// Bits per limb. A limb is a `u64`, so 2³² terms fit before a carry could be lost.
const LIMB_BITS: usize = 32;

/// Limbs that hold every finite `f64`: exponents up to 2046, a mantissa of 53 bits shifted by up
/// to 31, and one more limb for carries: 2046 / 32 + 3 + 1.
const LIMBS: usize = 67;

/// The exponent of the lowest bit of limb 0: a subnormal is `mantissa · 2^-1074`, and its field
/// of 0 is read as a shift of 0, like the field 1 of the smallest normals less one bit.
const LOWEST_EXPONENT: i32 = -1075;

const MANTISSA_BITS: i32 = 52;

/// The exact sum of non-negative finite numbers.
#[derive(Debug, Clone)]
pub(crate) struct ExactSum {
    limbs: [u64; LIMBS],
}

impl ExactSum {
    pub(crate) fn new() -> Self {
        Self { limbs: [0; LIMBS] }
    }

    /// Adds a term; a negative, infinite or NaN term is ignored.
    pub(crate) fn add(&mut self, term: f64) {
        if !(term > 0.0 && term.is_finite()) {
            return;
        }
        let bits = term.to_bits();
        let field = (bits >> MANTISSA_BITS) as usize;
        let fraction = bits & ((1 << MANTISSA_BITS) - 1);
        let mantissa = if field == 0 {
            fraction << 1
        } else {
            fraction | (1 << MANTISSA_BITS)
        };
        let wide = u128::from(mantissa) << (field % LIMB_BITS);
        let limb = field / LIMB_BITS;
        self.limbs[limb] += u64::from(wide as u32);
        self.limbs[limb + 1] += u64::from((wide >> LIMB_BITS) as u32);
        self.limbs[limb + 2] += u64::from((wide >> (2 * LIMB_BITS)) as u32);
    }

    /// The sum as an `f64`, within two units in the last place; what is under 2⁻¹⁰¹¹ is lost.
    pub(crate) fn total(&self) -> f64 {
        let mut carry = 0;
        let mut total = 0.0;
        for (index, limb) in self.limbs.iter().enumerate() {
            let value = limb + carry;
            carry = value >> LIMB_BITS;
            let digit = value & u64::from(u32::MAX);
            if digit != 0 {
                let exponent = (index * LIMB_BITS) as i32 + LOWEST_EXPONENT;
                total += digit as f64 * power_of_two(exponent);
            }
        }
        total
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, terms: I) {
        for term in terms {
            self.add(term);
        }
    }
}

/// 2 to a power, exact; 0 below the normal range, infinite above it.
fn power_of_two(exponent: i32) -> f64 {
    match exponent + 1023 {
        ..=0 => 0.0,
        field @ 1..2047 => f64::from_bits((field as u64) << MANTISSA_BITS),
        _ => f64::INFINITY,
    }
}

/// Sums the terms, in whatever order they come.
pub(crate) fn exact_sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = ExactSum::new();
    sum.extend(terms);
    sum.total()
}

/// Bits that the unit lies below the whole. A term is at most 2⁹¹ units, so 2³⁵ of them fit before an
/// `i128` overflows, and a million terms lose less than 2⁻⁷⁰ of the whole.
const BITS: i32 = 90;

/// A unit in which amounts up to a known whole are summed.
///
/// Every amount is cut to a multiple of it and added as an integer. [`ExactSum`] loses nothing over the whole
/// range of `f64`, but is several times slower. Here the whole is known, and so is what is too small to matter.
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
    ((value.to_bits() >> MANTISSA_BITS) & 0x7ff) as i32 - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_terms_come_back_unchanged() {
        for term in [1.0, 0.1, 1e-280, 1e300, 123_456.789] {
            assert_eq!(exact_sum([term]), term);
        }
    }

    #[test]
    fn small_terms_are_not_lost_beside_large_ones() {
        let mut terms = vec![1e16];
        terms.extend([0.5; 1000]);
        assert_eq!(exact_sum(terms.iter().copied()), 1e16 + 500.0);
        terms.reverse();
        assert_eq!(exact_sum(terms), 1e16 + 500.0);
    }

    #[test]
    fn what_is_no_amount_adds_nothing() {
        assert_eq!(exact_sum([f64::NAN, -1.0, f64::INFINITY, 2.0, 0.0]), 2.0);
    }

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
