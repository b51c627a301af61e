//! Which counts may be believed, and how much of the traffic they are.
//!
//! Of every agent it is known up to when its counts are in, and how late it usually is. So of every
//! service and window it is known which part of its usual traffic has been reported: the *exposure*.
//! Counts are divided by it. What is later than usual is *missing*: its traffic is assumed to go on as
//! the rest of its service does, and nothing is raised because of it.
//!
//! See docs/trust.md for the states of an agent and what each makes of demand and of raises.

mod agents;
pub(crate) mod bases;
mod claims;
mod gone;
mod kept;
mod mass;
mod polls;
mod service;

use super::{
    AgentRate, AgentState, Claim, Plan, ServiceId, ServicePlan, Timestamp, Window, WindowCounts,
};
use crate::hint::Hint;
use crate::tuning::Trust as Tuning;
use crate::tuning::trust::Usual;
use agents::Timeline;
use kept::{heaviest, kept};
use mass::{Pair, pairs};
use polls::Polled;
use service::{Context, ServiceReading};

/// The most windows that one plan is made from.
pub const WINDOWS_READ_MAX: usize = 16;

/// The most agents that a plan knows, and the most of their rates: those with the most traffic.
pub const AGENTS_MAX: usize = 200_000;
/// See [`AGENTS_MAX`].
pub const RATES_MAX: usize = 1_000_000;

/// What the reports of the windows are worth.
#[derive(Debug)]
pub(super) struct Trust {
    /// Every agent known from now on, by id.
    pub agents: Vec<AgentState>,
    /// What they usually report, by agent and service.
    pub rates: Vec<AgentRate>,
    /// What is held apart.
    pub claims: Vec<Claim>,
    /// Whether some of it is of the newest window.
    pub claimed: bool,
    /// The start of the first window that may still change.
    pub settled: Timestamp,
    /// The part of the fleet's usual traffic whose agents are not missing, in [0, 1].
    pub completeness: f64,
    /// The part of the newest window that is in, in [0, 1].
    pub covered: f64,
    /// Whether the polls of the newest window that has settled are known.
    pub polled: bool,
    services: Vec<ServiceReading>,
    /// Where one was found last.
    found: Hint,
    /// The services whose counts of a window are held apart, by the window's place; sorted.
    held: Vec<(usize, ServiceId)>,
    /// The exposure of services without agents of their own, by window.
    others: Vec<f64>,
    /// See [`lumps`].
    lumps: f64,
}

impl Trust {
    /// The part of a service's traffic in a window that its counts hold, in [0, 1].
    pub(super) fn exposure(&self, service: ServiceId, window: usize) -> f64 {
        if self.held.binary_search(&(window, service)).is_ok() {
            return 0.0;
        }
        let of = self
            .service(service)
            .map_or(&self.others, |of| &of.exposures);
        of.get(window).copied().unwrap_or(0.0)
    }

    /// The part of the fleet's traffic in a window that is in, in [0, 1].
    pub(super) fn part(&self, window: usize) -> f64 {
        self.others.get(window).copied().unwrap_or(0.0)
    }

    /// The relative variance of the fleet's counts of a window, because only a part of it is in and agents report
    /// in lumps.
    pub(super) fn scatter(&self, window: usize) -> f64 {
        let part = self.part(window);
        if part > 0.0 {
            self.lumps * (1.0 - part) / part
        } else {
            0.0
        }
    }

    /// Whether a whole service fell silent in a window.
    pub(super) fn is_silent(&self, service: ServiceId, window: usize) -> bool {
        let of = self.service(service);
        of.is_some_and(|of| of.silent.get(window).copied().unwrap_or(false))
    }

    /// The part of a service's usual traffic whose agents are not missing, in [0, 1].
    pub(super) fn heard(&self, service: ServiceId) -> f64 {
        self.service(service)
            .map_or(self.completeness, |of| of.heard)
    }

    /// Writes what is known of each service's agents into its plan.
    pub(super) fn note(&self, services: &mut [ServicePlan]) {
        let newest = self.others.len().saturating_sub(1);
        for plan in services {
            plan.heard = self.heard(plan.service) as f32;
            plan.covered = self.exposure(plan.service, newest) as f32;
            if let Some(found) = self.service(plan.service) {
                plan.agents_return = found.agents_return as f32;
                plan.new_agents = found.new_agents;
                plan.polls = found.polls;
            }
        }
    }

