//! Measures what a fleet sampled, operation by operation: how much of it shows, and how even it is.

use weir_allocation::solve::{Entry, solve};

/// Counts the cells that show a trace. A cell is a span of time of one operation.
#[derive(Debug, Clone)]
pub struct Cells {
    /// Intervals in a cell.
    span: usize,
    filled: usize,
    /// Requests and traces of every operation in the cells that are being filled.
    filling: Vec<(u64, u64)>,
    cells: u64,
    covered: u64,
}

impl Cells {
    /// Starts with cells of `span` intervals, at least one.
    #[must_use]
    pub fn new(operations: usize, span: usize) -> Self {
        Self {
            span: span.max(1),
            filled: 0,
            filling: vec![(0, 0); operations],
            cells: 0,
            covered: 0,
        }
    }

    /// Adds an interval's requests and sampled traces.
    pub fn add(&mut self, offered: &[u64], sampled: &[u64]) {
        for (cell, (offered, sampled)) in self.filling.iter_mut().zip(offered.iter().zip(sampled)) {
            cell.0 += offered;
            cell.1 += sampled;
        }
        self.filled += 1;
        if self.filled == self.span {
            self.filled = 0;
            for cell in &mut self.filling {
                self.cells += u64::from(cell.0 > 0);
                self.covered += u64::from(cell.1 > 0);
                *cell = (0, 0);
            }
        }
    }

    /// The part of the cells with requests that shows a trace; 1 if there are none.
    #[must_use]
    pub fn covered(&self) -> f64 {
        match self.cells {
            0 => 1.0,
            cells => self.covered as f64 / cells as f64,
        }
    }
}

/// Adds to `sums` the traces that equal filling would have sampled of an interval's requests, if it
/// had known them.
///
/// # Units
/// `budget` in traces per second.
pub fn fill_equally(sums: &mut [f64], counts: &[u64], budget: f64, seconds: f64) {
    let present = || counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let entries: Vec<Entry> = present()
        .map(|(_, &count)| Entry {
            demand: count as f64 / seconds,
            ..Entry::default()
        })
        .collect();
    let shares = solve(&entries, budget).shares;
    for ((place, _), share) in present().zip(shares) {
        sums[place] += share * seconds;
    }
}

/// Jain's index of what was sampled over what equal filling would have sampled.
///
/// # Source
/// R. Jain, D. Chiu, W. Hawe, «A Quantitative Measure of Fairness and Discrimination», DEC
/// Research Report TR-301 (1984).
#[must_use]
pub fn jain(sampled: &[u64], ideal: &[f64]) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (&sampled, ideal) in sampled.iter().zip(ideal).filter(|(_, ideal)| **ideal > 0.0) {
        let part = sampled as f64 / ideal;
        count += 1.0;
        sum += part;
        squares += part * part;
    }
    if squares > 0.0 {
        sum * sum / (count * squares)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_covered_by_one_trace_and_counts_only_with_requests() {
        let mut cells = Cells::new(3, 2);
        cells.add(&[10, 5, 0], &[1, 0, 0]);
        assert_eq!(cells.covered(), 1.0, "no cell is full yet");
        cells.add(&[0, 5, 0], &[0, 0, 0]);
        assert_eq!(cells.covered(), 0.5);
    }

    #[test]
    fn equal_filling_gives_the_rare_all_and_the_rest_alike() {
        let mut sums = vec![0.0; 3];
        fill_equally(&mut sums, &[1000, 0, 10], 2.0, 60.0);
        assert!((sums[0] - 110.0).abs() < 1e-9 && sums[1] == 0.0, "{sums:?}");
        assert!((sums[2] - 10.0).abs() < 1e-9, "{sums:?}");
    }

    #[test]
    fn jains_index_is_one_for_equals_and_one_over_n_for_a_single_winner() {
        assert!((jain(&[5, 50], &[10.0, 100.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[5, 0, 0], &[5.0, 5.0, 0.0]) - 0.5).abs() < 1e-12);
    }
}
