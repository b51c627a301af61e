//! Splits a count in proportion to weights, in whole numbers that add up.

/// Hands out a count, weight by weight. Where a boundary falls inside a request, the phase decides who
/// gets it: without bias over many counts.
pub struct Split {
    count: u128,
    all: u128,
    phase: u128,
    weighed: u128,
    given: u128,
}

impl Split {
    /// Splits `count` over weights that add up to `all`.
    pub fn new(count: u64, all: u64, phase: u64) -> Self {
        let all = u128::from(all);
        Self {
            count: u128::from(count),
            all,
            phase: u128::from(phase) % all.max(1),
            weighed: 0,
            given: 0,
        }
    }

    /// The part of the next weight. Where the count is at most all weights, no part is more than its weight.
    pub fn next(&mut self, weight: u64) -> u64 {
        self.weighed = (self.weighed + u128::from(weight)).min(self.all);
        if self.all == 0 {
            return 0;
        }
        let until = (self.count * self.weighed + self.phase) / self.all;
        let part = until - self.given;
        self.given = until;
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(count: u64, weights: &[u64], phase: u64) -> Vec<u64> {
        let mut split = Split::new(count, weights.iter().sum(), phase);
        weights.iter().map(|weight| split.next(*weight)).collect()
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_in_proportion(
            count in prop_oneof![0..100_u64, 0..u64::MAX],
            weights in prop::collection::vec(prop_oneof![0..10_u64, 0..1_000_000_000_000_u64], 1..20),
            phase: u64,
        ) {
            let all: u64 = weights.iter().sum();
            prop_assume!(all > 0);
            let parts = parts(count, &weights, phase);
            prop_assert_eq!(parts.iter().sum::<u64>(), count);
            for (part, weight) in parts.iter().zip(&weights) {
                let even = count as f64 * *weight as f64 / all as f64;
                prop_assert!((*part as f64 - even).abs() <= 1.0 + even * 1e-9);
                prop_assert!(count > all || part <= weight);
            }
        }
    }

    #[test]
    fn a_single_request_goes_to_everybody_in_turn() {
        let mut sums = [0; 3];
        for turn in 0..10_000_u64 {
            let phase = super::super::phase(7, turn);
            for (sum, part) in sums.iter_mut().zip(parts(1, &[5, 3, 2], phase)) {
                *sum += part;
            }
        }
        // Binomial(10,000, p): within 5 standard deviations.
        for (sum, wanted) in sums.iter().zip([5000, 3000, 2000_u64]) {
            assert!(sum.abs_diff(wanted) < 250, "{sums:?}");
        }
    }
}
