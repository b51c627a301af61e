//! Gauges of edges, of the services that they decide about, and of classes.

use crate::allocation::Class;
use crate::snapshot::{Snapshot, TailState};
use crate::telemetry::metrics::{ClassLabel, Metrics, TailLabel};

/// What becomes of services that are set to tail. It changes between two plans.
pub(super) fn tell_tails(metrics: &Metrics, snapshot: &Snapshot) {
    metrics.edges.set(snapshot.edges().following as f64);
    let mut states = [0_u32; 2];
    if snapshot.governance().has_tail() {
        for (name, service) in snapshot.services() {
            match snapshot.tail(name, service) {
                Some(TailState::InEffect) => states[0] += 1,
                Some(_) => states[1] += 1,
                None => {}
            }
        }
    }
    let labels = [TailLabel::InEffect, TailLabel::Waiting];
    for (label, count) in labels.into_iter().zip(states) {
        metrics.tail_services.of(label).set(f64::from(count));
    }
}

/// What classes offer and get, over all services.
pub(super) fn tell_classes(metrics: &Metrics, snapshot: &Snapshot) {
    let mut sums = [[0.0; 2]; Class::ALL.len()];
    for (_, service) in snapshot.services() {
        for (_, class, planned) in snapshot.classes(service) {
            let sum = &mut sums[class as usize];
            sum[0] += planned.offered;
            sum[1] += planned.share;
        }
    }
    for class in Class::ALL {
        let [offered, share] = sums[class as usize];
        let label = match class {
            Class::Error => ClassLabel::Error,
            Class::Slow => ClassLabel::Slow,
            Class::Tagged => ClassLabel::Tagged,
            Class::Rest => ClassLabel::Rest,
        };
        metrics.class_offered.of(label).set(offered);
        metrics.class_share.of(label).set(share);
    }
}
