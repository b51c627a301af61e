//! The offered rate of every operation, estimated window by window.
//!
//! Counts are taken before sampling, so an estimate does not depend on the served probabilities, and
//! nothing can oscillate. Learning goes by windows, not by seconds: what a count is worth depends on its
//! size, not on its duration.
//!
//! A scalar Kalman filter follows each operation's rate on a relative scale: docs/allocation.md, *The rate of an
//! operation*. The common change of all operations is removed [first](crate::common). Whether an operation has
//! traffic at all is tracked [separately](crate::presence), including its [period](crate::rhythm).

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::classed::Classed;
use crate::common::{Common, Shift, Trend};
use crate::first_seen::first_seen;
use crate::hint::{Match, beside, matches};
use crate::outlook::{Outlook, is_edge};
use crate::peak;
use crate::presence::Presence;
use crate::priors::Priors;
use crate::rhythm::Rhythm;
use crate::state::Shared;
use crate::tally::SortedCounts;
use crate::trust::Trust;
use crate::tuning::Estimate as Tuning;
use crate::tuning::share::Peaks;
use crate::{
    Belief, Binding, ClassEntry, OperationCount, OperationId, OperationPlan, Reason, ServiceId,
};

/// The lowest rate, in root requests per second: a share divided by it is still a probability, and a
/// million such operations cost nothing.
const LEAST_RATE: f64 = 1e-12;

/// An operation after a window.
///
/// It holds what the next plan will list. So a list of a million estimates is turned into that plan's list in
/// place, and each window is followed in place, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// What the next plan will list. What it decides is still that of the plan before.
    plan: OperationPlan,
    /// Whether the newest window is the first in which it was seen.
    pub is_new: bool,
    /// See [`Estimate::rate`].
    rate: f64,
    /// See [`Estimate::presence`].
    presence: f64,
    /// Whether it had no traffic in the window, and not by chance.
    pub is_silent: bool,
}

impl Deref for Estimate {
    type Target = OperationPlan;

    fn deref(&self) -> &OperationPlan {
        &self.plan
    }
}

impl Estimate {
    /// Reads an operation of a plan, of a fleet with this trend.
    pub(crate) fn of(plan: &OperationPlan, trend: Trend, tuning: &Tuning) -> Self {
        let mut estimate = Self::new(*plan, false);
        estimate.plan_ahead(trend, tuning);
        estimate
    }

    pub(crate) fn new(plan: OperationPlan, is_new: bool) -> Self {
        Self {
            plan,
            is_new,
            rate: 0.0,
            presence: 0.0,
            is_silent: false,
        }
    }

    /// Reads what a plan knew before its first window that may still change; none if the operation was first
    /// seen since.
    pub(crate) fn before(plan: &OperationPlan, trend: Trend, tuning: &Tuning) -> Option<Self> {
        let before = OperationPlan {
            belief: plan.belief_before?,
            silent_windows: plan.silent_before,
            window_offered: 0,
            window_sampled: 0,
            ..*plan
        };
        Some(Self::of(&before, trend, tuning))
    }

    /// Works out what the belief says of the time when a plan made now is used.
    fn plan_ahead(&mut self, trend: Trend, tuning: &Tuning) {
        let presence = Presence::of(&self.belief);
        let later = tuning.operation.later();
        let by_chance = presence.ahead(later);
        let expected =
            Rhythm::of(&self.belief).expected(presence.present, presence.stay, by_chance, later);
        self.rate = tame(self.belief.rate * trend.ahead(tuning));
        self.presence = Presence::tame(expected);
        self.is_silent = self.window_offered == 0 && presence.present < tuning.presence.present;
    }

    /// Remembers what is believed: the windows that follow may still change.
    pub(crate) fn settle(&mut self) {
        self.plan.belief_before = Some(self.plan.belief);
        self.plan.silent_before = self.plan.silent_windows;
    }

    /// What the plan lists, with what it decides.
    pub(crate) fn decided(
        self,
        share: f64,
        probability: f64,
        binding: Binding,
        reason: Reason,
    ) -> OperationPlan {
        OperationPlan {
            offered: self.demand(),
            share,
            probability,
            turned: 0,
            binding,
            reason,
            ..self.plan
        }
    }

