//! A sum that does not depend on the order of its terms.
//!
//! Floating-point addition is not associative, so a plain sum over shuffled input differs in its
//! last bits, and plans must not. Here every term is added exactly, in fixed point over the whole
//! range of `f64`, and rounded once at the end.

/// Bits per limb. A limb is a `u64`, so 2³² terms fit before a carry could be lost.
const LIMB_BITS: usize = 32;

/// Limbs that hold every finite `f64`: exponents up to 2046, a mantissa of 53 bits shifted by up
/// to 31, and one more limb for carries: 2046 / 32 + 3 + 1.
const LIMBS: usize = 67;

/// The exponent of the lowest bit of limb 0: a subnormal is `mantissa · 2^-1074`, and its field
/// of 0 is read as a shift of 0, like the field 1 of the smallest normals less one bit.
const LOWEST_EXPONENT: i32 = -1075;

const MANTISSA_BITS: u32 = 52;

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
}
