//! Reads one service: which part of its traffic is in, and which is missing.

use super::super::{Plan, PollState, ServiceId, Timestamp, WindowCounts};
use super::agents::{Second, Timeline};
use super::mass::Pair;
use super::polls::Polled;
use crate::plan::AGES;
use crate::tuning::Trust as Tuning;

/// What one service's reports are worth.
#[derive(Debug)]
pub(super) struct ServiceReading {
    pub service: Option<ServiceId>,
    /// The part of each window that is in, in [0, 1].
    pub exposures: Vec<f64>,
    /// The same as a quotient, in root requests per second.
    pub covered: Vec<f64>,
    pub expected: Vec<f64>,
    /// Whether a window has no count although many are due.
    pub silent: Vec<bool>,
    /// What its agents usually report, and those of them that are missing.
    pub mass: f64,
    pub missing: f64,
    pub heard: f64,
    pub agents_return: f64,
    pub new_agents: [f32; AGES],
    pub polls: PollState,
}

/// What is the same for all services.
pub(super) struct Context<'a> {
    pub previous: &'a Plan,
    pub windows: &'a [WindowCounts],
    pub timelines: &'a [Timeline],
    pub settled: Timestamp,
    pub polled: &'a Polled,
    pub tuning: &'a Tuning,
    /// How far usual rates are behind traffic that has been rising, as a factor.
    pub behind: f64,
}

/// How far usual rates are behind traffic that has been rising, as a factor: by what is planned for.
pub(super) fn behind(previous: &Plan, tuning: &Tuning) -> f64 {
    let rates = previous.rates.iter().map(|of| f64::from(of.rate));
    let behind = previous.fleet.offered / rates.sum::<f64>();
    if behind > 1.0 {
        behind.min(tuning.service.behind_most)
    } else {
        1.0
    }
}

