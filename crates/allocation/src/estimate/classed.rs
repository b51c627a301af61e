//! Names whose entries are classes: what a window shows of an operation in all of its classes together.
//!
//! A rare class of a known operation is no new name, and a name comes again in whichever class. So whether a name
//! is known and comes again is asked of the operation, not of its entries.

use crate::hint::{Match, matches};
use crate::operation::{Estimate, Evidence};
use crate::outlook::is_edge;
use crate::tuning::estimate::Operation as Tuning;
use crate::{OperationId, ServiceId};

/// What a window shows of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub service: ServiceId,
    operation: OperationId,
    /// Whether the window before was the only one in which it was seen.
    is_once: bool,
    /// Whether it was known before the window.
    is_known: bool,
    /// Root requests expected of it.
    expected: f64,
    /// Root requests counted.
    counted: f64,
}

impl Name {
    /// One whose only entry is an operation without classes.
    pub(crate) fn of(old: &Estimate, counted: f64, evidence: Evidence<'_>) -> Self {
        Self {
            service: old.service,
            operation: old.operation,
            is_once: old.belief.once && old.silent_windows == 0,
            is_known: true,
            expected: old.belief.rate * evidence.exposure(old.service),
            counted,
        }
    }

    /// How far it has come again, and how far that was due; none if it has just begun.
    pub(crate) fn came(&self, rates: &Tuning) -> Option<(f64, f64)> {
        if is_edge(self.expected, self.counted, rates) {
            return None;
        }
        let comes = self.counted > 0.0 && !is_edge(self.counted, self.expected, rates);
        let came = f64::from(u8::from(comes));
        // One that stays may be missing by chance.
        Some((came, came.max(-(-self.expected).exp_m1())))
    }
}

/// The names of operations with classes, by operation; empty where there are none.
#[derive(Debug)]
pub(crate) struct Classed(Vec<Name>);

impl Classed {
    /// Puts the entries known before a window together with its counts.
    pub(crate) fn of(known: &[Estimate], evidence: Evidence<'_>) -> Self {
        if evidence.classes.is_empty() {
            return Self(Vec::new());
        }
        let counts = &evidence.tally.operations[..];
        let matched = matches(known, |old| old.operation, counts, |of| of.operation);
        let names = matched.filter_map(|matched| {
            let name = match matched {
                // What stands for many names is none.
                Match::Known(old, _) if old.overflow => return None,
                Match::New(count) if count.overflow => return None,
                Match::Known(old, count) => {
                    let counted = count.map_or(0.0, |count| count.offered as f64);
                    Name::of(old, counted, evidence)
                }
                Match::New(count) => Name {
                    service: count.service,
                    operation: count.operation,
                    is_once: true,
                    is_known: false,
                    expected: 0.0,
                    counted: count.offered as f64,
                },
            };
            let operation = evidence.classes.get(&name.operation)?.operation;
            Some(Name { operation, ..name })
        });
        let mut names: Vec<Name> = names.collect();
        names.sort_by_key(|name| name.operation);
        names.dedup_by(|next, name| {
            let same = next.operation == name.operation;
            if same {
                name.is_once &= next.is_once;
                name.is_known |= next.is_known;
                name.expected += next.expected;
                name.counted += next.counted;
            }
            same
        });
        Self(names)
    }

    /// Those that the window before was the only one to show.
    pub(crate) fn once(&self) -> impl Iterator<Item = Name> {
        let once = self.0.iter().filter(|name| name.is_known && name.is_once);
        once.copied()
    }

    /// Whether an entry's name was known before the window.
    pub(crate) fn is_known(&self, entry: OperationId, evidence: Evidence<'_>) -> bool {
        self.name(entry, evidence).is_some_and(|name| name.is_known)
    }

    /// Notes which names are known for good: what was seen once in one class, and comes in any.
    pub(crate) fn note(&self, known: &mut [Estimate], evidence: Evidence<'_>) {
        if self.0.is_empty() {
            return;
        }
        let rates = &evidence.tuning.operation;
        let comes = |name: &Name| {
            let came = name.came(rates).is_some_and(|(came, _)| came > 0.0);
            name.is_known && (came || !name.is_once)
        };
        for old in known.iter_mut().filter(|old| old.belief.once) {
            if self.name(old.operation, evidence).is_some_and(comes) {
                old.stays(&evidence.tuning.presence);
            }
        }
    }

