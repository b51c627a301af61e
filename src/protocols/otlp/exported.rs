//! The spans of an export, roots or not, by service: what a trace costs is made of them.

use std::borrow::Cow;

use super::extract::SOURCES_MAX;
use crate::store::SpanSums;

/// The spans of one service in an export.
#[derive(Debug, PartialEq)]
pub struct SpansOf<'a> {
    /// The service.
    pub service: Cow<'a, str>,
    /// Its spans.
    pub sums: SpanSums,
}

/// The spans of an export in the reading.
#[derive(Default)]
pub(super) struct Exported<'a>(Vec<SpansOf<'a>>);

impl<'a> Exported<'a> {
    /// The place of a service; that of none if there are too many.
    pub fn place(&mut self, service: Cow<'a, str>) -> usize {
        let known = self.0.iter().position(|of| of.service == service);
        let place = known.unwrap_or(self.0.len());
        if place == self.0.len() && place < SOURCES_MAX {
            let sums = SpanSums::default();
            self.0.push(SpansOf { service, sums });
        }
        place
    }

    /// Adds to the spans of a place. Those of none are left out.
    pub fn add(&mut self, place: usize, more: SpanSums) {
        if let Some(of) = self.0.get_mut(place) {
            of.sums = of.sums.and(more);
        }
    }

    pub fn finish(self) -> Vec<SpansOf<'a>> {
        self.0
    }
}
