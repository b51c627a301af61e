//! Puts together what the rules and the settings of an operation set.

use serde::Serialize;

use super::matches::{Matches, Ordered};
use super::{Pattern, Rule};
use crate::allocation::{OperationId, ServiceId, Timestamp};
use crate::configuration::BoundsSettings;

/// A field that a rule can decide, named as in its `set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The weight.
    Weight,
    /// The floor; `coverage` is one, too.
    FloorTracesPerSecond,
    /// The cap.
    CapTracesPerSecond,
    /// The least probability.
    ProbabilityMin,
    /// The highest probability.
    ProbabilityMax,
    /// The fixed probability; `exclude` is one, too.
    Probability,
    /// The priority of the floor.
    Priority,
}

/// The fields that one rule decided.
pub type Fields = Vec<Field>;

/// What an operation has without rules, and how specific that is.
#[derive(Debug, Clone, Copy)]
pub enum Layers<'s> {
    /// Settings of the operation.
    Operation(&'s BoundsSettings),
    /// Settings of each operation of its service.
    Each(&'s BoundsSettings),
    /// Nothing.
    Nothing,
}

impl<'s> Layers<'s> {
    fn place(self) -> Option<((u32, u32), &'s BoundsSettings)> {
        let named = Pattern::EXACT;
        match self {
            Self::Operation(own) => Some(((named, named), own)),
            Self::Each(each) => Some(((0, named), each)),
            Self::Nothing => None,
        }
    }
}

/// What has been decided so far, from the highest precedence downwards.
#[derive(Debug, Default)]
struct Merged {
    settings: BoundsSettings,
    /// Whether a fixed probability or a bound was among it; then the other kind is ignored.
    decided: bool,
}

impl Merged {
    fn add(&mut self, layer: &BoundsSettings) -> Fields {
        let mut taken = Vec::new();
        let BoundsSettings {
            weight,
            floor_traces_per_second,
            cap_traces_per_second,
            probability_min,
            probability_max,
            probability,
            priority,
        } = &mut self.settings;
        let mut take = |field, to: &mut Option<f64>, from: Option<f64>| {
            if to.is_none() && from.is_some() {
                *to = from;
                taken.push(field);
            }
        };
        take(Field::Weight, weight, layer.weight);
        // The rule that fixes a probability may have bounds of its own; the allocation ignores these.
        let was_pinned = probability.is_some();
        if !self.decided {
            take(Field::Probability, probability, layer.probability);
        }
        if !was_pinned {
            let under = |least: Option<f64>, most: Option<f64>| match (least, most) {
                (Some(least), Some(most)) => least <= most,
                _ => true,
            };
            let floor = layer.floor_traces_per_second;
            let floor = floor.filter(|floor| under(Some(*floor), *cap_traces_per_second));
            let cap = layer.cap_traces_per_second;
            let cap = cap.filter(|cap| under(*floor_traces_per_second, Some(*cap)));
            let least = layer.probability_min;
            let least = least.filter(|least| under(Some(*least), *probability_max));
            let most = layer.probability_max;
            let most = most.filter(|most| under(*probability_min, Some(*most)));
            take(Field::FloorTracesPerSecond, floor_traces_per_second, floor);
            take(Field::CapTracesPerSecond, cap_traces_per_second, cap);
            take(Field::ProbabilityMin, probability_min, least);
            take(Field::ProbabilityMax, probability_max, most);
        }
        if priority.is_none() && layer.priority.is_some() {
            *priority = layer.priority;
            taken.push(Field::Priority);
        }
        self.decided |= layer.decides();
        taken
    }
}

/// A rule of an operation, and what it decided there.
#[derive(Debug)]
pub struct Taken<'m> {
    /// Its name.
    pub name: &'m str,
    /// The rule.
    pub rule: &'m Rule,
    /// What it decided; nothing if it is not active, or others took precedence.
    pub fields: Fields,
}

impl Matches {
    /// What an operation has with its rules; none if no rule is active there.
    pub(in crate::configuration) fn merged(
        rules: &[&Ordered],
        base: Layers<'_>,
        at: Timestamp,
    ) -> Option<BoundsSettings> {
        if !rules.iter().any(|of| of.rule.is_active(at)) {
            return None;
        }
        let mut merged = Merged::default();
        merge(rules, base, at, |layer, _| {
            merged.add(layer);
        });
        Some(merged.settings)
    }

    /// What an operation has with its rules and its settings, and after these a last layer.
    pub(in crate::configuration) fn merged_over(
        rules: &[&Ordered],
        base: Layers<'_>,
        at: Timestamp,
        last: &BoundsSettings,
    ) -> BoundsSettings {
        let mut merged = Merged::default();
        merge(rules, base, at, |layer, _| {
            merged.add(layer);
        });
        // Operators may bound an operation in one way, and its class in another.
        merged.decided &= merged.settings.probability.is_some();
        merged.add(last);
        merged.settings
    }

    /// The rules of an operation in the order of their precedence, with what each decided.
    #[must_use]
    pub fn explained(
        &self,
        (service, operation): (ServiceId, OperationId),
        base: Layers<'_>,
        at: Timestamp,
    ) -> Vec<Taken<'_>> {
        let rules = self.of_operation(service, operation);
        let mut merged = Merged::default();
        let mut fields: Vec<Fields> = vec![Vec::new(); rules.len()];
        merge(&rules, base, at, |layer, rule| {
            let taken = merged.add(layer);
            if let Some(rule) = rule {
                fields[rule] = taken;
            }
        });
        let rules = rules.into_iter().zip(fields);
        rules
            .map(|(of, fields)| Taken {
                name: &of.name,
                rule: &of.rule,
                fields,
            })
            .collect()
    }
}

/// Goes through the active rules and the settings from the highest precedence downwards. Of two at the same
/// place the rule comes first.
fn merge(
    rules: &[&Ordered],
    base: Layers<'_>,
    at: Timestamp,
    mut add: impl FnMut(&BoundsSettings, Option<usize>),
) {
    let mut base = base.place();
    for (number, of) in rules.iter().enumerate() {
        if let Some((_, settings)) = base.take_if(|(place, _)| *place > of.specificity()) {
            add(settings, None);
        }
        if of.rule.is_active(at) {
            add(&of.settings, Some(number));
        }
    }
    if let Some((_, settings)) = base {
        add(settings, None);
    }
}
