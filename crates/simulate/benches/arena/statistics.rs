//! Means and their confidence intervals.

/// The 97.5 % quantiles of Student's t distribution by degrees of freedom, from 1 on.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
/// The quantile for more degrees of freedom.
const NORMAL: f64 = 1.96;

/// A mean and half the width of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    pub mean: f64,
    pub half: f64,
}

impl Mean {
    /// The mean of one figure per seed; none without figures.
    pub fn of(figures: &[f64]) -> Option<Self> {
        if figures.is_empty() {
            return None;
        }
        let count = figures.len() as f64;
        let mean = figures.iter().sum::<f64>() / count;
        if figures.len() == 1 {
            return Some(Self {
                mean,
                half: f64::INFINITY,
            });
        }
        let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
        let t = T.get(figures.len() - 2).copied().unwrap_or(NORMAL);
        Some(Self {
            mean,
            half: t * (squares / (count - 1.0) / count).sqrt(),
        })
    }

    /// Whether the whole interval lies below 0.
    pub fn is_below_zero(self) -> bool {
        self.mean + self.half < 0.0
    }
}