    fn name(&self, entry: OperationId, evidence: Evidence<'_>) -> Option<&Name> {
        let operation = evidence.classes.get(&entry)?.operation;
        let found = self
            .0
            .binary_search_by_key(&operation, |name| name.operation);
        Some(&self.0[found.ok()?])
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use crate::{
        AgentCount, AgentId, AgentReport, Class, ClassEntry, Inputs, OperationCount, OperationId,
        Plan, Policy, ServiceId, Timestamp, Window, WindowCounts, next_plan,
    };

    const SHOP: ServiceId = ServiceId(1);
    const ERROR: Class = Class::Error;
    const REST: Class = Class::Rest;

    fn entry(operation: u32, class: Class) -> OperationId {
        OperationId(1 + 4 * operation + class as u32)
    }

    /// Plans of a tail-governed service, one after each window.
    struct Shop {
        policy: Policy,
        plan: Plan,
    }

    impl Shop {
        /// One with this many operations, of which the first ten have 600 requests in each of ten windows.
        fn of(operations: u32) -> Self {
            let mut policy = Policy::of_budget(10.0);
            for operation in 0..operations {
                for class in Class::ALL {
                    let of = ClassEntry {
                        service: SHOP,
                        operation: entry(operation, Class::Error),
                        class,
                    };
                    policy.classes.insert(entry(operation, class), of);
                }
            }
            let plan = Plan::genesis(&policy);
            let mut shop = Self { policy, plan };
            (0..10).for_each(|_| shop.pass(&[]));
            shop
        }

        /// A window with one request of each of these as well.
        fn pass(&mut self, more: &[(u32, Class)]) {
            let usual = (0..10).map(|operation| (operation, REST, 600));
            let more = more
                .iter()
                .map(|(operation, class)| (*operation, *class, 1));
            let count = |(operation, class, offered)| OperationCount {
                operation: entry(operation, class),
                service: SHOP,
                overflow: false,
                offered,
                sampled: 0,
            };
            let operations: Vec<_> = usual.chain(more).map(count).collect();
            let start = self.plan.number as i64 * 60_000;
            let window = Window {
                start: Timestamp(start),
                end: Timestamp(start + 60_000),
            };
            let report = AgentReport {
                agent: AgentId(1),
                epoch: 1,
                sequence: self.plan.number + 1,
                span: window,
                last: false,
                basis: Default::default(),
            };
            let agent = AgentCount {
                agent: AgentId(1),
                service: Some(SHOP),
                offered: operations.iter().map(|count| count.offered).sum(),
                sampled: 0,
            };
            let counts = WindowCounts {
                window,
                operations,
                reports: vec![report],
                agents: vec![agent],
                ..WindowCounts::default()
            };
            self.plan = next_plan(&self.plan, &self.policy, Inputs::new(1, &[counts]));
        }

        fn names_return(&self) -> f32 {
            self.plan.service(SHOP).unwrap().names_return
        }

        fn of_entry(&self, operation: u32, class: Class) -> crate::OperationPlan {
            let found = |of: &&crate::OperationPlan| of.operation == entry(operation, class);
            *self.plan.operations.iter().find(found).unwrap()
        }
    }

    /// Names that come once, in this class.
    fn names(shop: &mut Shop, operations: Range<u32>, class: Class) {
        for operation in operations {
            shop.pass(&[(operation, class)]);
        }
    }

    #[test]
    fn rare_classes_of_known_operations_are_no_new_names() {
        let mut shop = Shop::of(10);
        for class in [Class::Error, Class::Slow, Class::Tagged] {
            names(&mut shop, 0..10, class);
            assert!(shop.names_return() > 0.99, "{}", shop.names_return());
        }
        let seen_once = |of: &crate::OperationPlan| of.belief.once;
        assert!(!shop.plan.operations.iter().any(seen_once));
        // As operations of their own they would be.
        let mut shop = Shop::of(10);
        shop.policy.classes.clear();
        names(&mut shop, 0..10, Class::Error);
        assert!(shop.names_return() < 0.5, "{}", shop.names_return());
        // A slow trace of an operation that has had none is kept at once: it is known what it is.
        let mut shop = Shop::of(10);
        shop.pass(&[(0, Class::Slow)]);
        assert_eq!(shop.of_entry(0, Class::Slow).probability, 1.0);
    }

    #[test]
    fn a_rare_class_is_expected_like_others_of_its_class() {
        let mut shop = Shop::of(10);
        names(&mut shop, 0..9, ERROR);
        shop.pass(&[(9, ERROR)]);
        let rate = shop.of_entry(9, ERROR).belief.rate;
        assert!(rate <= 1.01 / 60.0, "{rate}");
    }

    #[test]
    fn names_that_never_come_again_are_found_in_any_class() {
        for class in [Class::Error, Class::Rest] {
            let mut shop = Shop::of(60);
            names(&mut shop, 10..60, class);
            assert!(
                shop.names_return() < 0.5,
                "{class}: {}",
                shop.names_return()
            );
        }
    }

    #[test]
    fn a_name_comes_again_in_any_class() {
        let mut shop = Shop::of(60);
        for operation in 10..59 {
            shop.pass(&[(operation, ERROR), (operation + 1, REST)]);
        }
        assert!(shop.names_return() > 0.99, "{}", shop.names_return());
        let once: Vec<_> = shop
            .plan
            .operations
            .iter()
            .filter(|of| of.belief.once)
            .collect();
        assert_eq!(once.len(), 1, "the last one: {once:?}");
    }
}
