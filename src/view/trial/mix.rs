//! Which operations the requests of services are, where only the sums of services are known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::allocation::{
    Belief, Binding, Bounds, OVERFLOW_SERVICE, OperationId, OperationPlan, Plan, Policy, Reason,
    ServiceId, magnitude,
};

/// Operations of which one may have 2^this times the requests of another one, and are taken together: as little as
/// there is room for.
const MAGNITUDES: [u32; 3] = [0, 2, 16];

/// The operations of a fleet, each by itself or with others of about its size.
pub struct Mix {
    entries: Vec<Entry>,
    alone: usize,
    together: usize,
    together_ratio: f64,
    other_ratio: f64,
}

/// An operation, or several of about the same size.
struct Entry {
    operation: OperationId,
    service: ServiceId,
    overflow: bool,
    /// How many operations it is.
    members: f64,
    /// The places of its services, and which part of their requests it has.
    parts: Vec<(usize, f64)>,
}

/// An operation before it is known whether it is taken with others.
struct Candidate {
    operation: OperationId,
    service: ServiceId,
    overflow: bool,
    place: usize,
    part: f64,
    rate: f64,
}

/// What operations must have in common to be taken together: the service if it has settings of its own.
type Kind = (Option<ServiceId>, bool, u16);

impl Mix {
    /// Divides services as a plan does. Of each service, `rates` has what it offers in the mean; a service is at the place
    /// that `places` says, and place 0 has all that nobody knows any more. At most about `entries_max` entries are made.
    #[must_use]
    pub fn of(
        plan: &Plan,
        policy: &Policy,
        (places, rates): (&HashMap<ServiceId, usize>, &[f64]),
        entries_max: usize,
    ) -> Self {
        let mut all = candidates(plan, places, rates);
        let offered: f64 = rates.iter().sum();
        let part = |rate: f64| if offered > 0.0 { rate / offered } else { 0.0 };
        let other_ratio = part(rates.first().copied().unwrap_or(0.0));
        if all.len() <= entries_max {
            return Self {
                alone: all.len(),
                together: 0,
                together_ratio: 0.0,
                other_ratio,
                entries: all.into_iter().map(Candidate::alone).collect(),
            };
        }
        let own = |of: &Candidate| policy.operations.contains_key(&of.operation);
        all.sort_by_key(|of| (Reverse((own(of), of.rate.to_bits())), of.operation));
        let small = all.split_off((entries_max / 2).max(1));
        let together_ratio = part(small.iter().map(|of| of.rate).sum());
        let (alone, together) = (all.len(), small.len());
        let mut entries: Vec<Entry> = all.into_iter().map(Candidate::alone).collect();
        entries.extend(joined(policy, small, entries_max.saturating_sub(alone)));
        Self {
            entries,
            alone,
            together,
            together_ratio,
            other_ratio,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many operations are played by themselves.
    #[must_use]
    pub fn alone(&self) -> usize {
        self.alone
    }

    /// How many are played together with others.
    #[must_use]
    pub fn together(&self) -> usize {
        self.together
    }

    /// The part of the requests that these have.
    #[must_use]
    pub fn together_ratio(&self) -> f64 {
        self.together_ratio
    }

    /// The part of the requests that are of services nobody knows any more.
    #[must_use]
    pub fn other_ratio(&self) -> f64 {
        self.other_ratio
    }

    /// A policy under which each entry has the bounds of its members.
    pub(super) fn under(&self, mut policy: Policy) -> Policy {
        for entry in self.entries.iter().filter(|of| of.members > 1.0) {
            let (bounds, _) = policy.bounds(entry.service, entry.operation);
            // A weight is multiplied by the rate to this power, which is that of all members.
            let exponent = policy.weight_exponent.clamp(0.0, 1.0);
            let all = Bounds {
                weight: bounds.weight * entry.members.powf(1.0 - exponent),
                floor: bounds.floor * entry.members,
                cap: bounds.cap * entry.members,
                ..bounds
            };
            policy.operations.insert(entry.operation, all);
        }
        policy
    }

    /// The operations as a plan has them whose services offer this much, in root requests per second, sorted.
    #[must_use]
    pub fn operations(&self, services: &[f64]) -> Vec<OperationPlan> {
        let rate = |parts: &[(usize, f64)]| -> f64 {
            let each = parts.iter();
            each.map(|(place, part)| services[*place] * part).sum()
        };
        let all = self.entries.iter().map(|of| (of, rate(&of.parts)));
        let all = all.filter(|(_, rate)| *rate > 0.0);
        let mut plans: Vec<_> = all.map(|(of, rate)| of.offering(rate)).collect();
        plans.sort_unstable_by_key(|plan| plan.operation);
        plans
    }

    /// How many operations each entry is, by its number, where it is more than one.
    pub(super) fn members(&self) -> HashMap<OperationId, f64> {
        let joined = self.entries.iter().filter(|of| of.members > 1.0);
        joined.map(|of| (of.operation, of.members)).collect()
    }
}

impl Entry {
    fn offering(&self, rate: f64) -> OperationPlan {
        OperationPlan {
            operation: self.operation,
            service: self.service,
            overflow: self.overflow,
            offered: rate,
            belief: Belief {
                rate,
                presence: 1.0,
                stay: 1.0,
                ..Belief::default()
            },
            belief_before: None,
            share: 0.0,
            probability: 0.0,
            turned: 0,
            binding: Binding::Level,
            reason: Reason::UNKNOWN,
            silent_windows: 0,
            silent_before: 0,
            window_offered: 1,
            window_sampled: 0,
        }
    }
}

impl Candidate {
    fn alone(self) -> Entry {
        Entry {
            operation: self.operation,
            service: self.service,
            overflow: self.overflow,
            members: 1.0,
            parts: vec![(self.place, self.part)],
        }
    }
}

/// Every operation with its part of its service. A service without operations in the plan is one operation.
fn candidates(plan: &Plan, places: &HashMap<ServiceId, usize>, rates: &[f64]) -> Vec<Candidate> {
    let place = |service| places.get(&service).copied().unwrap_or(0);
    let mut sums = vec![(0.0, 0.0, 0.0); rates.len()];
    for of in &plan.operations {
        let sum = &mut sums[place(of.service)];
        *sum = (sum.0 + of.offered, sum.1 + of.belief.rate, sum.2 + 1.0);
    }
    let part = |of: &OperationPlan, (offered, believed, count): (f64, f64, f64)| {
        if offered > 0.0 {
            of.offered / offered
        } else if believed > 0.0 {
            of.belief.rate / believed
        } else {
            1.0 / count
        }
    };
    let listed = plan.operations.iter().filter_map(|of| {
        let place = place(of.service);
        let part = part(of, sums[place]);
        let rate = rates[place] * part;
        (place > 0 && rate > 0.0).then_some(Candidate {
            operation: of.operation,
            service: of.service,
            overflow: of.overflow,
            place,
            part,
            rate,
        })
    });
    let mut all: Vec<Candidate> = listed.collect();
    let services = places.iter().map(|(service, place)| (*service, *place));
    let gone = std::iter::once((OVERFLOW_SERVICE, 0));
    let unlisted = services.filter(|(_, place)| *place > 0 && sums[*place].2 == 0.0);
    for (service, place) in gone.chain(unlisted) {
        if rates[place] > 0.0 {
            all.push(Candidate {
                // No dictionary comes up to these numbers.
                operation: OperationId(u32::MAX - place as u32),
                service,
                overflow: false,
                place,
                part: 1.0,
                rate: rates[place],
            });
        }
    }
    all.sort_unstable_by_key(|of| of.operation);
    all
}

/// Takes operations together: as alike as there is room for.
fn joined(policy: &Policy, small: Vec<Candidate>, most: usize) -> Vec<Entry> {
    let kind = |of: &Candidate, shift: u32| -> Kind {
        let service = policy.services.contains_key(&of.service);
        let size = magnitude(of.rate).checked_shr(shift).unwrap_or(0);
        (service.then_some(of.service), of.overflow, size)
    };
    let kinds = |shift: u32| {
        let kinds = small.iter().map(|of| kind(of, shift));
        kinds.collect::<std::collections::BTreeSet<Kind>>().len()
    };
    let mut shifts = MAGNITUDES.into_iter();
    let shift = shifts.find(|shift| kinds(*shift) <= most);
    let shift = shift.unwrap_or(MAGNITUDES[MAGNITUDES.len() - 1]);
    let mut sorted: BTreeMap<Kind, (Entry, BTreeMap<usize, f64>)> = BTreeMap::new();
    for of in small {
        let found = sorted.entry(kind(&of, shift));
        let (entry, parts) = found.or_insert_with(|| {
            let entry = Entry {
                operation: of.operation,
                service: of.service,
                overflow: of.overflow,
                members: 0.0,
                parts: Vec::new(),
            };
            (entry, BTreeMap::new())
        });
        entry.members += 1.0;
        *parts.entry(of.place).or_default() += of.part;
    }
    let entries = sorted.into_values().map(|(entry, parts)| Entry {
        parts: parts.into_iter().collect(),
        ..entry
    });
    entries.collect()
}
