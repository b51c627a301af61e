//! Which part of a service's new names is seen again.
//!
//! Names with ids in them come once. If each were believed to stay, the budget would be shared with
//! names that never come back. So a service's new names are a process of their own: the part of them
//! that is seen again is learned, and a new name is expected with that probability.

use crate::classed::{Classed, Name};
use crate::hint::beside;
use crate::operation::{Estimate, Evidence};
use crate::tuning::estimate::Names as Tuning;
use crate::{Plan, ServiceId};

/// The part of each service's new names that are seen again; 1 for services that are not listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamesReturn(Vec<(ServiceId, f32)>);

impl NamesReturn {
    pub(crate) fn after(plan: &Plan) -> Self {
        Self::of(plan.services.iter().map(|of| (of.service, of.names_return)))
    }

    pub(crate) fn before(plan: &Plan) -> Self {
        Self::of(
            plan.services
                .iter()
                .map(|of| (of.service, of.names_return_before)),
        )
    }

    fn of(parts: impl Iterator<Item = (ServiceId, f32)>) -> Self {
        Self(
            parts
                .filter(|(_, part)| (0.0..1.0).contains(part))
                .collect(),
        )
    }

    pub(crate) fn of_service(&self, service: ServiceId) -> f64 {
        let found = self.0.binary_search_by_key(&service, |(id, _)| *id);
        found.map_or(1.0, |at| f64::from(self.0[at].1))
    }

    /// Learns from a window which of those known before it came again. Of operations with classes, `classed` says
    /// it.
    pub(crate) fn follow(&mut self, known: &[Estimate], classed: &Classed, evidence: Evidence<'_>) {
        let rates = &evidence.tuning.operation;
        let once = |old: &&Estimate| {
            let once = old.belief.once && old.silent_windows == 0 && !old.overflow;
            once && !evidence.classes.contains_key(&old.operation)
        };
        let counts = &evidence.tally.operations;
        let once = known.iter().filter(once);
        let own = beside(once, |old| old.operation, counts, |of| of.operation);
        let own = own.map(|(old, count)| {
            let counted = count.map_or(0.0, |count| count.offered as f64);
            Name::of(old, counted, evidence)
        });
        let names = own.chain(classed.once());
        let covered = names.filter(|name| evidence.is_covered(name.service));
        let seen = covered.filter_map(|name| {
            let (came, due) = name.came(rates)?;
            Some((name.service, came, due))
        });
        let mut seen: Vec<(ServiceId, f64, f64)> = seen.collect();
        seen.sort_by_key(|(service, ..)| *service);
        for own in seen.chunk_by(|one, other| one.0 == other.0) {
            let sum = |of: fn(&(ServiceId, f64, f64)) -> f64| own.iter().map(of).sum::<f64>();
            let (came, due) = (sum(|of| of.1), sum(|of| of.2));
            self.learn(own[0].0, came, due, &evidence.tuning.names);
        }
    }

    fn learn(&mut self, service: ServiceId, came: f64, due: f64, tuning: &Tuning) {
        if due <= 0.0 {
            return;
        }
        let before = self.of_service(service);
        let gain = tuning.gain * due / (due + tuning.prior);
        let next = before + gain * ((came / due).min(1.0) - before);
        let next = next.max(tuning.least) as f32;
        match self.0.binary_search_by_key(&service, |(id, _)| *id) {
            Ok(at) => self.0[at].1 = next,
            Err(at) if next < 1.0 => self.0.insert(at, (service, next)),
            Err(_) => {}
        }
    }
}