    /// The same for part of the counts: the rest could not be read.
    pub(super) fn readable(mut self, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        for service in &mut self.services {
            service.exposures.iter_mut().for_each(|of| *of *= part);
        }
        self.others.iter_mut().for_each(|of| *of *= part);
        self
    }

    fn service(&self, service: ServiceId) -> Option<&ServiceReading> {
        let key = |of: &ServiceReading| of.service;
        // Counts of earlier releases do not say of which service they are.
        let whole = self.services.first().filter(|of| of.service.is_none());
        whole.or_else(|| {
            let found = self.found.find(&self.services, &Some(service), key);
            found.map(|at| &self.services[at])
        })
    }
}

/// Reads the windows from the settled state of a plan on.
pub(super) fn read(previous: &Plan, windows: &[WindowCounts], tuning: &Tuning) -> Trust {
    let Some(current) = windows.last().map(|counts| counts.window) else {
        return Trust::nothing(previous);
    };
    let mut timelines = agents::timelines(previous, windows, &tuning.agents);
    let mut pairs = pairs(previous, windows, &timelines);
    let claims = claims::hold_apart(
        previous,
        windows,
        &mut pairs,
        &mut timelines,
        &tuning.claims,
    );
    pairs.retain(|pair| !pair.is_gone);
    let masses = masses(&timelines, &pairs);
    let settled = settle_from(previous, windows, &timelines, &masses, tuning);
    let lumps = lumps(&timelines, &masses, &tuning.usual);
    // Each pair occurs once and is large, so it is not moved until its place is known.
    pairs.sort_by_cached_key(|pair| (pair.service, pair.agent));
    let polled = Polled::of(windows);
    let context = Context {
        previous,
        windows,
        timelines: &timelines,
        settled,
        polled: &polled,
        tuning,
        behind: service::behind(previous, tuning),
    };
    let mut services = Vec::new();
    for own in pairs.chunk_by_mut(|one, other| one.service == other.service) {
        services.push(context.read(own));
    }
    let newest = context.settling().last();
    let is_polled = newest.map_or(previous.fleet.polled, |window| polled.is_known(window));
    let total = |of: fn(&ServiceReading) -> f64| services.iter().map(of).sum::<f64>();
    let (mass, missing) = (total(|of| of.mass), total(|of| of.missing));
    let others = others(windows, &services);
    let completeness = completeness(previous, windows, mass, missing);
    agents::settle_all(&mut timelines, windows, settled);
    let (agents, rates) = kept(timelines, heaviest(pairs), settled);
    let held = claims.iter().map(|(at, claim)| (*at, claim.service));
    let mut held: Vec<(usize, ServiceId)> = held.collect();
    held.sort_unstable();
    Trust {
        agents,
        rates,
        held,
        claimed: claims.iter().any(|(at, _)| *at + 1 == windows.len()),
        claims: claims::listed(claims),
        settled,
        completeness,
        covered: others.last().copied().unwrap_or(0.0),
        polled: is_polled,
        services,
        found: Hint::default(),
        others,
        lumps,
    }
    .of_window(current)
}

impl Trust {
    fn nothing(previous: &Plan) -> Self {
        Self {
            agents: previous.agents.clone(),
            rates: previous.rates.clone(),
            claims: Vec::new(),
            claimed: false,
            settled: previous.settled,
            completeness: 0.0,
            covered: 0.0,
            polled: previous.fleet.polled,
            services: Vec::new(),
            found: Hint::default(),
            held: Vec::new(),
            others: Vec::new(),
            lumps: 0.0,
        }
    }

    /// A window without length holds nothing.
    fn of_window(self, current: Window) -> Self {
        if current.milliseconds() > 0 {
            self
        } else {
            Self {
                completeness: 0.0,
                ..self.readable(0.0)
            }
        }
    }
}

