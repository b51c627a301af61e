//! Names that are used once: ids in the names of operations.

use std::ops::Range;

use super::super::traffic::{OperationRow, Traffic};
use weir_allocation::OperationName;

/// A service mints names: in every interval, some are used that were never seen before and never are
/// again.
#[derive(Debug, Clone, PartialEq)]
pub struct Mint {
    /// How many names an interval.
    pub names: usize,
    /// What they all use, as a part of the whole traffic.
    pub part: f64,
    /// In these intervals.
    pub intervals: Range<usize>,
}

/// Minted names as operations of a traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    first_interval: usize,
    /// The operations of each interval, as indexes into the traffic.
    operations: Vec<Vec<usize>>,
    /// Root requests of each.
    requests: u64,
}

impl Minted {
    /// Adds an interval's requests.
    pub(super) fn add(&self, interval: usize, counts: &mut [u64]) {
        let place = interval.checked_sub(self.first_interval);
        let Some(operations) = place.and_then(|place| self.operations.get(place)) else {
            return;
        };
        for &operation in operations {
            counts[operation] += self.requests;
        }
    }
}

impl Mint {
    /// Adds the names to the traffic, as operations of its first service. `intervals` is the length of
    /// the run.
    ///
    /// # Panics
    /// Never: the names are short plain words, and new ones.
    #[must_use]
    pub fn mint(&self, traffic: &Traffic, number: usize, intervals: usize) -> (Traffic, Minted) {
        let services = traffic.services();
        let mut rows: Vec<OperationRow> = traffic
            .operations()
            .iter()
            .map(|of| {
                let service = services[of.service].name.clone();
                (service, of.name.clone(), of.counts.clone())
            })
            .collect();
        let requests: u64 = traffic
            .operations()
            .iter()
            .flat_map(|of| of.counts.iter().map(|&count| u64::from(count)))
            .sum();
        let mean = requests as f64 / traffic.rows().max(1) as f64;
        let played = self.intervals.start..self.intervals.end.min(intervals);
        let service = services[0].name.clone();
        let prefix = format!("GET /minted-{number}-");
        for interval in played.clone() {
            for name in 0..self.names {
                let name = OperationName::parse(&format!("{prefix}{interval}-{name}"));
                let name = name.expect("is a name");
                rows.push((service.clone(), name, Vec::new()));
            }
        }
        let minted = Traffic::new(traffic.labels().to_vec(), rows).expect("new names are free");
        // They are the last operations of their service, in the order in which they were added.
        let end = minted.services()[0].operations.end;
        let first = end - played.len() * self.names;
        let of = |interval: usize| {
            let from = first + interval * self.names;
            (from..from + self.names).collect()
        };
        let each = mean * self.part / self.names.max(1) as f64;
        let minted_names = Minted {
            first_interval: played.start,
            operations: (0..played.len()).map(of).collect(),
            requests: (each.round() as u64).max(1),
        };
        (minted, minted_names)
    }
}
