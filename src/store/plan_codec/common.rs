//! What follows from version 5 on: what the operations' traffic does together, with the window and
//! before it.

use serde::{Deserialize, Serialize};

use crate::allocation::{COURSES, Common, Course, FleetPlan};

/// Both states of a plan.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Followed {
    common: State,
    common_before: State,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    windows: f64,
    sampling: f64,
    /// Level, slope, variance, forecast and error of each.
    courses: [[f64; 5]; COURSES],
}

impl Followed {
    pub(super) fn of(fleet: &FleetPlan) -> Self {
        Self {
            common: State::of(&fleet.common),
            common_before: State::of(&fleet.common_before),
        }
    }

    /// The state with the window, and the one before it.
    pub(super) fn read(&self) -> (Common, Common) {
        (self.common.read(), self.common_before.read())
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