impl Context<'_> {
    /// Reads a service; gives what its agents are expected to report from now on to its pairs.
    pub(super) fn read(&self, pairs: &mut [Pair]) -> ServiceReading {
        let service = pairs[0].service;
        let agents_return = self.agents_return(service, pairs);
        self.bound_newcomers(pairs);
        let stood = self.polls_before(service).stood;
        self.forget(pairs, agents_return, stood);
        self.replace(pairs, agents_return);
        if self.have_moved(pairs, agents_return) {
            self.release(pairs);
        }
        let polls = self.read_polls(service, pairs, agents_return);
        let new_agents = self.new_agents(service, pairs);
        let (mut covered, mut expected) = (Vec::new(), Vec::new());
        for window in 0..self.windows.len() {
            let sum = self.sum(&*pairs, window, agents_return);
            // Those that report once are known by what comes in at which age.
            let part = 1.0 - agents_return;
            let (known, all) = by_age(&new_agents, self.windows.len() - 1 - window);
            covered.push(sum.0 + part * known);
            expected.push(sum.1 + part * all);
        }
        let exposures = (0..self.windows.len()).map(|window| {
            if expected[window] <= 0.0 {
                0.0
            } else {
                (covered[window] / expected[window]).min(1.0)
            }
        });
        let exposures = exposures.collect();
        let silent = (0..self.windows.len()).map(|window| {
            let due = covered[window] * self.windows[window].window.seconds();
            due >= self.tuning.service.empty_by_chance
                && pairs.iter().all(|pair| pair.offered(window) <= 0.0)
        });
        let silent = silent.collect();
        let (mass, missing) = self.missing(pairs, agents_return);
        self.follow(pairs);
        ServiceReading {
            service,
            exposures,
            silent,
            covered,
            expected,
            mass,
            missing,
            heard: if mass > 0.0 {
                1.0 - missing / mass
            } else {
                1.0
            },
            agents_return,
            new_agents,
            polls,
        }
    }

    pub(super) fn timeline(&self, pair: &Pair) -> &Timeline {
        &self.timelines[pair.timeline]
    }

    /// How likely an agent is one that reports again.
    fn likely(&self, pair: &Pair, agents_return: f64) -> f64 {
        if self.timeline(pair).state.returned {
            1.0
        } else {
            agents_return
        }
    }

    /// How likely an agent is still expected.
    pub(super) fn expected(&self, pair: &Pair, agents_return: f64) -> f64 {
        if self.timeline(pair).state.ended {
            0.0
        } else {
            self.likely(pair, agents_return)
        }
    }

    /// The rate of some agents that is covered in a window, and the rate expected.
    pub(super) fn sum<'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p Pair>,
        window: usize,
        agents_return: f64,
    ) -> (f64, f64) {
        let parts = pairs
            .into_iter()
            .map(|pair| self.parts(pair, window, agents_return));
        parts.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    fn parts(&self, pair: &Pair, window: usize, agents_return: f64) -> (f64, f64) {
        let timeline = self.timeline(pair);
        let span = self.windows[window].window;
        if span.end <= timeline.state.since {
            return (0.0, 0.0);
        }
        let covered = timeline.covered[window];
        let (before, after) = timeline.present(span);
        let open = (1.0 - before - after - covered).max(0.0);
        let mass = pair.mass * self.likely(pair, agents_return);
        (
            mass * (covered + before * pair.replaces),
            mass * (covered + open + before),
        )
    }

    /// What this plan's new agents counted, by age, smoothed; in root requests per second.
    fn new_agents(&self, service: Option<ServiceId>, pairs: &[Pair]) -> [f32; AGES] {
        let before = service.and_then(|service| self.previous.service(service));
        let mut ages = before.map_or([0.0; AGES], |plan| plan.new_agents);
        let newest = self.windows.len() - 1;
        let begun = ages.iter().all(|rate| *rate <= 0.0);
        for (age, rate) in ages.iter_mut().enumerate() {
            let seconds = |window: usize| self.windows[window].window.seconds();
            let new = pairs.iter().filter(|pair| !self.timeline(pair).known);
            let counted: f64 = match newest.checked_sub(age) {
                Some(window) if seconds(window) > 0.0 => {
                    new.map(|pair| pair.offered(window)).sum::<f64>() / seconds(window)
                }
                _ => 0.0,
            };
            let gain = if begun {
                1.0
            } else {
                self.tuning.service.age_gain
            };
            *rate += (gain * (counted - f64::from(*rate))) as f32;
        }
        ages
    }

    /// The part of the service's new agents that report again.
    fn agents_return(&self, service: Option<ServiceId>, pairs: &[Pair]) -> f64 {
        let before = service
            .and_then(|service| self.previous.service(service))
            .map_or(1.0, |plan| f64::from(plan.agents_return).clamp(0.0, 1.0));
        let of = |second| {
            let own = pairs
                .iter()
                .filter(|pair| self.timeline(pair).second == second);
            own.map(|pair| pair.mass).sum::<f64>()
        };
        let (came, missed) = (of(Second::Came), of(Second::Missed));
        if came + missed > 0.0 {
            before + self.tuning.service.return_gain * (came / (came + missed) - before)
        } else {
            before
        }
    }

    /// A new agent weighs no more than all others of its service together, if there are any.
    fn bound_newcomers(&self, pairs: &mut [Pair]) {
        let all: f64 = pairs.iter().map(|pair| pair.mass).sum();
        for pair in pairs.iter_mut().filter(|pair| !pair.settled) {
            let others = all - pair.mass;
            if others > 0.0 && pair.mass > others {
                pair.mass = others;
                pair.rate = others;
            }
        }
    }

    /// Forgets who ended, who has been missing for very long, and who was not expected again. Whose SDKs still asked
    /// a while ago has not been missing for very long: `stood` windows have passed since then.
    fn forget(&self, pairs: &mut [Pair], agents_return: f64, stood: u32) {
        for pair in pairs {
            let timeline = self.timeline(pair);
            let state = &timeline.state;
            let long_ago = state.missing_windows.min(stood) > self.tuning.agents.forgotten_windows;
            let once = timeline.is_missing()
                && !state.returned
                && agents_return < self.tuning.service.return_least;
            let ended = state.ended && state.heard_until <= self.settled;
            if long_ago || once || ended {
                (pair.mass, pair.rate) = (0.0, 0.0);
            }
        }
    }

    /// What the agents usually report, and the missing ones of them.
    pub(super) fn missing(&self, pairs: &[Pair], agents_return: f64) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for pair in pairs {
            let mass = pair.mass * self.expected(pair, agents_return);
            sums.0 += mass;
            if self.timeline(pair).is_missing() {
                sums.1 += mass;
            }
        }
        sums
    }

    /// Follows the windows that have settled. Who is not heard follows the others.
    fn follow(&self, pairs: &mut [Pair]) {
        for (window, counts) in self.windows.iter().enumerate() {
            if counts.window.end > self.settled {
                break;
            }
            let mut heard = Heard::default();
            // Until the usual rate of a new agent says what it usually reports.
            let learning = counts.window.milliseconds() as f64 / self.tuning.usual.gain;
            let learning = learning as i64;
            for pair in pairs.iter_mut() {
                let timeline = &self.timelines[pair.timeline];
                let covered = timeline.covered[window];
                let follows = !timeline.is_missing() && timeline.state.claims == 0;
                if covered > 0.0 && pair.settled && follows {
                    let before = pair.rate;
                    let seconds = counts.window.seconds();
                    pair.follow(window, covered, seconds, &self.tuning.usual);
                    heard.add(timeline.state.since, before, pair.rate);
                }
            }
            heard.sum();
            for pair in pairs.iter_mut() {
                let timeline = &self.timelines[pair.timeline];
                let unheard = timeline.is_missing() || timeline.covered[window] <= 0.0;
                if unheard && pair.settled {
                    let factor =
                        heard.factor(timeline.state.heard_until.0.saturating_sub(learning));
                    let followed = self.tuning.service.followed;
                    pair.rate *= factor.clamp(1.0 / followed, followed);
                }
            }
        }
    }
}

/// How the usual rates of the agents of a service that are heard have changed in a window.
#[derive(Debug, Default)]
struct Heard {
    /// Since when an agent has been there, and its rate before and after. Once summed: the rates of all that
    /// began no later.
    rates: Vec<(Timestamp, f64, f64)>,
}

impl Heard {
    fn add(&mut self, since: Timestamp, before: f64, after: f64) {
        self.rates.push((since, before, after));
    }

    fn sum(&mut self) {
        self.rates.sort_by_key(|rate| rate.0);
        let mut sums = (0.0, 0.0);
        for (_, before, after) in &mut self.rates {
            sums = (sums.0 + *before, sums.1 + *after);
            (*before, *after) = sums;
        }
    }

    /// The factor by which those changed that were there at this time, in milliseconds. Who began later may have
    /// taken over the traffic of an agent that is missing, and grows from the few requests of its first window.
    fn factor(&self, at: i64) -> f64 {
        let earlier = self.rates.partition_point(|rate| rate.0.0 <= at);
        match earlier.checked_sub(1).map(|last| self.rates[last]) {
            Some((_, before, after)) if before > 0.0 => after / before,
            _ => 1.0,
        }
    }
}

/// What is in of the traffic of new agents at an age, and all of it.
fn by_age(new_agents: &[f32; AGES], age: usize) -> (f64, f64) {
    let sum = |ages: &[f32]| ages.iter().map(|rate| f64::from(*rate)).sum::<f64>();
    (sum(&new_agents[..AGES.min(age + 1)]), sum(new_agents))
}
