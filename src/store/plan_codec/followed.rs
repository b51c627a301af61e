//! What version 5 adds to a plan: what the operations' traffic does together, and when each comes;
//! both with the window and before it.

use serde::{Deserialize, Serialize};

use crate::allocation::{Belief, COURSES, Common, Course, Plan};

use super::super::varint::Damage;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Followed {
    common: State,
    common_before: State,
    rhythms: Rhythms,
    rhythms_before: Rhythms,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    windows: f64,
    sampling: f64,
    /// Level, slope, variance, forecast and error of each.
    courses: [[f64; 5]; COURSES],
}

/// A row for every operation of the plan; zeros stand for none before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rhythms {
    gap: Vec<u16>,
    since: Vec<u16>,
    regular: Vec<f32>,
}

impl Followed {
    pub(super) fn of(plan: &Plan) -> Self {
        let beliefs = plan.operations.iter();
        let before = beliefs
            .clone()
            .map(|of| of.belief_before.unwrap_or_default());
        Self {
            common: State::of(&plan.fleet.common),
            common_before: State::of(&plan.fleet.common_before),
            rhythms: Rhythms::of(beliefs.map(|of| of.belief)),
            rhythms_before: Rhythms::of(before),
        }
    }

    /// Puts them into the plan that they were taken from.
    pub(super) fn restore(&self, plan: &mut Plan) -> Result<(), Damage> {
        plan.fleet.common = self.common.read();
        plan.fleet.common_before = self.common_before.read();
        self.rhythms.same_length(plan.operations.len())?;
        self.rhythms_before.same_length(plan.operations.len())?;
        for (at, operation) in plan.operations.iter_mut().enumerate() {
            self.rhythms.complete(at, &mut operation.belief);
            if let Some(before) = &mut operation.belief_before {
                self.rhythms_before.complete(at, before);
            }
        }
        Ok(())
    }
}

impl Rhythms {
    fn of(beliefs: impl Iterator<Item = Belief>) -> Self {
        let mut columns = Self::default();
        for belief in beliefs {
            columns.gap.push(belief.gap);
            columns.since.push(belief.since);
            columns.regular.push(belief.regular);
        }
        columns
    }

    fn same_length(&self, count: usize) -> Result<(), Damage> {
        super::same_length(
            count,
            &[self.gap.len(), self.since.len(), self.regular.len()],
        )
    }

    fn complete(&self, at: usize, belief: &mut Belief) {
        belief.gap = self.gap[at];
        belief.since = self.since[at];
        belief.regular = self.regular[at];
    }
}

impl State {
    fn of(common: &Common) -> Self {
        let columns = |course: Course| {
            let Course {
                level,
                slope,
                variance,
                later,
                error,
            } = course;
            [level, slope, variance, later, error]
        };
        Self {
            windows: common.windows,
            sampling: common.sampling,
            courses: common.courses.map(columns),
        }
    }

    fn read(&self) -> Common {
        let course = |[level, slope, variance, later, error]: [f64; 5]| Course {
            level,
            slope,
            variance,
            later,
            error,
        };
        Common {
            windows: self.windows,
            sampling: self.sampling,
            courses: self.courses.map(course),
        }
    }
}
