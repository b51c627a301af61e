//! Added in version 5: the reason for each operation's probability, and the figures of groups.

use serde::{Deserialize, Serialize};

use super::same_length;
use crate::allocation::{GroupName, GroupPlan, Plan, Reason, Source, Whole};
use crate::store::varint::Damage;

/// The columns, in the order of the plan's services and operations.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Explained {
    groups: Groups,
    service_level: Vec<f64>,
    /// The index of the service's group plus one; 0 for none.
    service_group: Vec<u32>,
    bound: Vec<f32>,
    source: Vec<u8>,
    weight: Vec<f32>,
    target: Vec<f32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Groups {
    name: Vec<String>,
    floor: Vec<f64>,
    cap: Vec<f64>,
    offered: Vec<f64>,
    sampled: Vec<f64>,
    level: Vec<f64>,
    missing: Vec<f64>,
}

impl Explained {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut columns = Self::default();
        for group in &plan.groups {
            columns.groups.push(group);
        }
        let levels = plan.services.iter().map(|service| service.level);
        columns.service_level.extend(levels);
        let groups = plan.services.iter();
        let groups = groups.map(|service| service.group.map_or(0, |place| place as u32 + 1));
        columns.service_group.extend(groups);
        for operation in &plan.operations {
            columns.bound.push(operation.reason.bound);
            columns.source.push(source_code(operation.reason.source));
            columns.weight.push(operation.reason.weight);
            columns.target.push(operation.reason.target);
        }
        columns
    }

    /// Writes them into the plan that they belong to.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        let lengths = [self.service_level.len(), self.service_group.len()];
        same_length(plan.services.len(), &lengths)?;
        let lengths = [
            self.bound.len(),
            self.source.len(),
            self.weight.len(),
            self.target.len(),
        ];
        same_length(plan.operations.len(), &lengths)?;
        plan.groups = self.groups.read()?;
        let groups = plan.groups.len();
        for (at, service) in plan.services.iter_mut().enumerate() {
            service.level = self.service_level[at];
            service.group = (self.service_group[at] as usize).checked_sub(1);
            if service.group.is_some_and(|place| place >= groups) {
                return Err(Damage::OutOfRange);
            }
        }
        for (at, operation) in plan.operations.iter_mut().enumerate() {
            operation.reason = Reason {
                bound: self.bound[at],
                source: source(self.source[at])?,
                weight: self.weight[at],
                target: self.target[at],
            };
        }
        Ok(())
    }
}

impl Groups {
    fn push(&mut self, group: &GroupPlan) {
        self.name.push(group.name.as_str().to_owned());
        self.floor.push(group.whole.floor);
        self.cap.push(group.whole.cap);
        self.offered.push(group.offered);
        self.sampled.push(group.sampled);
        self.level.push(group.level);
        self.missing.push(group.missing);
    }

    fn read(&self) -> Result<Vec<GroupPlan>, Damage> {
        let lengths = [
            self.floor.len(),
            self.cap.len(),
            self.offered.len(),
            self.sampled.len(),
            self.level.len(),
            self.missing.len(),
        ];
        same_length(self.name.len(), &lengths)?;
        let row = |at: usize| {
            Ok(GroupPlan {
                name: GroupName::parse(&self.name[at]).map_err(|_| Damage::Malformed)?,
                whole: Whole {
                    floor: self.floor[at],
                    cap: self.cap[at],
                },
                offered: self.offered[at],
                sampled: self.sampled[at],
                level: self.level[at],
                missing: self.missing[at],
            })
        };
        (0..self.name.len()).map(row).collect()
    }
}

fn source_code(source: Source) -> u8 {
    match source {
        Source::Fleet => 0,
        Source::Group => 1,
        Source::Service => 2,
        Source::Operation => 3,
    }
}

fn source(code: u8) -> Result<Source, Damage> {
    match code {
        0 => Ok(Source::Fleet),
        1 => Ok(Source::Group),
        2 => Ok(Source::Service),
        3 => Ok(Source::Operation),
        _ => Err(Damage::OutOfRange),
    }
}
