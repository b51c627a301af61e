//! Plays the steps of history that are stored for months: of services, whose operations are taken in the parts that they
//! have now.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Came, Played, TIME_LIMIT};
use crate::allocation::{OVERFLOW_SERVICE, Policy, ServiceId, Timestamp};
use crate::api::admin::Admin;
use crate::api::admin::history::late;
use crate::api::admin::series::{POINTS_MAX, Steps, block, every_service};
use crate::http::problem::Problem;
use crate::names::Names;
use crate::snapshot::Snapshot;
use crate::store::{Covered, SeriesKey, SeriesPart, SeriesRow};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::trial::mix::Mix;
use crate::view::trial::steady::{PlayedStep, Steady};

/// The fewest steps that are asked for, if there are as many: a day of hours.
const STEPS_LEAST: usize = 24;

/// The most operations that fewer steps are taken for. Beyond them, small ones are taken together.
const OPERATIONS: usize = 200;

/// The most decisions of a trial: the page of a large fleet has a fifth of a second.
const DECISIONS_MAX: usize = 200_000;

/// The most sums, of services times steps, that are remembered at once: 32 MB.
const SUMS_MAX: usize = 4_000_000;

/// How many steps are asked for.
pub(super) fn points(operations: usize, services: usize, budgets: usize) -> usize {
    let decisions = operations.clamp(1, OPERATIONS) * budgets.max(1);
    let points = (DECISIONS_MAX / decisions).min(SUMS_MAX / services.max(1));
    points.clamp(STEPS_LEAST, POINTS_MAX)
}

/// Reads the steps and plays them, the newest first.
pub(super) async fn play(
    admin: Admin,
    steps: Steps,
    policy: Policy,
    budgets: Vec<f64>,
    snapshot: Arc<Snapshot>,
) -> Result<Came, Problem> {
    let deadline = Instant::now() + TIME_LIMIT;
    let names = admin.dictionary.names();
    let gathering = Gathering::new(steps, Arc::clone(&names));
    let gathered = every_service(&admin, steps, deadline, |rows| gathering.all(rows)).await?;
    admin.dictionary.refresh().await?;
    if differ(&names, &admin.dictionary.names()) {
        return Err(late("the names in the database have changed; ask again"));
    }
    let turn = tokio::time::timeout_at(deadline, Arc::clone(&admin.previews).acquire_owned());
    let Ok(Ok(turn)) = turn.await else {
        return Err(late("too many requests compute plans"));
    };
    let playing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        gathered.played(&snapshot, &policy, &budgets, deadline)
    });
    playing.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "budgets could not be tried");
        Problem::Internal
    })
}

/// Whether a number means another service now: the database went back in time.
fn differ(before: &Names, now: &Names) -> bool {
    let mut services = before.services();
    services.any(|(service, name)| now.service(service).is_some_and(|now| now != *name))
}

/// What every service offered in each step, as it is read.
struct Gathering {
    steps: Steps,
    names: Arc<Names>,
    places: HashMap<ServiceId, usize>,
    covered: Vec<Covered>,
    /// Step by step, services by their places.
    offered: Vec<u64>,
    unreadable: u64,
}

impl Gathering {
    /// Place 0 is that of all services without a name.
    fn new(steps: Steps, names: Arc<Names>) -> Self {
        let services = names.services().map(|(service, _)| service);
        let services = services.filter(|service| *service != OVERFLOW_SERVICE);
        let places: HashMap<ServiceId, usize> = services.zip(1..).collect();
        Self {
            covered: vec![Covered::default(); steps.count],
            offered: vec![0; steps.count * (places.len() + 1)],
            steps,
            names,
            places,
            unreadable: 0,
        }
    }

    fn all(mut self, mut rows: mpsc::Receiver<SeriesRow>) -> Self {
        while let Some(row) = rows.blocking_recv() {
            self.add(&row);
        }
        let unreadable = self.covered.iter().map(|covered| covered.unreadable);
        self.unreadable += unreadable.sum::<u64>();
        self
    }

