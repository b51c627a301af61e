//! Which operations each rule means.
//!
//! Found once for each state of the rules and of the names, not for each plan. Rules that name a service or an
//! operation are found by that name. Of the others, those with a pattern are found by a run of characters that
//! every name they match contains: one automaton finds all of these runs in one pass over a name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::patterns::Patterns;
use super::{Pattern, Rule, tagged_operation};
use crate::allocation::{Class, OVERFLOW_NAME, OperationId, ServiceId};
use crate::configuration::{BoundsSettings, Configuration};
use crate::names::Names;
use crate::store::Incarnation;

/// How many operations of a rule are given as examples.
const EXAMPLES: usize = 5;

/// The rules of a document in the order of their precedence, and what each of them matches. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// The first takes precedence over the second.
    rules: Vec<Arc<Ordered>>,
    found: Arc<Found>,
}

/// What the rules match, by their places.
#[derive(Debug, Default)]
struct Found {
    /// The rules for all operations of a service.
    services: HashMap<ServiceId, Vec<u32>>,
    /// All rules of an operation, if one of them is not for all operations of its service.
    operations: HashMap<OperationId, (ServiceId, Vec<u32>)>,
    matched: Vec<Matched>,
    /// The place of each rule, by its name.
    places: HashMap<String, u32>,
}

/// A rule at its place.
#[derive(Debug, Clone)]
pub(in crate::configuration) struct Ordered {
    pub(super) name: String,
    pub(super) rule: Rule,
    pub(super) settings: BoundsSettings,
    service: Pattern,
    operation: Pattern,
}

impl Ordered {
    /// How specific it is: by its operation, then by its service.
    pub(super) fn specificity(&self) -> (u32, u32) {
        (self.operation.specificity(), self.service.specificity())
    }
}

/// What a rule matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// How many known operations. Overflow entries do not count.
    pub operations: usize,
    /// How many services have one of them.
    pub services: usize,
    /// Some of them.
    pub examples: Vec<OperationId>,
    /// Whether it is for tagged requests of a known service. These are no operation until some are counted.
    tagged: bool,
    last: Option<ServiceId>,
}

impl Matched {
    /// Whether it matches anything.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.operations > 0 || self.tagged
    }

    fn add(&mut self, service: ServiceId, operation: OperationId) {
        self.operations += 1;
        if self.last.replace(service) != Some(service) {
            self.services += 1;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(operation);
        }
    }
}

/// The rules by how they are found.
struct Index<'r> {
    rules: &'r [Arc<Ordered>],
    /// Rules that name service and operation.
    both: HashMap<(&'r str, &'r str), Vec<u32>>,
    /// Rules that name the service alone.
    by_service: HashMap<&'r str, Vec<u32>>,
    /// Rules that name the operation alone.
    by_operation: HashMap<&'r str, Vec<u32>>,
    /// The services of rules that do not name one.
    services: Patterns<'r>,
    /// The operations of rules that name neither.
    operations: Patterns<'r>,
}

/// The rules of one service.
#[derive(Default)]
struct OfService {
    /// For all of its operations.
    each: Vec<u32>,
    /// For some of its operations, by pattern, and for no other service.
    own: Vec<u32>,
    /// Those that do not name their service and mean this one, in ascending order.
    shared: Vec<u32>,
}

impl<'r> Index<'r> {
    fn of(rules: &'r [Arc<Ordered>]) -> Self {
        let mut both: HashMap<_, Vec<u32>> = HashMap::new();
        let mut by_service: HashMap<_, Vec<u32>> = HashMap::new();
        let mut by_operation: HashMap<_, Vec<u32>> = HashMap::new();
        let mut wide = Vec::new();
        let numbered = || (0..).zip(rules);
        for (number, rule) in numbered() {
            match (&rule.service, &rule.operation) {
                (Pattern::Exact(service), Pattern::Exact(operation)) => {
                    both.entry((&**service, &**operation))
                        .or_default()
                        .push(number);
                }
                (Pattern::Exact(service), _) => {
                    by_service.entry(&**service).or_default().push(number);
                }
                (_, Pattern::Exact(operation)) => {
                    by_operation.entry(&**operation).or_default().push(number);
                }
                (_, Pattern::Glob(_)) => wide.push((number, &rule.operation)),
                (_, Pattern::Any) => {}
            }
        }
        let shared = numbered().filter(|(_, rule)| !matches!(rule.service, Pattern::Exact(_)));
        Self {
            services: Patterns::of(shared.map(|(number, rule)| (number, &rule.service))),
            operations: Patterns::of(wide.into_iter()),
            rules,
            both,
            by_service,
            by_operation,
        }
    }