    /// Takes its name for one that stays. One that pauses has yet to show how often it comes.
    pub(crate) fn stays(&mut self, tuning: &crate::tuning::estimate::Presence) {
        self.plan.belief.once = false;
        if self.silent_windows == 0 {
            let stays = Presence::new(1.0, tuning);
            self.plan.belief.stay = stays.stay as f32;
            self.plan.belief.wake = stays.wake as f32;
        }
    }

    /// Takes over a window's counts.
    fn count(&mut self, count: Option<&OperationCount>) {
        self.is_new = false;
        self.plan.window_offered = count.map_or(0, |count| count.offered);
        self.plan.window_sampled = count.map_or(0, |count| count.sampled);
    }

    /// The offered rate while it has traffic, when a plan made now is used, in root requests per
    /// second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// The probability that it has traffic when a plan made now is used.
    pub(crate) fn presence(&self) -> f64 {
        self.presence
    }

    /// The offered rate that the next window is planned for, in root requests per second.
    pub(crate) fn demand(&self) -> f64 {
        self.rate * self.presence
    }
}

/// What a window shows, and how much of it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub tally: &'a SortedCounts<'a>,
    pub trust: &'a Trust,
    /// The place of the window among those that are read.
    pub window: usize,
    /// Windows since the previous window; more than 1 after a gap.
    pub windows: f64,
    /// Which entries are classes of operations.
    pub classes: &'a BTreeMap<OperationId, ClassEntry>,
    pub tuning: &'a Tuning,
    pub peaks: &'a Peaks,
}

impl Evidence<'_> {
    /// The seconds of a service's traffic that its counts stand for.
    pub(crate) fn exposure(&self, service: ServiceId) -> f64 {
        self.tally.seconds * self.trust.exposure(service, self.window)
    }

    /// Whether so much of a service's window is in that no count means no traffic.
    pub(crate) fn is_covered(&self, service: ServiceId) -> bool {
        self.trust.exposure(service, self.window) >= self.tuning.operation.covered
    }
}

/// Carries the estimates (sorted by operation) and what they have in common over a window.
pub(crate) fn advance(
    known: &mut Vec<Estimate>,
    classed: &Classed,
    fleet: &Shared,
    evidence: Evidence<'_>,
) -> (Common, Trend) {
    let counts = &evidence.tally.operations[..];
    let (trend, names) = (fleet.trend, &fleet.names_return);
    let mut new = Vec::new();
    let matched = matches(known, |old| old.operation, counts, |of| of.operation);
    let outlooks = matched.filter_map(|matched| match matched {
        // Whether names that were seen once come again says nothing of the others.
        Match::Known(old, count) if !old.belief.once => {
            Outlook::of(old, count, evidence, (trend.step(), names))
        }
        Match::Known(..) => None,
        Match::New(count) => {
            new.push(count);
            None
        }
    });
    let scatter = evidence.trust.scatter(evidence.window);
    let (common, shift, trend) =
        fleet
            .common
            .after(outlooks, trend, evidence.windows, scatter, evidence.tuning);
    new.retain(|count| evidence.exposure(count.service) > 0.0);
    let priors = (!new.is_empty()).then(|| Priors::of(known, evidence.classes));
    classed.note(known, evidence);
    let olds = known.iter_mut();
    for (old, count) in beside(olds, |old| old.operation, counts, |of| of.operation) {
        match Outlook::of(old, count, evidence, (shift.change, names)) {
            Some(outlook) => follow(old, count, &outlook, evidence, shift),
            None => carry(old, count, evidence, shift),
        }
        old.plan_ahead(trend, evidence.tuning);
    }
    if let Some(priors) = priors {
        known.extend(new.into_iter().map(|count| {
            let is_known = classed.is_known(count.operation, evidence);
            let stays = (!is_known).then(|| names.of_service(count.service));
            let mut estimate = first_seen(count, &priors, evidence, stays);
            estimate.plan_ahead(trend, evidence.tuning);
            estimate
        }));
        // New names have the highest numbers, so nearly always they are in order.
        if !known.is_sorted_by_key(|known| known.operation) {
            known.sort_by_key(|known| known.operation);
        }
    }
    (common, trend)
}

