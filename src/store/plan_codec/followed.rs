//! Added in version 5: the common course of all operations, and the rhythm of each; both with the
//! window and before it. Since version 6, the number of followers is stored.

use serde::{Deserialize, Serialize};

use crate::allocation::{Belief, COURSES, Common, Course, Plan};

use super::super::varint::Damage;

/// Level, slope, variance, forecast and error of a follower.
type Follower = [f64; 5];

/// The followers of version 5.
pub(super) type Seven = [Follower; 7];

/// The followers from version 6 on.
pub(super) type Counted = Vec<Follower>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Followed<Followers> {
    common: State<Followers>,
    common_before: State<Followers>,
    rhythms: Rhythms,
    rhythms_before: Rhythms,
}

#[derive(Debug, Serialize, Deserialize)]
struct State<Followers> {
    windows: f64,
    sampling: f64,
    followers: Followers,
}

/// The followers, in the type of a format.
pub(super) trait Followers {
    fn of(followers: [Follower; COURSES]) -> Self;

    fn read(&self) -> Vec<Follower>;
}

impl Followers for Counted {
    fn of(followers: [Follower; COURSES]) -> Self {
        followers.to_vec()
    }

    fn read(&self) -> Vec<Follower> {
        self.clone()
    }
}

/// Release 0.1.0 has these followers at these places, and others beside them.
const PLACES: [usize; COURSES] = [0, 3, 5];

impl Followers for Seven {
    /// The others begin as the one that is most like them.
    fn of([slow, quick, sloped]: [Follower; COURSES]) -> Self {
        [slow, slow, quick, quick, sloped, sloped, sloped]
    }

    fn read(&self) -> Vec<Follower> {
        PLACES.map(|place| self[place]).to_vec()
    }
}

fn columns(course: Course) -> Follower {
    let Course {
        level,
        slope,
        variance,
        later,
        error,
    } = course;
    [level, slope, variance, later, error]
}

/// One row for every operation of the plan; zeros if there was none before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rhythms {
    gap: Vec<u16>,
    since: Vec<u16>,
    regular: Vec<f32>,
}

impl<F: Followers> Followed<F> {
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

    /// Writes them into the plan that they belong to.
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

impl<F: Followers> State<F> {
    fn of(common: &Common) -> Self {
        Self {
            windows: common.windows,
            sampling: common.sampling,
            followers: F::of(common.courses.map(columns)),
        }
    }

    /// If the program that wrote the plan has another number of followers, all of them start again,
    /// because they are identified by their places.
    fn read(&self) -> Common {
        let course = |&[level, slope, variance, later, error]: &Follower| Course {
            level,
            slope,
            variance,
            later,
            error,
        };
        let followers = self.followers.read();
        let courses: Vec<Course> = followers.iter().map(course).collect();
        match <[Course; COURSES]>::try_from(courses) {
            Ok(courses) => Common {
                windows: self.windows,
                sampling: self.sampling,
                courses,
            },
            Err(_) => Common::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_of_followers_is_read_and_begins_anew() {
        let written = State {
            windows: 3.0,
            sampling: 0.5,
            followers: vec![[1.0; 5]; COURSES + 2],
        };
        let bytes = postcard::to_stdvec(&written).unwrap();
        let read: State<Counted> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read.read(), Common::default());
        let same = State {
            followers: vec![[1.0; 5]; COURSES],
            ..read
        };
        assert_eq!(same.read().windows, 3.0);
        assert_eq!(same.read().courses[0].level, 1.0);
    }

    #[test]
    fn the_followers_of_the_release_before_go_on() {
        let mut followers = [[0.0; 5]; 7];
        for (place, follower) in followers.iter_mut().enumerate() {
            follower[0] = place as f64;
        }
        let written = State::<Seven> {
            windows: 3.0,
            sampling: 0.5,
            followers,
        };
        let common = written.read();
        assert_eq!(common.courses.map(|course| course.level), [0.0, 3.0, 5.0]);
        assert_eq!(State::<Seven>::of(&common).read(), common);
    }
}
