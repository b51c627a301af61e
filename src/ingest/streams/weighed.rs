//! Makes counts of requests from those that were sampled.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::split::Split;
use super::{Amount, Entry, add, bounded};
use crate::ingest::weight::Weight;

/// Sampled root requests, and how many others they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sampled {
    roots: u64,
    /// In parts of a [`Weight`].
    others: u64,
}

impl Amount for Sampled {
    fn requests(self) -> u64 {
        self.roots
    }

    fn and(mut self, more: Self) -> Self {
        add(&mut self.roots, more.roots);
        add(&mut self.others, more.others);
        self
    }
}

/// The sums of spans, by name at start.
#[derive(Debug, Default)]
pub struct Weighed<'a>(BTreeMap<&'a str, Sampled>);

impl<'a> Weighed<'a> {
    /// Adds requests that were sampled, each with this weight.
    pub fn add(&mut self, at_start: &'a str, weight: Option<Weight>, roots: u64) {
        let others = weight.map_or(0, Weight::beside_itself);
        let more = Sampled {
            roots,
            others: others.saturating_mul(roots),
        };
        let sum = self.0.entry(at_start).or_default();
        *sum = sum.and(more);
    }

    /// The requests under each name, in whole numbers: those that were sampled, and a part of the others in
    /// proportion to what its spans stand for. `rest` is what the exports before left of a request, and gets
    /// what this one leaves, so nothing is lost over many exports.
    pub fn entries(self, rest: &mut u64, phase: u64) -> Vec<Entry<'a>> {
        let sums = self.0.into_iter();
        let sums = sums.map(|(name, sampled)| (Cow::Borrowed(name), sampled));
        let sums = bounded(sums.collect());
        let others = sums.iter().map(|(_, sampled)| sampled.others);
        let others = others.fold(0, u64::saturating_add);
        let (whole, left) = Weight::whole(others.saturating_add(*rest));
        *rest = left;
        let mut split = Split::new(whole, others, phase);
        let entries = sums.into_iter().map(|(name, sampled)| Entry {
            name,
            offered: sampled.roots.saturating_add(split.next(sampled.others)),
            sampled: sampled.roots,
        });
        entries.collect()
    }
}
