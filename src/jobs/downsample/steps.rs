//! Sums of steps, and the rows that they are stored in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::allocation::{OVERFLOW_NAME, OVERFLOW_SERVICE, ServiceId, Timestamp, Window};
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
}

impl StepSums {
    /// Whether nothing was counted, not even that nothing could be read.
    pub fn is_empty(&self) -> bool {
        self.covered == Covered::default()
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
    }

    /// The same by names.
    pub fn named(self, names: &Names) -> Self {
        let mut named = Self {
            services: BTreeMap::new(),
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

    /// Adds a step of a stored row.
    pub fn add_stored(&mut self, part: SeriesPart, block: &SeriesBlock, step: usize) {
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
    let row = |part, block: &SeriesBlock| SeriesRow {
        step,
        window,
        part,
        payload: series_codec::encode(block),
    };
    let fleet = SeriesBlock {
        covered: steps.iter().map(|step| step.covered).collect(),
        entries: fleet_entries(steps),
    };
    let mut rows = vec![row(SeriesPart::FLEET, &fleet)];
    let services = entries(steps, |step| step.services.iter());
    let parts = SeriesPart::count(services.len());
    let mut blocks: BTreeMap<SeriesPart, SeriesBlock> = BTreeMap::new();
    for (service, sums) in services {
        let part = SeriesPart::of(service.hash(), parts);
        let block = blocks.entry(part).or_default();
        block.entries.push((service, sums));
    }
    rows.extend(blocks.iter().map(|(part, block)| row(*part, block)));
    rows
}

fn fleet_entries(steps: &[StepSums]) -> Vec<(SeriesKey, Vec<Sums>)> {
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

/// The sums of each key in all steps, in ascending order of keys.
fn entries<'s, I: Iterator<Item = (&'s SeriesKey, &'s Sums)>>(
    steps: &'s [StepSums],
    of: impl Fn(&'s StepSums) -> I,
) -> Vec<(SeriesKey, Vec<Sums>)> {
    let mut found: BTreeMap<&SeriesKey, Vec<Sums>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        for (key, sums) in of(step) {
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