    fn add(&mut self, row: &SeriesRow) {
        let Some(block) = block(row) else {
            self.unreadable += 1;
            return;
        };
        let length = row.step.milliseconds();
        let at = |step: usize| Timestamp(row.window.start.0.saturating_add(length * step as i64));
        for (step, covered) in block.covered.iter().enumerate() {
            if let Some(place) = self.steps.place(at(step)) {
                self.covered[place].add(covered);
            }
        }
        if row.part == SeriesPart::FLEET {
            return;
        }
        for (key, sums) in &block.entries {
            let service = self.place(key);
            for (step, sums) in sums.iter().enumerate() {
                if let Some(place) = self.steps.place(at(step)) {
                    let offered = &mut self.offered[place * (self.places.len() + 1) + service];
                    *offered = offered.saturating_add(sums.offered);
                }
            }
        }
    }

    fn place(&self, key: &SeriesKey) -> usize {
        let service = match key {
            SeriesKey::Number(service) => Some(*service),
            SeriesKey::Name(name) => self.names.find_service(name),
        };
        let place = service.and_then(|service| self.places.get(&service));
        place.copied().unwrap_or(0)
    }

    /// What each service offered in a step, per second.
    fn rates(&self, step: usize) -> Vec<f64> {
        let services = self.places.len() + 1;
        let seconds = self.covered[step].milliseconds as f64 / 1000.0;
        let offered = self.offered[step * services..(step + 1) * services].iter();
        offered.map(|offered| *offered as f64 / seconds).collect()
    }

    /// The steps of which anything was counted, the newest first.
    fn counted(&self) -> impl Iterator<Item = usize> {
        let steps = (0..self.steps.count).rev();
        steps.filter(|step| self.covered[*step].milliseconds > 0)
    }

    /// What each service offered in the mean, per second.
    fn means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.places.len() + 1];
        let mut steps = 0.0_f64;
        for step in self.counted() {
            steps += 1.0;
            let rates = self.rates(step);
            means
                .iter_mut()
                .zip(rates)
                .for_each(|(sum, rate)| *sum += rate);
        }
        means.iter_mut().for_each(|mean| *mean /= steps.max(1.0));
        means
    }

    fn played(
        &self,
        snapshot: &Snapshot,
        policy: &Policy,
        budgets: &[f64],
        deadline: Instant,
    ) -> Came {
        let counted = self.counted().count().max(1);
        let entries = DECISIONS_MAX / (counted * budgets.len().max(1));
        let means = self.means();
        let services = (&self.places, &means[..]);
        let mix = Mix::of(snapshot.plan(), policy, services, entries.max(1));
        let trial = |budget: &f64| (*budget, Steady::new(policy.clone(), *budget, &mix));
        let mut trials: Vec<(f64, Steady)> = budgets.iter().map(trial).collect();
        let mut came = Came {
            played: Played::Steps(self.steps.length),
            first: None,
            last: None,
            unreadable: self.unreadable,
            in_time: true,
            alone: mix.alone(),
            together: mix.together(),
            together_ratio: mix.together_ratio(),
            other_ratio: mix.other_ratio(),
            budgets: Vec::new(),
        };
        for step in self.counted() {
            if Instant::now() > deadline {
                came.in_time = false;
                break;
            }
            let services = self.rates(step);
            let played = PlayedStep {
                start: self.steps.start(step),
                milliseconds: i64::try_from(self.covered[step].milliseconds).unwrap_or(i64::MAX),
                offered: services.iter().sum(),
                operations: &mix.operations(&services),
            };
            for (_, trial) in &mut trials {
                trial.play(played);
            }
            came.first = Some(played.start);
            let end = Timestamp(played.start.0.saturating_add(self.steps.length));
            came.last = came.last.or(Some(end));
        }
        let budgets = trials.iter();
        came.budgets = budgets.map(|(of, trial)| (*of, trial.tried())).collect();
        came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_steps_as_there_is_room_for() {
        assert_eq!(points(50, 10, 4), POINTS_MAX);
        assert_eq!(points(200, 10, 4), 250);
        assert_eq!(points(1_000_000, 10_000, 4), 250, "they are taken together");
        assert_eq!(points(1_000_000, 100_000, 4), 40);
        assert_eq!(points(0, 0, 1), POINTS_MAX);
        assert_eq!(points(usize::MAX, usize::MAX, 4), STEPS_LEAST);
    }
}
