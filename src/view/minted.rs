//! Services that mint names: most of their new names are never reported again, because the names
//! contain ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::allocation::{Class, OperationId, OperationPlan, Plan, ServiceId, Timestamp};
use crate::names::Names;

/// A service mints names if less than this part of its new names comes again.
const RETURN_LEAST: f32 = 0.5;

/// Without new names, the part that comes again does not change any more. So a service counts only
/// while some of its names were new in this many windows.
const RECENT_WINDOWS: u32 = 15;

/// The names seen once that are shown of a service. With fewer of them, it does not count.
pub const EXAMPLES: usize = 3;

/// The services named in the log with one plan. The others follow with the next.
const SERVICES_NAMED: usize = 5;

/// How long a service is not named in the log again, in milliseconds.
const PERIOD: i64 = 3_600_000;

/// A service that mints names.
#[derive(Debug, Clone, PartialEq)]
pub struct Minting {
    /// Which service.
    pub service: ServiceId,
    /// The part of its new names that comes again.
    pub names_return: f32,
    /// Operations that were seen in one window only, and that lately.
    pub seen_once: usize,
    /// The newest of them.
    pub examples: Vec<OperationId>,
}

/// Whether an operation was reported in one window only.
#[must_use]
pub fn seen_once(operation: &OperationPlan) -> bool {
    operation.belief.once && !operation.overflow
}

/// The first few names of entries: the classes of an operation have one name.
#[must_use]
pub fn examples<'n>(entries: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in entries.map(Class::of) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        if names.len() == EXAMPLES {
            break;
        }
    }
    names
}

/// The services of a plan that mint names, by number.
#[must_use]
pub fn minting(plan: &Plan) -> Vec<Minting> {
    let services = plan.services.iter();
    let services = services.filter(|service| service.names_return < RETURN_LEAST);
    let mut found: BTreeMap<ServiceId, Minting> = services
        .map(|service| {
            let minting = Minting {
                service: service.service,
                names_return: service.names_return,
                seen_once: 0,
                examples: Vec::new(),
            };
            (service.service, minting)
        })
        .collect();
    if found.is_empty() {
        return Vec::new();
    }
    let operations = plan.operations.iter().rev();
    let recent =
        |known: &&OperationPlan| seen_once(known) && known.silent_windows <= RECENT_WINDOWS;
    for known in operations.filter(recent) {
        if let Some(minting) = found.get_mut(&known.service) {
            minting.seen_once += 1;
            if minting.examples.len() < EXAMPLES {
                minting.examples.push(known.operation);
            }
        }
    }
    let found = found.into_values();
    found
        .filter(|minting| minting.seen_once >= EXAMPLES)
        .collect()
}

/// Names services that mint names in the log: each at most once an hour.
#[derive(Debug, Default)]
pub struct MintingLog(Mutex<HashMap<ServiceId, Timestamp>>);

impl MintingLog {
    /// Logs the services of a plan that are due.
    pub fn log(&self, plan: &Plan, names: &Names) {
        for minting in self.due(minting(plan), plan.window.end) {
            let service = names.service(minting.service);
            let entries = minting.examples.iter();
            let entries: Vec<_> = entries
                .filter_map(|entry| names.operation(*entry))
                .collect();
            let examples = examples(entries.iter().map(|name| &**name));
            tracing::warn!(
                plan = plan.number,
                service = service.as_deref().unwrap_or("(unknown)"),
                names_return = minting.names_return,
                seen_once = minting.seen_once,
                examples = examples.join(", "),
                "a service mints names: most of its new operations are never reported again. Take \
                 the ids out of their names"
            );
        }
    }

    /// Those to name now. A clock that was set back does not silence a service.
    fn due(&self, minting: Vec<Minting>, now: Timestamp) -> Vec<Minting> {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|_, at| now.0.abs_diff(at.0) < PERIOD.unsigned_abs());
        let due = minting
            .into_iter()
            .filter(|minting| !named.contains_key(&minting.service));
        let due: Vec<Minting> = due.take(SERVICES_NAMED).collect();
        named.extend(due.iter().map(|minting| (minting.service, now)));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{Belief, Binding, Reason, ServicePlan};

    fn service(number: u32, names_return: f32) -> ServicePlan {
        ServicePlan {
            service: ServiceId(number),
            names_return,
            ..ServicePlan::default()
        }
    }

    fn operation(number: u32, service: u32, once: bool, silent_windows: u32) -> OperationPlan {
        OperationPlan {
            operation: OperationId(number),
            service: ServiceId(service),
            overflow: false,
            offered: 1.0,
            belief: Belief {
                once,
                ..Belief::default()
            },
            belief_before: None,
            share: 0.0,
            probability: 1.0,
            turned: 0,
            binding: Binding::Level,
            reason: Reason::UNKNOWN,
            silent_windows,
            silent_before: 0,
            window_offered: 0,
            window_sampled: 0,
        }
    }

    #[test]
    fn a_service_mints_names_while_new_ones_come_and_do_not_come_again() {
        let mut plan = Plan {
            services: vec![service(1, 0.1), service(2, 0.9), service(3, 0.1)],
            operations: (1..=9)
                .map(|number| operation(number, (number - 1) / 4 + 1, true, number))
                .collect(),
            ..Plan::default()
        };
        plan.operations[0].belief.once = false;
        let minted = Minting {
            service: ServiceId(1),
            names_return: 0.1,
            seen_once: 3,
            examples: [4, 3, 2].map(OperationId).into(),
        };
        assert_eq!(minting(&plan), [minted], "the third has one such name");
        plan.operations[1].silent_windows = RECENT_WINDOWS + 1;
        assert_eq!(minting(&plan), [], "it has stopped");
    }

    #[test]
    fn a_service_is_named_once_an_hour_and_five_with_a_plan() {
        let log = MintingLog::default();
        let all = |count: u32| {
            let of = |number| Minting {
                service: ServiceId(number),
                names_return: 0.0,
                seen_once: 3,
                examples: Vec::new(),
            };
            (0..count).map(of).collect::<Vec<_>>()
        };
        let named = |count, at| log.due(all(count), Timestamp(at)).len();
        assert_eq!(named(7, 0), 5);
        assert_eq!(named(7, 60_000), 2);
        assert_eq!(named(7, PERIOD - 1), 0);
        assert_eq!(named(7, PERIOD), 5);
        assert_eq!(named(7, -PERIOD), 5, "the clock was set back");
    }
}