    fn service(&self, name: &str) -> OfService {
        let named = self.by_service.get(name).into_iter().flatten().copied();
        let shared = self.services.matching(name);
        let is_each = |number: &u32| self.rules[*number as usize].operation == Pattern::Any;
        let (mut each, own): (Vec<u32>, Vec<u32>) = named.partition(is_each);
        each.extend(shared.iter().copied().filter(is_each));
        OfService { each, own, shared }
    }

    /// The rules of an operation that are not for all operations of its service.
    fn operation(&self, service: &str, of: &OfService, name: &str, overflow: bool) -> Vec<u32> {
        let both = self.both.get(&(service, name)).into_iter().flatten();
        let alone = self.by_operation.get(name).into_iter().flatten();
        let is_shared = |number: &u32| of.shared.binary_search(number).is_ok();
        let named = both.chain(alone.filter(|number| is_shared(number)));
        let mut found: Vec<u32> = named.copied().collect();
        // An overflow entry stands for many names, so no pattern means it.
        if !overflow {
            let own = of.own.iter().copied();
            found.extend(own.filter(|own| self.rules[*own as usize].operation.matches(name)));
            if !of.shared.is_empty() {
                found.extend(self.operations.matching(name).into_iter().filter(is_shared));
            }
        }
        found
    }
}

impl Found {
    /// Compares rules with all names.
    fn of(rules: &[Arc<Ordered>], names: &Names) -> Self {
        let names_of_rules = rules.iter().map(|of| of.name.clone());
        let mut compared = Self {
            places: names_of_rules.zip(0..).collect(),
            matched: vec![Matched::default(); rules.len()],
            ..Self::default()
        };
        if rules.is_empty() {
            return compared;
        }
        for (of, matched) in rules.iter().zip(&mut compared.matched) {
            let mut services = names.services();
            matched.tagged =
                of.rule.is_tagged() && services.any(|(_, name)| of.service.matches(name));
        }
        let index = Index::of(rules);
        let mut services = HashMap::new();
        let mut operations = HashMap::new();
        let mut classed = HashSet::new();
        for (id, name) in names.services() {
            services.insert(id, (name, index.service(name)));
        }
        for (row, name) in names.operations() {
            let Some((service, of)) = services.get(&row.service) else {
                continue;
            };
            // The classes of an operation share its rules.
            let (plain, class) = Class::of(name);
            let overflow = row.overflow || plain == OVERFLOW_NAME;
            let mut found = index.operation(service, of, plain, overflow);
            if found.is_empty() && of.each.is_empty() {
                continue;
            }
            let alone = found.is_empty();
            found.extend(&of.each);
            // They are numbered in the order of their precedence.
            found.sort_unstable();
            let is_first = class.is_none() || classed.insert((row.service, plain));
            if !overflow && is_first {
                for number in &found {
                    compared.matched[*number as usize].add(row.service, row.operation);
                }
            }
            if !alone {
                operations.insert(row.operation, (row.service, found));
            }
        }
        let each = services.into_iter().map(|(id, (_, mut of))| {
            of.each.sort_unstable();
            (id, of.each)
        });
        compared.services = each.filter(|(_, each)| !each.is_empty()).collect();
        compared.operations = operations;
        compared
    }
}

impl Matches {
    /// Compares the rules of a document with all names.
    #[must_use]
    pub fn of(rules: &BTreeMap<String, Rule>, names: &Names) -> Self {
        let rules = ordered(rules);
        Self {
            found: Arc::new(Found::of(&rules, names)),
            rules,
        }
    }

    /// The same with some rules in another form. They must mean the same operations as before.
    #[must_use]
    pub fn with(&self, forms: &[(&str, Rule)]) -> Self {
        let mut with = self.clone();
        for (name, rule) in forms {
            let Some(place) = self.found.places.get(*name) else {
                continue;
            };
            let of = Arc::make_mut(&mut with.rules[*place as usize]);
            debug_assert!(of.rule.means_like(rule));
            of.settings = rule.settings();
            of.rule = rule.clone();
        }
        with
    }