/// The part of the fleet's usual traffic that is not missing. Nothing is heard in a window without any
/// report, if anything was known before.
fn completeness(previous: &Plan, windows: &[WindowCounts], mass: f64, missing: f64) -> f64 {
    let came = |counts: &WindowCounts| !counts.reports.is_empty() || !counts.operations.is_empty();
    if mass > 0.0 {
        (1.0 - missing / mass).clamp(0.0, 1.0)
    } else if windows.last().is_some_and(came)
        || previous.fleet.offered <= 0.0 && previous.agents.is_empty()
    {
        1.0
    } else {
        0.0
    }
}

/// The exposure of services without agents of their own: that of the fleet, or all of what came where
/// no agents are known.
fn others(windows: &[WindowCounts], services: &[ServiceReading]) -> Vec<f64> {
    let each = |(at, counts): (usize, &WindowCounts)| {
        let sum = |of: fn(&ServiceReading) -> &Vec<f64>| {
            services.iter().map(|service| of(service)[at]).sum::<f64>()
        };
        let (covered, expected) = (sum(|of| &of.covered), sum(|of| &of.expected));
        if expected > 0.0 {
            (covered / expected).min(1.0)
        } else if counts.operations.is_empty() && counts.reports.is_empty() {
            0.0
        } else {
            1.0
        }
    };
    windows.iter().enumerate().map(each).collect()
}

/// What each agent usually reports, over all services.
fn masses(timelines: &[Timeline], pairs: &[Pair]) -> Vec<f64> {
    let mut masses = vec![0.0; timelines.len()];
    for pair in pairs {
        masses[pair.timeline] += pair.mass;
    }
    masses
}

/// How much the fleet's counts scatter because agents report in lumps: the relative variance of what is in of a window
/// that is half in.
///
/// Of an agent that sends T reports in a window and is idle for a part i of the time, the reports that are in when the
/// part x of the window is over have the relative variance (1−x)/x·i/T. Its mean pause, in windows, is i/T. Of one
/// that may live for a single report, either all is in or nothing.
fn lumps(timelines: &[Timeline], masses: &[f64], tuning: &Usual) -> f64 {
    let all: f64 = masses.iter().sum();
    let lump = |state: &AgentState| {
        let own = if state.returned {
            f64::from(state.pause)
        } else {
            1.0
        };
        own.max(0.0).min(tuning.lump_most)
    };
    let own = timelines.iter().zip(masses);
    let squares: f64 = own.map(|(of, mass)| mass * mass * lump(&of.state)).sum();
    if all > 0.0 {
        squares / (all * all)
    } else {
        0.0
    }
}

/// From where on windows may still change, by the habits of the agents that are not missing.
fn settle_from(
    previous: &Plan,
    windows: &[WindowCounts],
    timelines: &[Timeline],
    masses: &[f64],
    tuning: &Tuning,
) -> Timestamp {
    let Some(current) = windows.last().map(|counts| counts.window) else {
        return previous.settled;
    };
    if timelines.is_empty() && previous.operations.is_empty() {
        let came = windows.iter().any(|counts| !counts.operations.is_empty());
        return if came {
            current.start
        } else {
            previous.settled
        };
    }
    let least = tuning.agents.settle_part * masses.iter().sum::<f64>();
    let waited = timelines
        .iter()
        .zip(masses)
        // One that is so late that its counts have never been read has no mass yet.
        .filter(|(timeline, mass)| {
            let unread = **mass <= 0.0 && timeline.state.habit >= 1.0;
            !timeline.is_missing() && (**mass >= least || unread)
        })
        .map(|(timeline, _)| f64::from(timeline.state.habit) + tuning.agents.settle_slack)
        .fold(0.0, f64::max);
    let back = (waited.floor() as i64).min(WINDOWS_READ_MAX as i64 - 1);
    let wanted = current
        .start
        .0
        .saturating_sub(back.saturating_mul(current.milliseconds()));
    // A plan of a clock that was ahead does not settle what comes now.
    Timestamp(wanted.max(previous.settled.0.min(current.start.0)))
}

/// How many windows lie between two instants.
fn windows_between(from: Timestamp, until: Timestamp, window: Window) -> f64 {
    let length = window.milliseconds().max(1) as f64;
    (until.0 as f64 - from.0 as f64) / length
}
