//! Relief of backends that do not keep up: probabilities are halved while queues are full.

/// Queues that are fuller than this are relieved.
const FULL: f64 = 0.75;

/// Below this, relief ends step by step.
const EMPTY: f64 = 0.5;

const HARDER_EACH_MS: u64 = 1_000;
const EASIER_EACH_MS: u64 = 5_000;

/// Halved so often at most: one in a million.
const HALVINGS_MAX: u32 = 20;

/// How often probabilities are halved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Relief {
    pub halvings: u32,
    changed_ms: u64,
}

impl Relief {
    /// Takes how full the fullest queue is, from 0 to 1.
    pub fn follow(&mut self, filled: f64, now_ms: u64) {
        let since = now_ms.saturating_sub(self.changed_ms);
        if filled > FULL
            && self.halvings < HALVINGS_MAX
            && (self.halvings == 0 || since >= HARDER_EACH_MS)
        {
            self.halvings += 1;
            self.changed_ms = now_ms;
        } else if filled < EMPTY && self.halvings > 0 && since >= EASIER_EACH_MS {
            self.halvings -= 1;
            self.changed_ms = now_ms;
        }
    }

    /// The factor of every probability after this many halvings.
    pub fn factor(halvings: u32) -> f64 {
        0.5_f64.powi(halvings.min(HALVINGS_MAX).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relief_grows_each_second_and_ends_slower() {
        let mut relief = Relief::default();
        for now_ms in (10_000..13_000).step_by(100) {
            relief.follow(0.9, now_ms);
        }
        assert_eq!(relief.halvings, 3);
        assert_eq!(Relief::factor(relief.halvings), 0.125);
        relief.follow(0.6, 60_000);
        assert_eq!(relief.halvings, 3);
        for now_ms in (60_000..75_000).step_by(100) {
            relief.follow(0.1, now_ms);
        }
        assert_eq!(relief.halvings, 0);
    }
}