/// Carries a belief over a window that shows nothing of the operation: it changes as the fleet does, if it has
/// traffic.
fn carry(old: &mut Estimate, count: Option<&OperationCount>, evidence: Evidence<'_>, shift: Shift) {
    let before = &old.belief;
    let presence = Presence::of(before);
    let (rhythm, present) = Rhythm::of(before).carried(
        evidence.windows,
        presence.present,
        presence.stay,
        presence.expected(),
    );
    let presence = presence.present(present);
    let tuning = &evidence.tuning.operation;
    let variance = f64::from(before.variance) + tuning.drift() * evidence.windows;
    let rate = before.rate * shift.of(presence.present);
    old.plan.belief = Belief {
        once: before.once,
        fell: before.fell,
        ..belief(
            rate,
            variance.min(tuning.variance_most()),
            presence,
            rhythm,
            f64::from(before.peak),
        )
    };
    old.count(count);
}

/// Follows a window.
///
/// The gain depends on the expectation, not on the count; otherwise windows that hold more by chance
/// would also weigh more. An empty window counts with the probability that it is empty by chance.
///
/// # Source
/// docs/allocation.md, *The rate of an operation*.
fn follow(
    old: &mut Estimate,
    count: Option<&OperationCount>,
    outlook: &Outlook,
    evidence: Evidence<'_>,
    shift: Shift,
) {
    let Outlook {
        expected, variance, ..
    } = *outlook;
    let (gain, variance) = if outlook.step {
        (1.0, first_variance(outlook.counted, evidence.tuning))
    } else {
        (outlook.gain(), (1.0 - outlook.gain()) * variance)
    };
    let followed =
        (expected + gain * (outlook.counted - expected)) / evidence.exposure(old.service);
    let rate = if outlook.step {
        followed
    } else {
        // What was expected has the whole change in it.
        let present = outlook.presence.present;
        followed * shift.of(present) / shift.change / shift.own(present)
    };
    let (comes, was_silent) = (outlook.comes, old.silent_windows > 0);
    let rhythm =
        Rhythm::of(&old.belief).after(comes, was_silent, evidence.windows, &evidence.tuning.rhythm);
    // What it was seen by first may have been the edge of this window.
    let edge = is_edge(
        outlook.expected,
        outlook.counted,
        &evidence.tuning.operation,
    );
    let once = old.belief.once && (!comes || edge);
    // At once: one that pauses first has yet to show how often it comes.
    let again = old.belief.once && !once && old.silent_windows == 0;
    let presence = if again {
        Presence::new(1.0, &evidence.tuning.presence)
    } else {
        outlook.presence
    };
    let seen = if comes {
        rate.min(old.belief.rate)
    } else {
        0.0
    };
    let peak = peak::after(
        f64::from(old.belief.peak),
        seen,
        evidence.windows,
        evidence.peaks,
    );
    old.plan.belief = Belief {
        once,
        fell: outlook.edge || outlook.step && outlook.counted < outlook.expected,
        ..belief(rate, variance, presence, rhythm, peak)
    };
    old.plan.silent_windows = if comes {
        0
    } else {
        old.silent_windows.saturating_add(1)
    };
    old.count(count);
}

/// The relative variance of an estimate that one count shows.
pub(crate) fn first_variance(counted: f64, tuning: &Tuning) -> f64 {
    1.0 / counted + tuning.operation.noise * tuning.operation.noise
}

pub(crate) fn belief(
    rate: f64,
    variance: f64,
    presence: Presence,
    rhythm: Rhythm,
    peak: f64,
) -> Belief {
    Belief {
        peak: peak as f32,
        once: false,
        fell: false,
        rate: tame(rate),
        variance: variance as f32,
        presence: presence.present as f32,
        stay: presence.stay as f32,
        wake: presence.wake as f32,
        gap: rhythm.gap,
        since: rhythm.since,
        regular: rhythm.regular as f32,
    }
}

/// Cuts a rate to what can be divided by.
pub(crate) fn tame(rate: f64) -> f64 {
    crate::amount::amount(rate).max(LEAST_RATE)
}
