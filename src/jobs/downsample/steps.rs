//! Sums of steps, and the rows that they are stored in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::allocation::{Class, OVERFLOW_NAME, OVERFLOW_SERVICE, ServiceId, Timestamp, Window};
use crate::names::Names;
use crate::store::{
    Covered, SeriesBlock, SeriesKey, SeriesPart, SeriesRow, SeriesStep, Sums, series_codec,
};

/// The most services of a step that have sums of their own. What the others did is in those of the fleet's
/// overflow entry. It is twice as many as there may be by default.
const SERVICES_MAX: usize = 20_000;

/// The sums of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StepSums {
    pub covered: Covered,
    pub fleet: Sums,
    pub groups: BTreeMap<String, Sums>,
    pub services: BTreeMap<SeriesKey, Sums>,
    /// The sums of each class, of services whose traces have one. They say nothing of the time that was counted.
    pub classes: BTreeMap<Class, StepSums>,
}

impl StepSums {
    /// Whether nothing was counted, not even that nothing could be read.
    pub fn is_empty(&self) -> bool {
        self.covered == Covered::default()
    }

    /// Adds to a service, its group and the fleet.
    pub fn add_all(&mut self, service: ServiceId, group: Option<String>, sums: &Sums) {
        self.fleet.add(sums);
        if let Some(group) = group {
            self.groups.entry(group).or_default().add(sums);
        }
        self.add_service(SeriesKey::Number(service), sums);
    }

    /// Adds to a service, as long as there is room for it.
    pub fn add_service(&mut self, service: SeriesKey, sums: &Sums) {
        let full = self.services.len() >= SERVICES_MAX && !self.services.contains_key(&service);
        let service = match (full, &service) {
            (true, SeriesKey::Number(_)) => SeriesKey::Number(OVERFLOW_SERVICE),
            (true, SeriesKey::Name(_)) => SeriesKey::Name(OVERFLOW_NAME.to_owned()),
            (false, _) => service,
        };
        self.services.entry(service).or_default().add(sums);
    }

    /// Adds another step.
    pub fn add(&mut self, other: &Self) {
        self.covered.add(&other.covered);
        self.fleet.add(&other.fleet);
        for (group, sums) in &other.groups {
            self.groups.entry(group.clone()).or_default().add(sums);
        }
        for (service, sums) in &other.services {
            self.add_service(service.clone(), sums);
        }
        for (class, sums) in &other.classes {
            self.classes.entry(*class).or_default().add(sums);
        }
    }

    /// The same by names.
    pub fn named(self, names: &Names) -> Self {
        let classes = self.classes.into_iter();
        let mut named = Self {
            services: BTreeMap::new(),
            classes: classes.map(|(of, sums)| (of, sums.named(names))).collect(),
            ..self
        };
        for (service, sums) in self.services {
            let name = match service {
                SeriesKey::Number(number) => name_of(number, names).to_string(),
                SeriesKey::Name(name) => name,
            };
            named.add_service(SeriesKey::Name(name), &sums);
        }
        named
    }

    /// Adds a step of a stored row. Leaves classes out that only a later release knows.
    pub fn add_stored(&mut self, part: SeriesPart, block: &SeriesBlock, step: usize) {
        match part.class() {
            Ok(None) => {}
            Ok(Some(class)) => {
                let of_class = self.classes.entry(class).or_default();
                return of_class.add_stored(part.all(), block, step);
            }
            Err(_) => return,
        }
        if let Some(covered) = block.covered.get(step) {
            self.covered.add(covered);
        }
        for (key, sums) in &block.entries {
            let Some(sums) = sums.get(step) else { continue };
            match key {
                SeriesKey::Name(name) if part == SeriesPart::FLEET && name.is_empty() => {
                    self.fleet.add(sums);
                }
                SeriesKey::Name(group) if part == SeriesPart::FLEET => {
                    self.groups.entry(group.clone()).or_default().add(sums);
                }
                service => self.add_service(service.clone(), sums),
            }
        }
    }
}

fn name_of(service: ServiceId, names: &Names) -> Arc<str> {
    names
        .service(service)
        .unwrap_or_else(|| OVERFLOW_NAME.into())
}

/// The rows of steps in a row, the fleet's first; none if nothing was counted.
pub(super) fn rows(step: SeriesStep, window: Window, steps: &[StepSums]) -> Vec<SeriesRow> {
    if steps.iter().all(StepSums::is_empty) {
        return Vec::new();
    }
    let all: Vec<&StepSums> = steps.iter().collect();
    let covered = steps.iter().map(|step| step.covered).collect();
    let mut found = rows_of(&all, covered);
    let none = StepSums::default();
    for class in Class::ALL {
        let of = |sums: &'_ StepSums| sums.classes.contains_key(&class);
        if steps.iter().any(of) {
            let all = steps.iter().map(|sums| sums.classes.get(&class));
            let all: Vec<&StepSums> = all.map(|sums| sums.unwrap_or(&none)).collect();
            let rows = rows_of(&all, Vec::new()).into_iter();
            found.extend(rows.map(|(part, block)| (part.of_class(Some(class)), block)));
        }
    }
    let rows = found.into_iter().map(|(part, block)| SeriesRow {
        step,
        window,
        part,
        payload: series_codec::encode(&block),
    });
    rows.collect()
}

/// The blocks of all requests, or of those of a class.
fn rows_of(steps: &[&StepSums], covered: Vec<Covered>) -> Vec<(SeriesPart, SeriesBlock)> {
    let fleet = SeriesBlock {
        covered,
        entries: fleet_entries(steps),
    };
    let services = entries(steps);
    let parts = SeriesPart::count(services.len());
    let mut blocks: BTreeMap<SeriesPart, SeriesBlock> = BTreeMap::new();
    for (service, sums) in services {
        let part = SeriesPart::of(service.hash(), parts);
        let block = blocks.entry(part).or_default();
        block.entries.push((service, sums));
    }
    [(SeriesPart::FLEET, fleet)]
        .into_iter()
        .chain(blocks)
        .collect()
}

fn fleet_entries(steps: &[&StepSums]) -> Vec<(SeriesKey, Vec<Sums>)> {
    let fleet = steps.iter().map(|step| step.fleet).collect();
    let mut found = vec![(SeriesKey::Name(String::new()), fleet)];
    let mut groups: BTreeMap<&String, Vec<Sums>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        for (group, sums) in &step.groups {
            let of = groups.entry(group);
            of.or_insert_with(|| vec![Sums::default(); steps.len()])[place] = *sums;
        }
    }
    let groups = groups.into_iter();
    found.extend(groups.map(|(group, sums)| (SeriesKey::Name(group.clone()), sums)));
    found
}

/// The sums of each service in all steps, in ascending order of keys.
fn entries(steps: &[&StepSums]) -> Vec<(SeriesKey, Vec<Sums>)> {
    let mut found: BTreeMap<&SeriesKey, Vec<Sums>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        for (key, sums) in &step.services {
            let all = found.entry(key);
            all.or_insert_with(|| vec![Sums::default(); steps.len()])[place] = *sums;
        }
    }
    let found = found.into_iter();
    found.map(|(key, sums)| (key.clone(), sums)).collect()
}

/// An instant rounded down to a multiple of a length.
pub(super) fn floor(at: Timestamp, length: i64) -> Timestamp {
    Timestamp(at.0.div_euclid(length) * length)
}

/// The rows of a step that starts at an instant.
pub(super) fn row_window(step: SeriesStep, start: Timestamp) -> Window {
    Window {
        start,
        end: Timestamp(start.0.saturating_add(step.row_milliseconds())),
    }
}
