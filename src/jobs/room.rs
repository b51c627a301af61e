//! Makes room for names: where they fill up, those that were seen once go first.
//!
//! Otherwise a service that puts ids into its names fills its room, and its next real operation is
//! counted in `__other__` until names are a day old.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::allocation::{OperationId, OperationPlan, Plan, ServiceId};
use crate::names::Names;
use crate::store::DictionaryLimits;
use crate::view::minted::seen_once;
use crate::view::silent::{REMOVED_MAX, WINDOWS_MIN, is_silent};

/// Room is made when less than one part in this many is free.
const FREE_LEAST: usize = 20;

/// And then as much that one part in this many is free.
const FREE_AFTER: usize = 10;

/// How many names have to go.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Crowding {
    /// Of each service without room.
    services: HashMap<ServiceId, usize>,
    /// Of any service.
    fleet: usize,
}

impl Crowding {
    /// Counts the names of a plan, except those that are `retired` now or gone already.
    pub(super) fn of(
        plan: &Plan,
        names: &Names,
        limits: DictionaryLimits,
        retired: &HashSet<OperationId>,
    ) -> Self {
        let mut counts: HashMap<ServiceId, usize> = HashMap::new();
        let stay = |known: &&OperationPlan| {
            !known.overflow
                && !retired.contains(&known.operation)
                && names.row(known.operation).is_some()
        };
        for known in plan.operations.iter().filter(stay) {
            *counts.entry(known.service).or_default() += 1;
        }
        let fleet = excess(counts.values().sum(), limits.operations);
        let services = counts.into_iter().filter_map(|(service, count)| {
            let excess = excess(count, limits.operations_per_service);
            (excess > 0).then_some((service, excess))
        });
        Self {
            services: services.collect(),
            fleet,
        }
    }

    /// Whether there is room everywhere.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The names that go: seen in one window only and silent since, the longest silent first. Those to
    /// `keep` stay.
    pub(super) fn relieve(
        mut self,
        plan: &Plan,
        names: &Names,
        keep: &HashSet<OperationId>,
    ) -> Vec<OperationId> {
        let may_go = |known: &&OperationPlan| {
            seen_once(known)
                && is_silent(known, f64::from(WINDOWS_MIN))
                && !keep.contains(&known.operation)
                && names.row(known.operation).is_some()
        };
        let mut once: Vec<&OperationPlan> = plan.operations.iter().filter(may_go).collect();
        once.sort_unstable_by_key(|known| (Reverse(known.silent_windows), known.operation));
        let (mut going, rest): (Vec<&OperationPlan>, Vec<_>) =
            once.into_iter().partition(|known| {
                let excess = self.services.get_mut(&known.service);
                excess.is_some_and(take_one)
            });
        // They make room in the fleet, too.
        let fleet = self.fleet.saturating_sub(going.len());
        going.extend(rest.into_iter().take(fleet));
        let going = going.iter().take(REMOVED_MAX);
        going.map(|known| known.operation).collect()
    }
}

fn take_one(excess: &mut usize) -> bool {
    let some = *excess > 0;
    *excess = excess.saturating_sub(1);
    some
}

/// How many of so many names have to go below a limit.
fn excess(count: usize, limit: u32) -> usize {
    let limit = limit as usize;
    let free = limit.saturating_sub(count);
    if free * FREE_LEAST >= limit {
        return 0;
    }
    limit.div_ceil(FREE_AFTER) - free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_a_twentieth_is_free_until_a_tenth_is() {
        assert_eq!(excess(0, 100), 0);
        assert_eq!(excess(95, 100), 0);
        assert_eq!(excess(96, 100), 6);
        assert_eq!(excess(100, 100), 10);
        assert_eq!(excess(10, 10), 1);
        assert_eq!(excess(9, 10), 0);
        assert_eq!(excess(1, 1), 1);
        assert_eq!(excess(110, 100), 10, "a limit was lowered");
    }
}