    /// What one rule matches.
    #[must_use]
    pub fn matched(&self, name: &str) -> Option<&Matched> {
        let found = &self.found;
        found.matched.get(*found.places.get(name)? as usize)
    }

    /// Says of an operation whether one of these rules means it.
    pub fn meaning(&self, rules: &[&str]) -> impl Fn(ServiceId, OperationId) -> bool {
        let places = rules.iter().filter_map(|name| self.found.places.get(*name));
        let places: HashSet<u32> = places.copied().collect();
        move |service, operation| {
            let mut all = self.places(service, operation).iter();
            all.any(|place| places.contains(place))
        }
    }

    /// The rules of an operation, the one with the highest precedence first.
    pub(in crate::configuration) fn of_operation(
        &self,
        service: ServiceId,
        operation: OperationId,
    ) -> Vec<&Ordered> {
        self.numbered(self.places(service, operation))
    }

    fn places(&self, service: ServiceId, operation: OperationId) -> &[u32] {
        match self.found.operations.get(&operation) {
            Some((_, places)) => places,
            None => self.found.services.get(&service).map_or(&[], |each| each),
        }
    }

    /// Whether an operation has rules that are not for all operations of its service.
    pub(in crate::configuration) fn has_own(&self, operation: OperationId) -> bool {
        self.found.operations.contains_key(&operation)
    }

    /// The rules for all operations of a service.
    pub(in crate::configuration) fn of_service(&self, service: ServiceId) -> Vec<&Ordered> {
        let numbers = self.found.services.get(&service);
        self.numbered(numbers.map_or(&[], |numbers| numbers))
    }

    /// The services with rules for all of their operations.
    pub(in crate::configuration) fn services(
        &self,
    ) -> impl Iterator<Item = (ServiceId, Vec<&Ordered>)> {
        let services = self.found.services.iter();
        services.map(|(id, numbers)| (*id, self.numbered(numbers)))
    }

    /// The operations with rules that are not for all operations of their service.
    pub(in crate::configuration) fn operations(
        &self,
    ) -> impl Iterator<Item = (OperationId, ServiceId, Vec<&Ordered>)> {
        let operations = self.found.operations.iter();
        operations.map(|(id, (service, numbers))| (*id, *service, self.numbered(numbers)))
    }

    fn numbered(&self, numbers: &[u32]) -> Vec<&Ordered> {
        let rules = numbers.iter();
        rules.map(|number| &*self.rules[*number as usize]).collect()
    }
}

/// The rules in the order of their precedence: specific, then new, then by name.
fn ordered(rules: &BTreeMap<String, Rule>) -> Vec<Arc<Ordered>> {
    let read = rules.iter().filter_map(|(name, rule)| {
        Some(Ordered {
            name: name.clone(),
            settings: rule.settings(),
            // Patterns were checked with the document.
            service: Pattern::parse(&rule.service).ok()?,
            operation: match rule.is_tagged() {
                true => Pattern::Exact(tagged_operation(name)),
                false => Pattern::parse(&rule.operation).ok()?,
            },
            rule: rule.clone(),
        })
    });
    let mut ordered: Vec<Ordered> = read.collect();
    // The sort is stable, and the document is sorted by name.
    ordered.sort_by(|a, b| {
        let key = |of: &Ordered| (of.specificity(), of.rule.written_at);
        key(b).cmp(&key(a))
    });
    ordered.into_iter().map(Arc::new).collect()
}

/// The newest matches, for as long as neither rules nor names change.
#[derive(Debug, Default)]
pub struct MatchCache(Mutex<Option<Arc<Cached>>>);

#[derive(Debug)]
struct Cached {
    rules: BTreeMap<String, Rule>,
    names: Incarnation,
    matches: Arc<Matches>,
}

impl MatchCache {
    /// What the rules of a document match.
    #[must_use]
    pub fn of(&self, configuration: &Configuration, names: &Names) -> Arc<Matches> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rules, now) = (&configuration.rules, names.incarnation());
        if let Some(cached) = &*cached
            && cached.names == now
            && cached.rules == *rules
        {
            return Arc::clone(&cached.matches);
        }
        let matches = Arc::new(Matches::of(rules, names));
        *cached = Some(Arc::new(Cached {
            rules: rules.clone(),
            names: now,
            matches: Arc::clone(&matches),
        }));
        matches
    }
}
